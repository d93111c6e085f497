// Template: the one button, Teach; while it learns its progress.

export const teachBlock = `
    <div class="teach-block">
      <template v-if="running">
        <p class="run-words" role="status">{{ runWords }}</p>
        <div class="progress" role="progressbar" :aria-label="t.progress_label" aria-valuemin="0" aria-valuemax="100" :aria-valuenow="Math.round(100 * runShare)"><i :style="{ width: 100 * runShare + '%' }"></i></div>
        <button class="link quiet" @click="cancel">{{ t.cancel }}</button>
      </template>
      <template v-else>
        <button class="button primary teach-button" :disabled="!!missing || busyUploading || !!loadingSet || !!teaching.acting" @click="train" aria-describedby="teach-why">{{ dataset.report ? t.teach_again : t.teach }}</button>
        <p id="teach-why" class="small">{{ teachWords }}</p>
        <button v-if="dataset.report && dataset.version" class="link" @click="teaching.view = 'result'">{{ t.see_result }}</button>
      </template>
    </div>`;

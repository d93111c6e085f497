// Template: the view of the photos: the rail, and the wall with what is done to photos.

import { rail } from "./rail.js";
import { wallTemplate } from "./wall.js";

const arriving = `
  <div v-if="busyUploading" class="arriving" role="status">
    <p>{{ uploads.pause ? t['pause_' + uploads.pause + '_short'] : fill(t.adding, { done: number(uploads.done), all: number(uploads.all) }) }}</p>
    <div class="progress" role="progressbar" :aria-label="t.adding_label" aria-valuemin="0" :aria-valuemax="uploads.all" :aria-valuenow="uploads.done"><i :style="{ width: 100 * uploads.done / uploads.all + '%' }"></i></div>
  </div>
  <div v-else-if="loadingSet" class="arriving" role="status">
    <p>{{ fill(t.loading_set, { done: number(loadingSet.done), all: number(loadingSet.total) }) }}</p>
    <div class="progress" role="progressbar" :aria-label="t.adding_label" aria-valuemin="0" :aria-valuemax="loadingSet.total" :aria-valuenow="loadingSet.done"><i :style="{ width: 100 * loadingSet.done / loadingSet.total + '%' }"></i></div>
  </div>
  <p v-else-if="dataset.waiting && !running" class="small looking" role="status">{{ fill(t.looking, { photos: number(dataset.waiting) }) }}</p>`;

const left_out = `
  <div v-if="uploads.refused.length" class="note warn left-out" role="alert">
    <p>{{ fill(uploads.refused.length === 1 ? t.left_out_one : t.left_out, { count: number(uploads.refused.length) }) }}</p>
    <ul><li v-for="(one, n) in uploads.refused.slice(0, manyRefused)" :key="n"><b>{{ one.name }}</b> {{ whyRefused(one) }}</li></ul>
    <button v-if="uploads.refused.length > manyRefused" class="link" @click="manyRefused = Infinity">{{ t.show_all }}</button>
    <button class="link quiet" @click="uploads.refused = []">{{ t.forget }}</button>
  </div>
  <p v-if="uploads.already && !busyUploading" class="note" role="status">{{ fill(uploads.already === 1 ? t.already_one : t.already, { count: number(uploads.already) }) }} <button class="link quiet" @click="uploads.already = 0">{{ t.forget }}</button></p>
  <p v-if="uploads.lost" class="note warn" role="alert">{{ fill(t.lost, { count: number(uploads.lost) }) }} <button class="link quiet" @click="uploads.lost = 0">{{ t.forget }}</button></p>`;

const selection = `
  <div v-if="teaching.selected.size" class="selection-bar" role="toolbar" :aria-label="t.selection">
    <span class="count" role="status">{{ fill(teaching.selected.size === 1 ? t.selected_one : t.selected, { count: number(teaching.selected.size) }) }}</span>
    <span class="move-words">{{ t.move_to }}</span>
    <div class="moves"><button v-for="(one, n) in dataset.classes" :key="one.label" class="move" @click="labelSelected(one.label)"><kbd v-if="n < 9" aria-hidden="true">{{ n + 1 }}</kbd><span dir="auto">{{ one.label }}</span></button></div>
    <button class="button small-button danger" @click="discard">{{ t.remove }}</button>
    <button class="link quiet" @click="select([])">{{ t.clear_selection }}</button>
  </div>`;

export const photos = `
  <div class="bench">
${rail}
    <section class="wall-side" :aria-label="wallName">
      <div class="wall-head">
        <h2 dir="auto">{{ wallName }}</h2>
        <button v-if="tiles.length" class="link" @click="selectAll(); $refs.wall.focus()">{{ t.select_all }}</button>
        <button v-if="dataset.undo" class="link undo-link" @click="undo" :title="t.undo_title"><span aria-hidden="true">↶ </span>{{ t['undo_' + dataset.undo] ?? t.undo }}</button>
        <p v-if="said" class="said" role="status">{{ said }}</p>
      </div>
${arriving}${left_out}
      <p v-if="trouble" class="note warn" role="alert">{{ trouble }}</p>
      <p v-if="dataset.loading?.state === 'failed'" class="note warn" role="alert">{{ fill(t.loading_failed, { detail: dataset.loading.detail }) }} <button class="link" @click="example(dataset.loading.set)">{{ t.try_again }}</button></p>
      <div v-if="!tiles.length" class="wall-empty" @dragover="allow">
        <p class="big">{{ emptyTitle }}</p>
        <p class="small">{{ t.empty_how }}</p>
        <div class="row">
          <label class="button primary file"><input type="file" :accept="accept" multiple @change="pick($event, shownLabel)" :aria-label="t.choose"><span>{{ t.choose }}</span></label>
          <button v-if="shownLabel !== null" class="button" @click="startBurst(shownLabel)">{{ t.use_camera }}</button>
        </div>
      </div>
      <div v-show="tiles.length">${wallTemplate}</div>
      <p v-if="tiles.length" class="keys-help small"><kbd>Shift</kbd> <kbd>Ctrl</kbd> {{ t.help_click }} · <kbd>1</kbd>–<kbd>9</kbd> {{ t.help_label }} · <kbd>Del</kbd> {{ t.help_remove }} · <kbd>Ctrl Z</kbd> {{ t.help_undo }}</p>
    </section>
${selection}
  </div>`;

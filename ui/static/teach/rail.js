// Template: the classes beside the wall, each a place to drop on; and the one button, Teach.

import { teachBlock } from "./teach_block.js";

export const rail = `
  <aside class="rail" :aria-label="t.classes">
    <ul class="class-list">
      <li><button :class="['shelf-all', { on: teaching.shown === ALL }]" :aria-pressed="teaching.shown === ALL" @click="teaching.shown = ALL"><span>{{ t.all_photos }}</span><b>{{ number(teaching.photos.length) }}</b></button></li>
      <li v-for="(one, n) in dataset.classes" :key="one.label" :class="['class-card', { on: teaching.shown === one.label, target: target === one.label }]" @dragenter="aim($event, one.label)" @dragover="allow" @dragleave="unaim($event, one.label)" @drop.stop.prevent="dropOn($event, one.label)">
        <form v-if="renaming === one.label" class="rename" @submit.prevent="endRename(one.label)"><label class="field"><span class="unseen">{{ t.class_name }}</span><input ref="rename" v-model="newName" maxlength="60" dir="auto" @keydown.esc="renaming = null" @blur="endRename(one.label)"></label></form>
        <button v-else class="class-head" :aria-pressed="teaching.shown === one.label" @click="teaching.shown = one.label"><span class="class-title" dir="auto">{{ one.label }}</span><b>{{ number(one.photos) }}</b></button>
        <div class="amount" role="img" :aria-label="fill(t.amount, { photos: number(one.photos) })"><i :style="{ width: share(one.photos) }"></i><i class="next" :style="{ width: share(10) }"></i></div>
        <p class="enough">{{ enough(one) }}</p>
        <div class="class-tools">
          <label class="button small-button file"><input type="file" :accept="accept" multiple @change="pick($event, one.label)" :aria-label="fill(t.add_to, { label: one.label })"><span>{{ t.add_photos }}</span></label>
          <button class="button small-button" @click="startBurst(one.label)" :aria-label="fill(t.camera_to, { label: one.label })">{{ t.camera }}</button>
          <details class="more" @toggle="closeOthers"><summary :aria-label="fill(t.more_of, { label: one.label })">⋯</summary><div class="more-menu"><button @click="beginRename(one.label)">{{ t.rename }}</button><button @click="dropClass(one)">{{ t.remove_class }}</button></div></details>
        </div>
        <kbd v-if="n < 9 && teaching.selected.size" class="key" aria-hidden="true">{{ n + 1 }}</kbd>
      </li>
      <li v-if="dataset.unlabelled" :class="['class-card', 'loose', { on: teaching.shown === null, target: target === '' }]" @dragenter="aim($event, '')" @dragover="allow" @dragleave="unaim($event, '')" @drop.stop.prevent="dropOn($event, null)">
        <button class="class-head" :aria-pressed="teaching.shown === null" @click="teaching.shown = null"><span class="class-title">{{ t.unlabelled }}</span><b>{{ number(dataset.unlabelled) }}</b></button>
        <p class="enough">{{ t.unlabelled_help }}</p>
      </li>
    </ul>
    <form class="new-class" @submit.prevent="makeClass"><label class="field"><span class="unseen">{{ t.new_class }}</span><input v-model="fresh" maxlength="60" autocomplete="off" dir="auto" :placeholder="t.new_class"></label><button class="button small-button" :disabled="!fresh.trim()">{{ t.make }}</button></form>
    ${teachBlock}
  </aside>`;

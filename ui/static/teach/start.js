// Template: the page before there is a photo: two names, or folders, or an example; and what may be gone on with.

import { cardsDrawing } from "./drawing.js";
import { inboxCard } from "./inbox.js";

export const start = `
  <section :class="['desk', 'teach-desk', { over: over > 0 }]" :aria-label="t.start_title">
    <div class="desk-words">
      <h1>{{ t.headline }}</h1>
      <p class="lead">{{ t.lead }}</p>
      <form class="first-classes" @submit.prevent="startNamed">
        <fieldset>
          <legend>{{ t.first_legend }}</legend>
          <label v-for="n in names_.length" :key="n" class="field"><span class="unseen">{{ fill(t.first_name, { number: n }) }}</span><input ref="first" :required="n < 3" v-model="names_[n - 1]" maxlength="60" autocomplete="off" dir="auto" :placeholder="n === 1 ? t.first_example : n === 2 ? t.second_example : t.next_example"></label>
          <button type="button" class="link add-name" @click="names_.push('')">{{ t.one_more }}</button>
        </fieldset>
        <div class="row actions">
          <button class="button primary" :disabled="!!teaching.acting">{{ t.start_named }}</button>
          <label class="button file"><input type="file" webkitdirectory multiple @change="pickFolders" :aria-label="t.pick_folder"><span>{{ t.pick_folder }}</span></label>
        </div>
        <p class="hint">{{ t.start_hint }}</p>
      </form>
    </div>
    <div class="desk-picture">${cardsDrawing}</div>
    <p v-if="over" class="desk-over">{{ t.drop_folders }}</p>
  </section>
  <p v-if="trouble" class="note warn" role="alert">{{ trouble }}</p>
  <div class="helps teach-helps" v-if="overview">
    <section v-if="overview.examples.length" class="example-sets">
      <h2>{{ t.examples }}</h2>
      <div class="row">
        <button v-for="set in overview.examples" :key="set.id" class="choice-card" :disabled="!!teaching.acting" @click="startExample(set.id)">
          <span :class="['swatches', set.id]" aria-hidden="true"><i></i><i></i><i></i><i></i></span>
          <b>{{ t['example_' + set.id] ?? set.id }}</b>
          <small>{{ fill(t['example_' + set.id + '_note'] ?? t.example_note, { photos: number(set.photos), size: mega(set.size_bytes) }) }}</small>
        </button>
      </div>
    </section>
    <section v-if="overview.datasets.length" class="go-on">
      <h2>{{ t.go_on }}</h2>
      <ul>
        <li v-for="one in newestFirst" :key="one.id"><button class="go-on-with" @click="open(one.id)"><b dir="auto">{{ one.name }}</b><small>{{ fill(one.photos === 1 ? t.photo_count_one : t.photo_count, { photos: number(one.photos) }) }} · {{ fill(t.class_count, { classes: number(one.labels) }) }} · {{ when(one.updated) }}</small></button></li>
      </ul>
    </section>
${inboxCard}
  </div>
  <p class="privacy"><span aria-hidden="true">◌</span> {{ t.privacy }}</p>`;

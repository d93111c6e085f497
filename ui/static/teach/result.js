// Template: how good it is, what would make it better, a trial, and the way to serve it.

import { teachBlock } from "./teach_block.js";
import { trialTemplate } from "./trial.js";

const whisker = (of, words) => `<div class="whisker" role="img" :aria-label="${words}"><i class="span" :style="spanStyle(${of}.interval)"></i><i class="point" :style="{ left: at(${of}.value) }"></i></div>`;

const verdict = `
  <section class="verdict-panel teach-verdict" :aria-label="t.result_title">
    <h1 class="verdict-big" tabindex="-1" ref="verdict">{{ fill(t.verdict, { right: number(right), photos: number(report.photos) }) }}</h1>
    <div class="accuracy">
      <strong>{{ share100(report.accuracy) }}</strong>
      ${whisker("{ interval: report.interval, value: report.accuracy }", "intervalWords")}
      <div class="scale" aria-hidden="true"><span>{{ share100(low) }}</span><span>{{ share100(1) }}</span></div>
    </div>
    <p class="small">{{ intervalWords }} {{ t.how_measured }}</p>
    <p class="small">{{ sureWords }}</p>
    <p v-if="guesses" class="doubt">{{ t.guesses }}</p>
    <div class="serve-row" v-if="dataset.version">
      <template v-if="isServed">
        <p class="thanks" role="status" :title="dataset.version">{{ fill(t.served, { name: dataset.name }) }} {{ servedWords }}</p>
        <div class="row"><a class="button primary" :href="home">{{ t.classify_now }}</a><a class="button" :href="home + 'versions'">{{ t.roll_back_there }}</a></div>
      </template>
      <template v-else>
        <div class="row"><button class="button primary" :disabled="!!teaching.acting || running" @click="serve">{{ teaching.acting === 'serve' ? t.serving : t.serve }}</button><button class="button" :disabled="!!teaching.acting || running" @click="discardModel">{{ t.discard_model }}</button></div>
        <p class="small">{{ fill(t.replaces, { product }) }}</p>
      </template>
    </div>
  </section>`;

const perClass = `
  <section class="panel by-class" :aria-label="t.by_class">
    <h2>{{ t.by_class }}</h2>
    <ul>
      <li v-for="one in report.classes" :key="one.label">
        <b dir="auto">{{ one.label }}</b><span class="recall">{{ share100(one.recall) }}</span>
        ${whisker("{ interval: one.interval, value: one.recall }", "fill(t.class_words, { label: one.label, share: share100(one.recall), low: share100(one.interval[0]), high: share100(one.interval[1]) })")}
        <small>{{ fill(one.photos === 1 ? t.photo_count_one : t.photo_count, { photos: number(one.photos) }) }} · {{ nextTen(one) }}</small>
      </li>
    </ul>
    <template v-if="report.confused.length">
      <h3>{{ t.confused }}</h3>
      <ul class="confused"><li v-for="pair in report.confused.slice(0, 6)" :key="pair.truth + '/' + pair.predicted"><b dir="auto">{{ pair.truth }}</b><span class="arrow" aria-hidden="true">→</span><span class="unseen">{{ t.taken_for }}</span><b dir="auto">{{ pair.predicted }}</b><small>{{ fill(pair.photos === 1 ? t.photo_count_one : t.photo_count, { photos: number(pair.photos) }) }}</small></li></ul>
    </template>
  </section>`;

const doubtful = `
  <section v-if="report.doubtful.length" class="panel doubtful" :aria-label="t.doubtful">
    <h2>{{ t.doubtful }}</h2>
    <p class="small">{{ doubts.length ? t.doubtful_lead : t.doubtful_done }}</p>
    <ul>
      <li v-for="one in doubts.slice(0, manyDoubts)" :key="one.photo">
        <img :src="thumbnail(one.photo)" :alt="nameOf(one.photo)" loading="lazy">
        <p>{{ t.in_class }} <b dir="auto">{{ one.label }}</b><br>{{ one.suggestion === null ? t.looks_like_none : t.looks_like }} <b v-if="one.suggestion !== null" dir="auto">{{ one.suggestion }}</b></p>
        <div class="doubt-tools">
          <button v-if="one.suggestion !== null" class="button small-button" @click="relabel(one)">{{ fill(t.move_it, { label: one.suggestion }) }}</button>
          <button class="button small-button" @click="drop(one)" :aria-label="fill(t.remove_photo, { name: nameOf(one.photo) })">{{ t.remove }}</button>
          <button class="link quiet" @click="keep(one)" :aria-label="fill(t.keep_photo, { name: nameOf(one.photo) })">{{ t.keep }}</button>
        </div>
      </li>
    </ul>
    <button v-if="doubts.length > manyDoubts" class="link" @click="manyDoubts = Infinity">{{ fill(t.more_doubts, { count: number(doubts.length - manyDoubts) }) }}</button>
  </section>`;

export const result = `
  <div class="outcome">
    <div v-if="dataset.outdated || running" class="outdated"><p v-if="!running">{{ t.outdated }}</p>${teachBlock}</div>
    <p v-if="trouble" class="note warn" role="alert">{{ trouble }}</p>
    <p v-if="said" class="note undo" role="status">{{ said }} <button v-if="dataset.undo" class="link" @click="undo">{{ t.undo }}</button></p>
    <div class="outcome-columns">
      <div>${verdict}${trialTemplate}</div>
      ${perClass}
    </div>
${doubtful}
  </div>`;

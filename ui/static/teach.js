// The Teach page: the Vue component; its state is in teach/store.js, its templates and parts are in teach/.

import { reason } from "./reasons.js";
import { fill } from "./send.js";
import { burst, burstTemplate } from "./teach/burst.js";
import { addClass, alike, example, label, removeClass, rename, renameClass, undo } from "./teach/changes.js";
import { chosen, dropped } from "./teach/drops.js";
import { photos } from "./teach/photos.js";
import { inbox, inboxTemplate } from "./teach/inbox.js";
import { outcome } from "./teach/outcome.js";
import { result } from "./teach/result.js";
import { start } from "./teach/start.js";
import { act, ALL, begin, create, isRunning, leave, open, path, select, teaching } from "./teach/store.js";
import { trial } from "./teach/trial.js";
import { add, uploads } from "./teach/uploads.js";
import { DRAGGED, wall } from "./teach/wall.js";
import { unknownAnswers } from "./unknown.js";

const LISTED = 6; // refused photos that are named at first
const GOOD = 10; // photos of a class to begin well with
const LITTLE = 0.003; // accuracy that ten more photos should bring to be worth a word
const SCALE = 30; // photos that the bars show at least

export default {
  mixins: [unknownAnswers, wall, inbox, burst, trial, outcome],
  props: { t: Object, language: String, names: Object, accept: String, admission: String, product: String },
  data: () => ({
    teaching,
    uploads,
    ALL,
    home: new URL("../../", import.meta.url).pathname,
    names_: ["", ""],
    fresh: "",
    over: 0,
    target: null,
    renaming: null,
    newName: "",
    titling: false,
    deleting: false,
    manyRefused: LISTED,
    touched: false,
  }),
  computed: {
    dataset: () => teaching.dataset,
    overview: () => teaching.overview,
    report: () => teaching.dataset?.report,
    running: () => isRunning(teaching.dataset?.run),
    allowed() {
      return this.admission === "allowed" || (this.admission === "" && teaching.dataset);
    },
    least() {
      return this.overview?.limits.least_per_class ?? 3;
    },
    busyUploading: () => uploads.done < uploads.all,
    loadingSet: () => (teaching.dataset?.loading?.state === "loading" ? teaching.dataset.loading : null),
    named_() {
      return [...new Set(this.names_.map((name) => name.trim()).filter(Boolean))];
    },
    newestFirst() {
      return [...this.overview.datasets].sort((a, b) => b.updated - a.updated);
    },
    views() {
      const photos = { id: "photos", words: this.t.view_photos, count: this.number(teaching.photos.length) };
      const result = { id: "result", words: this.t.view_result, count: this.report ? this.share100(this.report.accuracy) : "", disabled: !this.report };
      const waiting = this.overview?.inbox.waiting;
      return [photos, result, { id: "inbox", words: this.t.inbox, count: waiting ? this.number(waiting) : "" }];
    },
    shownLabel: () => (teaching.shown === ALL ? null : teaching.shown),
    wallName() {
      if (teaching.view === "inbox") return this.t.inbox;
      return teaching.shown === ALL ? this.t.all_photos : (teaching.shown ?? this.t.unlabelled);
    },
    emptyTitle() {
      return teaching.shown === ALL || teaching.shown === null ? this.t.empty_all : fill(this.t.empty_class, { label: teaching.shown });
    },
    burstTitle() {
      return fill(this.t.burst_title, { label: this.burstLabel ?? "" });
    },
    scale() {
      return Math.max(SCALE, ...this.dataset.classes.map(({ photos }) => photos)) + 10;
    },
    // What stands in the way of teaching; empty if nothing does.
    missing() {
      const { classes } = this.dataset;
      if (this.overview && !this.overview.backbone) return this.t.no_backbone;
      if (classes.length < 2) return this.t.need_classes;
      const poor = classes.find(({ photos }) => photos < this.least);
      return poor ? fill(this.t.need_photos, { label: poor.label, count: this.number(this.least - poor.photos) }) : "";
    },
    teachWords() {
      if (this.busyUploading || this.loadingSet) return this.t.wait_uploads;
      if (this.missing) return this.missing;
      if (this.report) return this.dataset.outdated ? this.t.changed_since : this.t.nothing_new;
      const photos = this.dataset.classes.reduce((sum, one) => sum + one.photos, 0);
      return fill(this.t.ready, { photos: this.number(photos), classes: this.number(this.dataset.classes.length) });
    },
    runShare() {
      const { state, done, total } = this.dataset.run;
      const part = total ? done / total : 0;
      return { waiting: 0.02, features: 0.05 + 0.55 * part, learning: 0.6 + 0.3 * part, checking: 0.9 + 0.1 * part }[state] ?? 1;
    },
    runWords() {
      const { state, done, total } = this.dataset.run;
      return fill(this.t[`run_${state}`], { done: this.number(done), total: this.number(total) });
    },
    said() {
      const { key, count, label: of } = teaching.said ?? {};
      if (!key) return "";
      return fill(this.t[count === 1 ? `${key}_one` : key] ?? this.t[key], { count: this.number(count ?? 0), label: of ?? "" });
    },
    trouble() {
      if (teaching.problem) return this.because(teaching.problem);
      const { run } = this.dataset ?? {};
      return run?.state === "failed" ? fill(this.t.run_failed, { detail: run.detail ?? "" }) : "";
    },
    tilePlace() {
      return (n) => {
        const place = this.firstRow * this.columns + n;
        return { transform: `translate(${(place % this.columns) * this.step}px, ${Math.floor(place / this.columns) * this.step}px)` };
      };
    },
    rectangleStyle() {
      const { left, top, right, bottom } = this.rectangle;
      const wall = this.$refs.wall;
      return { left: `${left + wall.offsetLeft}px`, top: `${top + wall.offsetTop}px`, width: `${right - left}px`, height: `${bottom - top}px` };
    },
  },
  watch: {
    allowed: { immediate: true, handler: (now) => now && begin() },
    "teaching.shown"() {
      this.active = this.anchor = "";
      select([]);
    },
  },
  methods: {
    fill,
    example,
    open,
    select,
    undo,
    number(value) {
      return value.toLocaleString(this.language, { maximumFractionDigits: 1 });
    },
    percent(value) {
      return Math.min(value, 0.99).toLocaleString(this.language, { style: "percent", maximumFractionDigits: 0 }); // never certain
    },
    mega(bytes) {
      return this.number(Math.round(bytes / 1e6));
    },
    when(moment) {
      return new Date(1000 * moment).toLocaleString(this.language, { dateStyle: "medium", timeStyle: "short" });
    },
    thumbnail: (id) => new URL(`../api/${teaching.view === "inbox" ? `teach/inbox/${id}/thumbnail` : path(`/photos/${id}/thumbnail`)}`, import.meta.url).href,
    share(count) {
      return `${(100 * count) / this.scale}%`;
    },
    because(problem, bytes = 0) {
      return reason(problem, { t: this.t, language: this.language, accept: this.accept, bytes });
    },
    whyRefused({ problem, bytes, name }) {
      const detail = problem.detail?.startsWith(`${name}: `) ? problem.detail.slice(name.length + 2) : problem.detail;
      return this.because({ ...problem, detail }, bytes);
    },
    enough({ label: of, photos: count }) {
      if (count < this.least) return fill(this.t.needs_more, { count: this.number(this.least - count) });
      const known = this.report?.classes.find((one) => one.label === of);
      if (known && known.next_ten !== null) return this.nextTen(known);
      return count < GOOD ? this.t.enough_to_begin : this.t.good_to_begin;
    },
    nextTen({ next_ten: gain }) {
      if (gain === null || gain === undefined) return this.t.next_unknown;
      return gain < LITTLE ? this.t.next_little : fill(this.t.next_ten, { points: this.number(100 * gain) });
    },
    async startNamed() {
      const labels = this.named_;
      if (labels.length < 2 || !(await create(labels.join(" / ")))) return;
      for (const name of labels) await addClass(name);
      teaching.shown = labels[0];
      this.$nextTick(() => this.$el.querySelector(".wall-empty input")?.focus());
    },
    async startExample(set) {
      if (await create(this.t[`example_${set}`] ?? set)) await example(set);
    },
    // Photos of a picker or a drop; the first begin a dataset.
    async take(files) {
      if (!files.length) return;
      const labels = [...new Set(files.map((one) => one.label).filter((name) => name !== null))];
      if (!teaching.dataset && !(await create(labels.slice(0, 4).join(" / ") || this.t.my_photos))) return;
      await add(files);
    },
    pick(event, to) {
      const files = chosen(event.target.files, to);
      event.target.value = "";
      this.take(files);
    },
    pickFolders(event) {
      this.pick(event, null);
    },
    tryChosen(event) {
      const files = [...event.target.files];
      event.target.value = "";
      this.tryPhotos(files);
    },
    allow(event) {
      if (!event.dataTransfer.types.includes("Files") && !event.dataTransfer.types.includes(DRAGGED)) return;
      event.preventDefault();
    },
    aim(event, to) {
      this.allow(event);
      this.target = to;
    },
    unaim(event, to) {
      if (this.target === to && !event.currentTarget.contains(event.relatedTarget)) this.target = null;
    },
    async dropOn(event, to) {
      this.target = null;
      this.over = 0;
      if (event.dataTransfer.types.includes(DRAGGED)) await label(this.chosen, to);
      else await this.take(await dropped(event.dataTransfer, to));
    },
    async dropAnywhere(event) {
      this.over = 0;
      if (!this.allowed || !event.dataTransfer.types.includes("Files")) return;
      if (this.dataset && teaching.view === "result") return this.tryPhotos([...event.dataTransfer.files]);
      await this.take(await dropped(event.dataTransfer, this.dataset ? this.shownLabel : null));
    },
    paste(event) {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length || !this.allowed) return;
      event.preventDefault();
      if (this.dataset && teaching.view === "result") this.tryPhotos(files);
      else this.take(files.map((file) => ({ file, label: this.dataset ? this.shownLabel : null })));
    },
    async makeClass() {
      const name = this.fresh.trim();
      const there = this.dataset.classes.find((one) => alike(one.label, name));
      if (there || (name && (await addClass(name)))) {
        this.fresh = "";
        teaching.shown = there?.label ?? name;
      }
    },
    beginRename(name) {
      this.renaming = this.newName = name;
      this.$nextTick(() => this.$refs.rename?.[0]?.select());
    },
    endRename(name) {
      if (this.renaming !== name) return;
      this.renaming = null;
      renameClass(name, this.newName.trim());
    },
    dropClass({ label: name }) {
      removeClass(name);
    },
    endTitle() {
      if (!this.titling) return;
      this.titling = false;
      rename(this.newName.trim());
    },
    async deleteAll() {
      this.deleting = false;
      if (await act("delete", "DELETE", path(), undefined, () => null)) await leave();
    },
    labelSelected(to) {
      label(this.chosen, to);
    },
    train() {
      return act("train", "POST", path("/train"));
    },
    cancel() {
      return act("train", "DELETE", path("/train"));
    },
    closeOthers(event) {
      if (!event.target.open) return;
      for (const menu of this.$el.querySelectorAll("details[open]")) if (menu !== event.target) menu.open = false;
      const [menu] = event.target.getElementsByClassName("more-menu");
      menu.classList.remove("flipped");
      menu.classList.toggle("flipped", menu.getBoundingClientRect().right > innerWidth); // no room to the right
    },
    leaveMenu(event) {
      const menu = event.key === "Escape" && this.$el.querySelector("details[open]");
      if (!menu) return;
      menu.open = false;
      menu.querySelector("summary").focus();
      event.stopImmediatePropagation(); // the selection stays
    },
    closeMenus(event) {
      for (const menu of this.$el.querySelectorAll("details[open]")) if (!menu.contains(event.target) || event.type === "click") menu.open = false;
    },
    leave,
  },
  mounted() {
    this.stopping = new AbortController();
    const on = (name, handler, options = {}) => window.addEventListener(name, handler, { signal: this.stopping.signal, ...options });
    on("paste", this.paste);
    on("keydown", this.leaveMenu);
    on("keydown", this.shortcut);
    on("scroll", this.measure, { passive: true });
    on("resize", this.measure);
    on("pointerdown", this.closeMenus);
    on("dragenter", (event) => event.dataTransfer?.types.includes("Files") && (this.over += 1));
    on("dragleave", () => (this.over = Math.max(0, this.over - 1)));
    on("dragover", this.allow);
    on("drop", (event) => {
      event.preventDefault();
      this.dropAnywhere(event);
    });
  },
  unmounted() {
    this.stopping.abort();
  },
  template: `
  <div :class="['teach', { over: over > 0, dragging }]">
    <template v-if="!allowed">
      <div class="page-head"><h1>{{ t.headline }}</h1><p class="lead">{{ t.lead }}</p></div>
      <p v-if="admission" class="note admission" role="status">{{ t['admission_' + admission] }}</p>
    </template>
    <template v-else-if="dataset">
      <header class="teach-head">
        <form v-if="titling" class="rename" @submit.prevent="endTitle"><label class="field"><span class="unseen">{{ t.name }}</span><input ref="title" v-model="newName" maxlength="100" dir="auto" @blur="endTitle" @keydown.esc="titling = false"></label></form>
        <component v-else :is="teaching.view === 'photos' ? 'h1' : 'p'" class="dataset-name" dir="auto">{{ dataset.name }}</component>
        <details class="more" @toggle="closeOthers"><summary :aria-label="t.more">⋯</summary><div class="more-menu" @click="closeMenus">
          <button @click="newName = dataset.name; titling = true; $nextTick(() => $refs.title.select())">{{ t.rename }}</button>
          <button @click="leave">{{ t.another }}</button>
          <button @click="deleting = true">{{ t.delete_all }}</button>
        </div></details>
        <div class="segments views" role="group" :aria-label="t.views">
          <button v-for="view in views" :key="view.id" :aria-pressed="teaching.view === view.id" :disabled="view.disabled" @click="teaching.view = view.id">{{ view.words }} <b v-if="view.count">{{ view.count }}</b></button>
        </div>
      </header>
      <div v-if="deleting" class="note warn" role="alertdialog" :aria-label="t.delete_all"><p>{{ fill(t.delete_sure, { photos: number(dataset.removed + teaching.photos.length) }) }}</p><div class="row"><button class="button small-button" @click="deleteAll">{{ t.delete_all }}</button><button class="button small-button" @click="deleting = false">{{ t.keep_all }}</button></div></div>
      <template v-if="teaching.view === 'photos'">${photos}</template>
      <template v-else-if="teaching.view === 'inbox'">${inboxTemplate}</template>
      <template v-else-if="report">${result}</template>
    </template>
    <template v-else-if="teaching.view === 'inbox'">
      <header class="teach-head"><button class="link" @click="teaching.view = 'photos'">{{ t.inbox_back }}</button></header>
      ${inboxTemplate}
    </template>
    <template v-else-if="!teaching.loading">${start}</template>
    <p v-else class="note" role="status">{{ t.loading }}</p>
${burstTemplate}
  </div>`,
};

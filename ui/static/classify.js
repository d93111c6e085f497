// The Classify page: the Vue component with its state and methods; the templates are in classify/.

import { paint } from "./heat.js";
import { csv, download, json } from "./files.js";
import { reason, title } from "./reasons.js";
import { fill, size } from "./send.js";
import { cards } from "./classify/cards.js";
import { dropZone } from "./classify/drop_zone.js";
import { TICKS } from "./classify/lens.js";
import { samples } from "./classify/samples.js";
import { SEEDS } from "./classify/seed_head.js";
import { table } from "./classify/table.js";
import { toolbar } from "./classify/toolbar.js";
import { viewer } from "./classify/viewer.js";
import { add, again, clear, correct, forget, remove, resume, session, undo } from "./session.js";
import { answerOf, UNKNOWN, unknownAnswers } from "./unknown.js";

export default {
  mixins: [unknownAnswers],
  props: {
    t: Object, language: String, labels: Array, names: Object, threshold: Number, unknownThreshold: Number, accept: String,
    product: Object, samples: Array, phone: Object, keeps: Object,
  },
  data: () => ({
    session,
    seeds: SEEDS,
    ticks: TICKS,
    view: "cards",
    heat: 50, // % in the large view
    gridHeat: null, // over the cards; until it is chosen, over a lone one
    filter: "",
    only: "",
    sort: "added",
    down: true,
    over: 0,
    current: null,
    right: "",
    submitting: false,
    failed: null,
    pasted: "",
  }),
  computed: {
    items() {
      return this.session.items;
    },
    privacy() {
      return this.keeps ? fill(this.t.privacy_kept, { days: this.keeps.days.toLocaleString(this.language) }) : this.t.privacy;
    },
    done() {
      return this.items.filter((item) => item.state === "done" || item.state === "refused").length;
    },
    fraction() {
      return this.items.length ? this.done / this.items.length : 0;
    },
    blown() {
      return this.over > 0 ? 0.45 : this.busy ? this.fraction : 0;
    },
    busy() {
      return this.done < this.items.length;
    },
    left() {
      return Math.max(0, Math.ceil((this.session.pausedUntil - this.session.now) / 1000));
    },
    paused() {
      return this.busy && this.session.pause && this.left > 0;
    },
    // Labels with their photos and how many of these are uncertain, the most frequent first and "none of these" last: they
    // add up to all answers.
    tally() {
      const counts = new Map();
      for (const item of this.items) {
        const label = answerOf(item);
        if (!label) continue;
        const { count = 0, unsure = 0 } = counts.get(label) ?? {};
        counts.set(label, { label, count: count + 1, unsure: unsure + (item.uncertain ? 1 : 0) });
      }
      return [...counts.values()].sort((a, b) => (a.label === UNKNOWN) - (b.label === UNKNOWN) || b.count - a.count);
    },
    unsure() {
      return this.tally.reduce((sum, { unsure }) => sum + unsure, 0);
    },
    heated() {
      return this.gridHeat ?? this.items.length === 1;
    },
    refused() {
      return this.items.filter((item) => item.state === "refused").length;
    },
    shown() {
      const words = this.filter.trim().toLowerCase();
      let items = this.items.filter(
        (item) =>
          (!words || item.name.toLowerCase().includes(words) || this.named(answerOf(item)).toLowerCase().includes(words)) &&
          (!this.only || (this.only === "?" ? item.uncertain : this.only === "!" ? item.state === "refused" : answerOf(item) === this.only)),
      );
      if (this.sort !== "added") {
        items = [...items].sort((a, b) => (this.value(a) < this.value(b) ? -1 : this.value(a) > this.value(b) ? 1 : 0));
        if (this.down) items.reverse();
      }
      return items;
    },
  },
  methods: {
    fill,
    clear,
    forget,
    undo,
    again,
    resume,
    bytes(item) {
      return size(item.bytes, this.language);
    },
    // What the table is sorted by.
    value(item) {
      if (this.sort === "name") return item.name;
      if (this.sort === "label") return answerOf(item);
      return (this.sort === "total" ? item.timings?.total : item.confidence) ?? -1;
    },
    percent(value) {
      const shown = Math.min(value, 0.999); // never rounded up to certainty
      const words = shown.toLocaleString(this.language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
      return value > shown ? `> ${words}` : words;
    },
    ms(value) {
      return `${value.toLocaleString(this.language, { maximumFractionDigits: value < 10 ? 1 : 0 })} ms`;
    },
    labelsOf(item) {
      return Object.keys(item.probabilities ?? {}).length ? Object.keys(item.probabilities) : this.labels;
    },
    // The rows of the large view: the answer first, and "none of these" last where it is not the answer.
    scores(item) {
      const rows = this.ranked(item).map(([label, value]) => ({ label, value, kind: item.unknown ? "other" : "" }));
      if (item.unknownProbability === undefined) return rows;
      const none = { label: UNKNOWN, value: item.unknownProbability, kind: "unknown" };
      return item.unknown ? [none, ...rows] : [...rows, none];
    },
    // Where the bar of an answer has its mark.
    mark(item) {
      const threshold = item.unknown ? this.unknownThreshold : this.threshold;
      return threshold ? { "--threshold": `${100 * threshold}%` } : {};
    },
    // The label that is offered first as the right one.
    likely(item) {
      return item.unknown ? this.ranked(item)[0]?.[0] : this.labelsOf(item).find((label) => label !== item.label);
    },
    // All that a card shows: of a thousand cards only those are drawn again for which one of these has changed.
    looks(item) {
      const { state, sick, width, correction, thanks, problem } = item;
      return [this.t, this.names, this.threshold, this.unknownThreshold, this.accept, this.heated, problem, state, sick, width, correction, thanks, state === "waiting" && this.paused ? this.left : 0];
    },
    why(item) {
      return this.explain(item, item.problem ?? {});
    },
    explain(item, problem) {
      return reason(problem, { t: this.t, language: this.language, accept: this.accept, bytes: item.bytes });
    },
    headline(item) {
      return title(item.problem ?? {}, { t: this.t, language: this.language });
    },
    async sample(url) {
      const answer = await fetch(url);
      const name = url.split("/").at(-1);
      add([new File([await answer.blob()], name, { type: answer.headers.get("content-type") })], { measured: true });
    },
    choose(event) {
      add(event.target.files);
      event.target.value = "";
    },
    dropped(event) {
      this.over = 0;
      if (event.dataTransfer?.files.length) add(event.dataTransfer.files);
    },
    paste(event) {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      add(files);
    },
    enter(event) {
      if (event.dataTransfer?.types.includes("Files")) this.over += 1;
    },
    leave() {
      this.over = Math.max(0, this.over - 1);
    },
    seen(event, item) {
      const { naturalWidth, naturalHeight } = event.target;
      item.width = naturalWidth;
      item.height = naturalHeight;
    },
    draw(canvas, item) {
      if (canvas && item.map && item.width && canvas.dataset.painted !== item.id) {
        canvas.dataset.painted = item.id;
        paint(canvas, item.map, item.width, item.height);
      }
    },
    order(column) {
      this.down = this.sort === column ? !this.down : column === "confidence" || column === "total";
      this.sort = column;
    },
    aria(column) {
      return this.sort !== column ? "none" : this.down ? "descending" : "ascending";
    },
    open(item) {
      this.current = item;
      this.failed = null;
      this.right = item.correction || this.likely(item) || UNKNOWN;
      this.$nextTick(() => this.$refs.dialog.open || this.$refs.dialog.showModal());
    },
    step(by) {
      const index = this.shown.findIndex((item) => item.id === this.current.id);
      const next = this.shown[(index + by + this.shown.length) % this.shown.length];
      if (next) this.open(next);
    },
    keys(event) {
      if (["INPUT", "SELECT"].includes(event.target.tagName)) return;
      if (event.key === "ArrowRight") this.step(1);
      if (event.key === "ArrowLeft") this.step(-1);
    },
    async submit(item) {
      this.submitting = true;
      this.failed = null;
      const { stored, problem } = await correct(item, this.right);
      this.submitting = false;
      if (problem) this.failed = this.lost(item, problem);
      else item.thanks = fill(this.t[stored === "spool" ? "feedback_spooled" : "feedback_stored"], { label: this.named(this.right) });
    },
    // Why a correction is not kept. That there is no such label as UNKNOWN, only an appliance of an earlier release says.
    lost(item, problem) {
      if (problem.kind === "unknown" && this.right === UNKNOWN) return this.t.feedback_no_unknown;
      return this.t[`feedback_${problem.kind}`] ?? this.explain(item, problem);
    },
    drop(item) {
      this.$refs.dialog.close();
      remove(item);
    },
    save(kind) {
      const stamp = new Date().toISOString().slice(0, 16).replace(/[T:]/g, "-");
      if (kind === "csv") download(`${this.product.file}-${stamp}.csv`, "text/csv", csv(this.shown));
      else download(`${this.product.file}-${stamp}.json`, "application/json", json(this.shown));
    },
  },
  mounted() {
    this.stop = new AbortController();
    const on = (name, handler) => window.addEventListener(name, handler, { signal: this.stop.signal });
    on("paste", this.paste);
    on("dragenter", this.enter);
    on("dragleave", this.leave);
    on("dragover", (event) => event.preventDefault());
    on("drop", (event) => {
      event.preventDefault();
      this.dropped(event);
    });
  },
  unmounted() {
    this.stop.abort();
  },
  template: `
  <div class="classify" :style="{ '--heat': heat / 100 }">
${dropZone}
    <div v-if="session.taken" class="note undo" role="status">
      <span>{{ fill(session.taken.count === 1 ? t.taken_one : t.taken, { count: session.taken.count }) }}</span>
      <button class="link" @click="undo()">{{ t.undo }}</button>
      <button class="link quiet" @click="forget()">{{ t.forget }}</button>
    </div>
${samples}
    <p v-if="!items.length" class="privacy"><span aria-hidden="true">◌</span> {{ privacy }}</p>
    <p v-if="session.restored || session.lost" class="note" role="status">{{ fill(t.restored, { rows: session.restored, lost: session.lost }) }}</p>

    <template v-if="items.length">
${toolbar}

      <p v-if="!shown.length" class="note">{{ t.nothing_matches }}</p>
${cards}
${table}
      <p class="privacy"><span aria-hidden="true">◌</span> {{ privacy }}</p>
    </template>

${viewer}
    <p class="unseen" role="status">{{ busy ? fill(t.progress, { done, all: items.length }) : '' }}</p>
  </div>`,
};

// The report in words and lengths, what is done with doubtful photos, and serving.

import { markRaw } from "vue";
import { fill } from "../send.js";
import { label, remove } from "./changes.js";
import { act, path, teaching } from "./store.js";

const DOUBTS = 12; // doubtful photos that are shown at first

export const outcome = {
  data: () => ({ manyDoubts: DOUBTS }),
  computed: {
    // Where the scales begin: a multiple of a tenth, so that what matters is not squeezed into their end.
    low() {
      const lowest = Math.min(this.report.interval[0], ...this.report.classes.map((one) => one.interval[0]));
      return Math.max(0, Math.min(0.8, Math.floor(10 * lowest) / 10));
    },
    right() {
      return Math.round(this.report.accuracy * this.report.photos);
    },
    intervalWords() {
      const [low, high] = this.report.interval;
      return fill(this.t.interval, { low: this.share100(low), high: this.share100(high) });
    },
    sureWords() {
      const { answered, answered_precision: precision, called_unknown: unknown } = this.report;
      if (!answered) return this.t.never_sure;
      return fill(this.t.sure, { answered: this.share100(answered), precision: this.share100(precision), unknown: this.share100(unknown) });
    },
    // Whether always answering the largest class could be as good.
    guesses() {
      const largest = Math.max(...this.report.classes.map((one) => one.photos)) / this.report.photos;
      return this.report.interval[0] <= largest;
    },
    doubts() {
      const there = new Map(teaching.photos.map((photo) => [photo.id, photo.label]));
      return this.report.doubtful.filter((one) => there.get(one.photo) === one.label && !teaching.kept.has(one.photo));
    },
    isServed() {
      return this.dataset.version !== null && this.dataset.served === this.dataset.version && this.dataset.serving;
    },
    servedWords() {
      const { where, pinned, detail } = teaching.served ?? {};
      if (where === "store") return this.t.served_store;
      if (!where) return "";
      return pinned ? `${this.t.served_cache} ${detail ? this.because({ kind: "said", detail }) : ""}` : this.t.served_here;
    },
  },
  watch: {
    "teaching.view"(view) {
      if (view === "result") this.$nextTick(() => this.$refs.verdict?.focus());
      else this.stopLive();
    },
  },
  methods: {
    // A share of counted photos in percent; all of them are all.
    share100(share) {
      return share.toLocaleString(this.language, { style: "percent", maximumFractionDigits: share > 0.9 && share < 1 ? 1 : 0 });
    },
    at(share) {
      return `${(100 * Math.max(0, share - this.low)) / (1 - this.low)}%`;
    },
    spanStyle([low, high]) {
      return { left: this.at(low), right: `calc(100% - ${this.at(high)})` };
    },
    nameOf(id) {
      return teaching.photos.find((photo) => photo.id === id)?.name ?? "";
    },
    relabel({ photo, suggestion }) {
      return label([photo], suggestion);
    },
    drop({ photo }) {
      return remove([photo]);
    },
    keep({ photo }) {
      teaching.kept = markRaw(new Set([...teaching.kept, photo]));
    },
    async serve() {
      const served = await act("serve", "POST", path("/serve"), undefined, () => null);
      if (!served) return;
      teaching.served = served;
      teaching.dataset = { ...teaching.dataset, served: served.version, serving: true };
    },
    async discardModel() {
      if (!(await act("discard", "DELETE", path("/model")))) return;
      teaching.view = "photos";
      teaching.said = { key: "said_discarded" };
    },
  },
};

// The Classify page: photos in, answers and their evidence out.

import { paint } from "/ui/static/heat.js";
import { csv, download, json } from "/ui/static/files.js";
import { fill, size } from "/ui/static/send.js";
import { add, again, clear, correct, remove, resume, session } from "/ui/static/session.js";

// A seed head: three rings, the inner ones shorter and paler. The seeds leave as the photos are done.
const RINGS = [
  { count: 26, from: 8, to: 44, tuft: 13 },
  { count: 18, from: 7, to: 33, tuft: 10 },
  { count: 11, from: 6, to: 21, tuft: 8 },
];
const SEEDS = RINGS.flatMap(({ count, from, to, tuft }, ring) =>
  Array.from({ length: count }, (_, n) => ({
    ring,
    turn: (360 / count) * (n + ring / 2) + 5 * Math.sin(7 * n),
    order: (((n * 7) % count) + ring / 3) / count,
    path: `M0 ${-from}V${-to}`,
    tuft: [-34, -17, 0, 17, 34]
      .map((angle) => [tuft * Math.sin((angle * Math.PI) / 180), -to - tuft * Math.cos((angle * Math.PI) / 180)])
      .map(([x, y]) => `M0 ${-to}Q0 ${-to - tuft / 2} ${x.toFixed(1)} ${y.toFixed(1)}`)
      .join(""),
  })),
);

const clock = `
  <svg class="clock" viewBox="-62 -62 124 150" aria-hidden="true">
    <path class="stalk" d="M0 4C2 34 3 58 -6 90" />
    <g v-for="(seed, n) in seeds" :key="n" :class="['seed', 'ring' + seed.ring, { gone: seed.order < blown }]" :style="{ '--turn': seed.turn + 'deg', '--late': (n % 7) * 45 + 'ms' }">
      <g class="fly"><path :d="seed.path" /><path class="tuft" :d="seed.tuft" /></g>
    </g>
    <circle r="6" />
  </svg>`;

const feedback = `
  <form class="correct" @submit.prevent="submit(item)">
    <p class="small">{{ t.feedback_explain }}</p>
    <div class="row">
      <label class="field"><span>{{ t.feedback_label }}</span>
        <select v-model="right" required>
          <option v-for="label in labelsOf(item)" :key="label" :value="label">{{ named(label) }}</option>
        </select>
      </label>
      <button class="button" :disabled="submitting">{{ submitting ? t.feedback_sending : t.feedback_send }}</button>
    </div>
  </form>`;

export default {
  props: { t: Object, language: String, labels: Array, names: Object, threshold: Number },
  data: () => ({
    session,
    seeds: SEEDS,
    view: "cards",
    heat: 50,
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
    tally() {
      const counts = new Map();
      for (const item of this.items) if (item.label) counts.set(item.label, (counts.get(item.label) ?? 0) + 1);
      return [...counts].sort((a, b) => b[1] - a[1]);
    },
    unsure() {
      return this.items.filter((item) => item.uncertain).length;
    },
    refused() {
      return this.items.filter((item) => item.state === "refused").length;
    },
    shown() {
      const words = this.filter.trim().toLowerCase();
      let items = this.items.filter(
        (item) =>
          (!words || item.name.toLowerCase().includes(words) || this.named(item.label ?? "").toLowerCase().includes(words)) &&
          (!this.only || (this.only === "?" ? item.uncertain : this.only === "!" ? item.state === "refused" : item.label === this.only)),
      );
      if (this.sort !== "added") {
        const value = (item) => (this.sort === "total" ? item.timings?.total : item[this.sort]) ?? (this.sort === "name" || this.sort === "label" ? "" : -1);
        items = [...items].sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0));
        if (this.down) items.reverse();
      }
      return items;
    },
  },
  methods: {
    fill,
    clear,
    again,
    resume,
    bytes(item) {
      return size(item.bytes, this.language);
    },
    named(label) {
      return this.names[label] ?? label;
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
    ranked(item) {
      return Object.entries(item.probabilities ?? {}).sort((a, b) => b[1] - a[1]);
    },
    // All that a card shows: of a thousand cards only those are drawn again for which one of these has changed.
    looks(item) {
      const { state, sick, width, correction, thanks } = item;
      return [this.t, this.names, this.threshold, state, sick, width, correction, thanks, state === "waiting" && this.paused ? this.left : 0];
    },
    why(item) {
      return fill(this.t[`refused_${item.problem?.kind}`] ?? this.t.refused_fault, { size: this.bytes(item) });
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
      this.right = item.correction || this.labelsOf(item).find((label) => label !== item.label) || "";
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
      if (problem) this.failed = this.t[`feedback_${problem.kind}`] ?? fill(this.t[`refused_${problem.kind}`] ?? this.t.refused_fault, { size: this.bytes(item) });
      else item.thanks = fill(this.t[stored === "spool" ? "feedback_spooled" : "feedback_stored"], { label: this.named(this.right) });
    },
    drop(item) {
      this.$refs.dialog.close();
      remove(item);
    },
    save(kind) {
      const stamp = new Date().toISOString().slice(0, 16).replace(/[T:]/g, "-");
      if (kind === "csv") download(`dandelion-${stamp}.csv`, "text/csv", csv(this.shown));
      else download(`dandelion-${stamp}.json`, "application/json", json(this.shown));
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
    <section :class="['desk', { over: over > 0, compact: items.length }]" :aria-label="t.drop_title">
      <div class="desk-words">
        <h1 v-if="!items.length">{{ t.headline }}</h1>
        <h1 v-else class="small-title">{{ busy ? fill(t.progress, { done, all: items.length }) : fill(t.finished, { all: items.length }) }}</h1>
        <p v-if="!items.length" class="lead">{{ t.lead }}</p>
        <p v-else-if="paused" class="pause" role="status">
          {{ fill(session.pause === 'busy' ? t.pause_busy : t.pause_away, { seconds: left }) }}
          <button class="link" @click="resume()">{{ t.try_now }}</button>
        </p>
        <p v-else class="tally">
          <span v-for="[label, count] in tally" :key="label"><b>{{ count }}</b> {{ named(label) }}</span>
          <span v-if="unsure"><b>{{ unsure }}</b> {{ t.tally_unsure }}</span>
          <span v-if="refused"><b>{{ refused }}</b> {{ t.tally_refused }}</span>
        </p>
        <div class="row actions">
          <label class="button primary file"><input type="file" accept="image/jpeg,image/png,image/webp" multiple @change="choose" :aria-label="items.length ? t.add_more : t.choose"><span>{{ items.length ? t.add_more : t.choose }}</span></label>
          <label class="button file camera"><input type="file" accept="image/*" capture="environment" @change="choose" :aria-label="t.camera"><span>{{ t.camera }}</span></label>
          <span class="hint">{{ t.hint }}</span>
        </div>
        <div v-if="busy" class="progress" role="progressbar" :aria-label="t.progress_label" aria-valuemin="0" :aria-valuemax="items.length" :aria-valuenow="done"><i :style="{ width: 100 * fraction + '%' }"></i></div>
      </div>
      <div class="desk-picture">${clock}</div>
      <p v-if="over" class="desk-over">{{ t.drop_here }}</p>
    </section>
    <p v-if="!items.length" class="privacy"><span aria-hidden="true">◌</span> {{ t.privacy }}</p>
    <p v-if="session.restored || session.lost" class="note" role="status">{{ fill(t.restored, { rows: session.restored, lost: session.lost }) }}</p>

    <template v-if="items.length">
      <div class="toolbar" role="group" :aria-label="t.toolbar">
        <div class="segments">
          <button :aria-pressed="view === 'cards'" @click="view = 'cards'">{{ t.view_cards }}</button>
          <button :aria-pressed="view === 'table'" @click="view = 'table'">{{ t.view_table }}</button>
        </div>
        <label class="slider" v-if="view === 'cards'"><span>{{ t.heat }}</span><input type="range" min="0" max="100" v-model.number="heat"></label>
        <label class="field grow"><span class="unseen">{{ t.filter }}</span><input type="search" v-model="filter" :placeholder="t.filter"></label>
        <label class="field"><span class="unseen">{{ t.only }}</span>
          <select v-model="only">
            <option value="">{{ t.only_all }}</option>
            <option v-for="[label] in tally" :key="label" :value="label">{{ named(label) }}</option>
            <option value="?">{{ t.only_uncertain }}</option>
            <option value="!">{{ t.only_refused }}</option>
          </select>
        </label>
        <div class="segments files">
          <button @click="save('csv')" :aria-label="t.download_csv">CSV ↓</button>
          <button @click="save('json')" :aria-label="t.download_json">JSON ↓</button>
        </div>
        <button class="link quiet" @click="clear()">{{ t.clear }}</button>
      </div>

      <p v-if="!shown.length" class="note">{{ t.nothing_matches }}</p>
      <ul v-if="view === 'cards'" :class="['cards', { alone: items.length === 1 }]">
        <li v-for="item in shown" :key="item.id" v-memo="looks(item)" :class="['card', item.state, { unsure: item.uncertain }]">
          <button class="picture" @click="open(item)" :aria-label="fill(t.open, { name: item.name })">
            <img v-if="item.url && !item.sick" :src="item.url" alt="" loading="lazy" decoding="async" @load="seen($event, item)" @error="item.sick = true">
            <span v-else class="blank" aria-hidden="true"></span>
            <canvas v-if="item.map && item.width" :ref="(canvas) => draw(canvas, item)" aria-hidden="true"></canvas>
            <span v-if="item.state === 'sending'" class="sending" aria-hidden="true"></span>
          </button>
          <div class="words" v-if="item.state === 'done'">
            <div class="answer"><h2>{{ named(item.label) }}</h2><span class="percent">{{ percent(item.confidence) }}</span></div>
            <div class="bar" role="meter" :aria-label="t.confidence" aria-valuemin="0" aria-valuemax="100" :aria-valuenow="Math.round(item.confidence * 100)" :style="threshold ? { '--threshold': 100 * threshold + '%' } : {}"><i :style="{ width: 100 * item.confidence + '%' }"></i></div>
            <p v-if="item.uncertain" class="doubt">{{ t.uncertain }}</p>
            <p class="meta"><span class="name">{{ item.name }}</span><span>{{ ms(item.timings.total) }}</span></p>
            <p v-if="item.correction" class="thanks">{{ item.thanks || fill(t.corrected, { label: named(item.correction) }) }}</p>
            <button v-else-if="item.file" class="link quiet" @click="open(item)">{{ t.not_right }}</button>
          </div>
          <div class="words" v-else-if="item.state === 'refused'">
            <div class="answer"><h2>{{ t['title_' + item.problem.kind] ?? t.title_fault }}</h2></div>
            <p class="why">{{ why(item) }}</p>
            <p class="meta"><span class="name">{{ item.name }}</span><span>{{ bytes(item) }}</span></p>
            <button v-if="item.file && ['fault', 'key', 'unavailable'].includes(item.problem.kind)" class="link" @click="again(item)">{{ t.try_again }}</button>
          </div>
          <div class="words" v-else>
            <div class="answer"><h2 class="waiting">{{ paused ? fill(t.waits, { seconds: left }) : item.state === 'sending' ? t.sending : t.waiting }}</h2></div>
            <div class="bar"><i class="moving" v-if="item.state === 'sending'"></i></div>
            <p class="meta"><span class="name">{{ item.name }}</span><span>{{ bytes(item) }}</span></p>
          </div>
        </li>
      </ul>
      <div v-else class="sheet" tabindex="0" role="region" :aria-label="t.view_table">
        <table>
          <thead><tr>
            <th v-for="column in ['name', 'label', 'confidence', 'total']" :key="column" :aria-sort="aria(column)" :class="column"><button @click="order(column)">{{ t['column_' + column] }}<span aria-hidden="true">{{ sort !== column ? '' : down ? ' ↓' : ' ↑' }}</span></button></th>
            <th>{{ t.column_note }}</th>
          </tr></thead>
          <tbody>
            <tr v-for="item in shown" :key="item.id" :class="{ unsure: item.uncertain }">
              <td class="name"><button class="link" @click="open(item)">{{ item.name }}</button></td>
              <td>{{ item.label ? named(item.label) : '' }}</td>
              <td class="confidence"><template v-if="item.label"><span class="bar" aria-hidden="true"><i :style="{ width: 100 * item.confidence + '%' }"></i></span>{{ percent(item.confidence) }}</template></td>
              <td class="total">{{ item.timings ? ms(item.timings.total) : '' }}</td>
              <td class="note-cell">{{ item.correction ? fill(t.corrected, { label: named(item.correction) }) : item.state === 'refused' ? why(item) : item.uncertain ? t.uncertain_short : item.state === 'done' ? '' : t.waiting }}</td>
            </tr>
          </tbody>
        </table>
      </div>
      <p class="privacy"><span aria-hidden="true">◌</span> {{ t.privacy }}</p>
    </template>

    <dialog ref="dialog" class="viewer" @click.self="$refs.dialog.close()" @keydown="keys" :aria-label="current?.name">
      <div v-if="current" class="viewer-inside">
        <div class="stage">
          <div class="frame">
            <img v-if="current.url && !current.sick" :src="current.url" :alt="fill(t.photo_of, { label: current.label ? named(current.label) : current.name })" @load="seen($event, current)">
            <span v-else class="blank" aria-hidden="true"></span>
            <canvas v-if="current.map && current.width" :key="current.id" :ref="(canvas) => draw(canvas, current)" aria-hidden="true"></canvas>
          </div>
          <label class="slider" v-if="current.map"><span>{{ t.heat }}</span><input type="range" min="0" max="100" v-model.number="heat"></label>
        </div>
        <div class="facts">
          <div class="row between">
            <div class="segments" v-if="shown.length > 1">
              <button @click="step(-1)" :aria-label="t.previous">←</button>
              <button @click="step(1)" :aria-label="t.next">→</button>
            </div>
            <span v-else></span>
            <button class="button" autofocus @click="$refs.dialog.close()">{{ t.close }}</button>
          </div>
          <template v-if="current.state === 'done'">
            <h2 class="big">{{ named(current.label) }}</h2>
            <p v-if="current.uncertain" class="doubt">{{ t.uncertain }}</p>
            <dl class="scores">
              <template v-for="[label, value] in ranked(current)" :key="label"><dt>{{ named(label) }}</dt><dd><span class="bar" aria-hidden="true"><i :style="{ width: 100 * value + '%' }"></i></span><b>{{ percent(value) }}</b></dd></template>
            </dl>
            <p class="small" v-if="current.map">{{ t.heat_explain }}</p>
            <dl class="small facts-list">
              <dt>{{ t.file }}</dt><dd>{{ current.name }} · {{ bytes(current) }}</dd>
              <dt>{{ t.time }}</dt><dd>{{ fill(t.timings, { decode: ms(current.timings.decode), infer: ms(current.timings.infer), total: ms(current.timings.total) }) }}</dd>
              <dt>{{ t.model }}</dt><dd>{{ current.version }}</dd>
            </dl>
            <template v-if="current.file">
              <h3>{{ t.not_right }}</h3>
              <p v-if="current.thanks" class="thanks" role="status">{{ current.thanks }}</p>
              <template v-else><component :is="'div'" v-for="item in [current]" :key="item.id">${feedback}</component></template>
              <p v-if="failed" class="why" role="alert">{{ failed }}</p>
            </template>
          </template>
          <template v-else>
            <h2 class="big">{{ current.problem ? (t['title_' + current.problem.kind] ?? t.title_fault) : t.waiting }}</h2>
            <p class="why" v-if="current.problem">{{ why(current) }}</p>
            <p class="meta">{{ current.name }} · {{ bytes(current) }}</p>
          </template>
          <button class="link quiet" @click="drop(current)">{{ t.remove }}</button>
        </div>
      </div>
    </dialog>
    <p class="unseen" role="status">{{ busy ? fill(t.progress, { done, all: items.length }) : '' }}</p>
  </div>`,
};

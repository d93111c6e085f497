// Live classification of camera frames with backpressure: the next frame is taken only when the last one is answered.

import { close, grab, obstacle, open } from "./camera.js";
import { paint } from "./heat.js";
import { fill, send } from "./send.js";
import { unknownAnswers, unknownHeading } from "./unknown.js";

const LONGEST = 480; // px of a frame on its way: the model looks at fewer
const QUALITY = 0.8;
const REMEMBERED = 12; // frames in the rate

export default {
  mixins: [unknownAnswers],
  props: { t: Object, language: String, names: Object },
  data: () => ({ state: "idle", usable: true, home: new URL("../../", import.meta.url).pathname, answer: null, heat: 50, rate: 0, milliseconds: 0, trouble: "", left: 0, cameras: 0, facing: "environment" }),
  methods: {
    fill,
    percent(value) {
      return Math.min(value, 0.99).toLocaleString(this.language, { style: "percent", maximumFractionDigits: 0 }); // never certain
    },
    number(value) {
      return value.toLocaleString(this.language, { maximumFractionDigits: value < 10 ? 1 : 0 });
    },
    // Whether there is a camera to start, asked when the page opens and whenever one is plugged in or out.
    async look() {
      if (this.state !== "idle") return;
      this.trouble = await obstacle(this.t);
      this.usable = !this.trouble;
    },
    async start() {
      this.trouble = "";
      this.state = "starting";
      const { stream, cameras, trouble } = await open(this.facing, this.t);
      if (trouble) {
        this.state = "idle";
        this.trouble = trouble;
        return;
      }
      this.stream = stream;
      this.cameras = cameras;
      this.$refs.video.srcObject = this.stream;
      await this.$refs.video.play();
      this.state = "live";
      this.times = [];
      this.run((this.turn = {}));
    },
    stop() {
      this.turn = null;
      this.aborter?.abort();
      close(this.stream);
      this.stream = null;
      this.state = "idle";
      this.rate = 0;
    },
    async flip() {
      this.facing = this.facing === "environment" ? "user" : "environment";
      this.stop();
      await this.start();
    },
    async run(turn) {
      while (this.turn === turn) {
        if (document.hidden) {
          await this.pause(500);
          continue;
        }
        const frame = await grab(this.$refs.video, LONGEST, QUALITY);
        if (!frame) {
          await this.pause(100);
          continue;
        }
        await this.ask(frame, turn);
      }
    },
    async ask(frame, turn) {
      this.aborter = new AbortController();
      const began = performance.now();
      const result = await send("explain", frame, { type: "image/jpeg", measured: true, signal: this.aborter.signal }).catch(() => null);
      if (!result || this.turn !== turn) return;
      if (result.problem) {
        this.rate = 0;
        await this.wait(result.problem, turn);
        return;
      }
      this.trouble = "";
      this.answer = result.data;
      this.milliseconds = performance.now() - began;
      const { videoWidth, videoHeight } = this.$refs.video;
      paint(this.$refs.heat, result.data.activation_map, videoWidth, videoHeight);
      this.times = [...this.times, performance.now()].slice(-REMEMBERED);
      if (this.times.length > 1) this.rate = (1000 * (this.times.length - 1)) / (this.times.at(-1) - this.times[0]);
      await new Promise((next) => requestAnimationFrame(next));
    },
    async wait(problem, turn) {
      this.times = [];
      for (let left = problem.retry || 3; left > 0 && this.turn === turn; left -= 1) {
        this.trouble = fill(this.t[`pause_${problem.kind}`] ?? this.t.pause_away, { seconds: left });
        await this.pause(1000);
      }
    },
    pause: (milliseconds) => new Promise((next) => setTimeout(next, milliseconds)),
  },
  mounted() {
    this.look();
    this.onChange = () => this.look();
    navigator.mediaDevices?.addEventListener("devicechange", this.onChange);
  },
  beforeUnmount() {
    navigator.mediaDevices?.removeEventListener("devicechange", this.onChange);
    this.stop();
  },
  template: `
  <div class="live" :style="{ '--heat': heat / 100 }">
    <div class="page-head"><h1>{{ t.title }}</h1><p class="lead">{{ t.lead }}</p></div>
    <div :class="['viewfinder', state]">
      <video ref="video" muted playsinline :aria-label="t.video"></video>
      <canvas ref="heat" v-show="state === 'live'" aria-hidden="true"></canvas>
      <div v-if="state !== 'live'" class="invite">
        <svg viewBox="0 0 64 48" aria-hidden="true"><path d="M6 12h12l5-7h18l5 7h12v32H6z"/><circle cx="32" cy="27" r="10"/></svg>
        <p v-if="trouble" class="trouble" role="alert">{{ trouble }}</p>
        <button v-if="usable" class="button primary" @click="start" :disabled="state === 'starting'">{{ state === 'starting' ? t.starting : t.start }}</button>
        <div v-else class="row"><a class="button primary" :href="home">{{ t.instead }}</a><button class="button" @click="look">{{ t.look_again }}</button></div>
        <p v-if="usable" class="small">{{ t.privacy }}</p>
      </div>
      <div v-else-if="answer" :class="['verdict', { unsure: answer.uncertain, unknown: answer.unknown }]">
        <strong v-if="answer.unknown" class="none" dir="auto">${unknownHeading("answer")}</strong>
        <div v-else><strong dir="auto">{{ named(answer.label) }}</strong><span v-if="answer.uncertain"> · {{ t.uncertain_short }}</span></div>
        <span class="percent">{{ percent(answer.confidence) }}</span>
      </div>
    </div>
    <p v-if="trouble && state === 'live'" class="note warn" role="alert">{{ trouble }}</p>
    <div class="toolbar" v-if="state === 'live'">
      <label class="slider"><span>{{ t.heat }}</span><input type="range" min="0" max="100" v-model.number="heat"></label>
      <span class="rate"><b>{{ number(rate) }}</b> {{ t.rate }}</span>
      <span class="rate" v-if="answer"><b>{{ number(answer.timings_ms.infer) }}</b> {{ t.inference }}</span>
      <span class="rate"><b>{{ number(milliseconds) }}</b> {{ t.round_trip }}</span>
      <button v-if="cameras > 1" class="button" @click="flip">{{ t.flip }}</button>
      <button class="button" @click="stop">{{ t.stop }}</button>
    </div>
  </div>`,
};

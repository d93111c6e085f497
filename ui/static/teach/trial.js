// Try what was taught at once, beside the model that serves: on photos, and on the live camera.

import { close, grab, open } from "../camera.js";
import { send } from "../send.js";
import { path, teaching } from "./store.js";

const LONGEST = 480; // px of a camera's frame: the models look at fewer
const KEPT = 12; // photos tried that stay in sight

let number = 0;

export const trial = {
  data: () => ({ live: null, liveState: "idle", liveTrouble: "" }),
  methods: {
    async tryPhotos(files) {
      for (const file of files) {
        const photo = { id: `try-${number++}`, name: file.name, url: URL.createObjectURL(file), answer: null, why: "" };
        teaching.tried.unshift(photo);
        for (const gone of teaching.tried.splice(KEPT)) URL.revokeObjectURL(gone.url);
        const { data, problem } = await send(path("/try"), file, { type: file.type, measured: true });
        const shown = teaching.tried.find((other) => other.id === photo.id);
        if (shown) Object.assign(shown, { answer: data ?? null, why: problem ? this.because(problem, file.size) : "" });
      }
    },
    async startLive() {
      this.liveTrouble = "";
      this.liveState = "starting";
      const { stream, trouble } = await open("environment", this.t);
      if (trouble) return void Object.assign(this, { liveState: "idle", liveTrouble: trouble });
      this.liveStream = stream;
      this.liveState = "live";
      await this.$nextTick();
      if (!this.$refs.tried) return this.stopLive(); // the page has gone on
      this.$refs.tried.srcObject = stream;
      await this.$refs.tried.play();
      this.follow((this.turn = {}));
    },
    stopLive() {
      this.turn = null;
      close(this.liveStream);
      this.liveStream = null;
      Object.assign(this, { liveState: "idle", live: null });
    },
    async follow(turn) {
      while (this.turn === turn) {
        const frame = document.hidden ? null : await grab(this.$refs.tried, LONGEST);
        if (!frame) {
          await new Promise((next) => setTimeout(next, 200));
          continue;
        }
        const { data, problem } = await send(path("/try"), frame, { type: "image/jpeg", measured: true });
        if (this.turn !== turn) return;
        this.liveTrouble = problem ? this.because(problem, frame.size) : "";
        if (data) this.live = data;
        else await new Promise((next) => setTimeout(next, 1000 * (problem.retry || 3)));
      }
    },
  },
  unmounted() {
    this.stopLive();
  },
};

const answer = (of, side, words) => `
  <div :class="['answer-side', '${side}', { unknown: ${of}.unknown, unsure: ${of}.uncertain }]">
    <small>{{ ${words} }}</small>
    <b dir="auto">{{ ${of}.unknown ? t.none : ${side === "taught" ? `${of}.label` : `named(${of}.label)`} }}</b>
    <span class="bar" aria-hidden="true"><i :style="{ width: 100 * ${of}.confidence + '%' }"></i></span>
    <span class="percent">{{ percent(${of}.confidence) }}<template v-if="${of}.uncertain"> · {{ t.uncertain_short }}</template></span>
  </div>`;
const both = (of) => `<div class="answers">${answer(`${of}.taught`, "taught", "t.side_taught")}<template v-if="!isServed">${answer(`${of}.serving`, "serving", "t.side_serving")}</template></div>`;

export const trialTemplate = `
  <section :class="['panel', 'trial', { over: over > 0 }]" :aria-label="t.try_title">
    <h2>{{ t.try_title }}</h2>
    <p class="small">{{ isServed ? t.try_lead_served : t.try_lead }}</p>
    <div class="row">
      <label class="button file"><input type="file" :accept="accept" multiple @change="tryChosen" :aria-label="t.try_choose"><span>{{ t.try_choose }}</span></label>
      <button v-if="liveState !== 'live'" class="button" :disabled="liveState === 'starting'" @click="startLive">{{ liveState === 'starting' ? t.starting : t.try_camera }}</button>
      <button v-else class="button" @click="stopLive">{{ t.stop }}</button>
    </div>
    <p v-if="liveTrouble" class="note warn" role="alert">{{ liveTrouble }}</p>
    <div v-if="liveState === 'live'" class="try-live">
      <video ref="tried" muted playsinline :aria-label="t.video"></video>
      <div v-if="live">${both("live")}</div>
    </div>
    <ul class="tried" aria-live="polite">
      <li v-for="photo in teaching.tried" :key="photo.id"><img :src="photo.url" :alt="photo.name"><div v-if="photo.answer">${both("photo.answer")}</div><p v-else :class="photo.why ? 'why' : 'small'">{{ photo.why || t.asking }}</p></li>
    </ul>
    <p v-if="!teaching.tried.length && liveState === 'idle'" class="try-hint">{{ t.try_hint }}</p>
  </section>`;

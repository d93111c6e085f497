// The camera held down: frames go to a class for as long as the button, or the space bar, is held. The next frame is taken
// when one before it is answered, so that there are as many a second as the appliance decodes.

import { close, grab, open } from "../camera.js";
import { addFrame, newBatch, uploads } from "./uploads.js";

const LONGEST = 960; // px: what the pipeline could train on later, too
const IN_FLIGHT = 2; // frames on their way: one travels while one is decoded

export const burst = {
  data: () => ({ burstLabel: null, burstState: "closed", burstTrouble: "", taken: 0, holding: false, facing: "environment", cameraCount: 0 }),
  methods: {
    async startBurst(label) {
      Object.assign(this, { burstLabel: label, burstState: "starting", burstTrouble: "", taken: 0 });
      this.$nextTick(() => this.$refs.burst.open || this.$refs.burst.showModal());
      const { stream, cameras, trouble } = await open(this.facing, this.t);
      if (this.burstState === "closed") return close(stream);
      this.burstTrouble = trouble ?? "";
      if (trouble) return void (this.burstState = "trouble");
      this.burstStream = stream;
      this.cameraCount = cameras;
      this.$refs.finder.srcObject = stream;
      await this.$refs.finder.play();
      this.burstState = "live";
    },
    endBurst() {
      this.release();
      close(this.burstStream);
      this.burstStream = null;
      this.burstState = "closed";
    },
    async flipBurst() {
      this.facing = this.facing === "environment" ? "user" : "environment";
      close(this.burstStream);
      await this.startBurst(this.burstLabel);
    },
    hold(event) {
      if (event.type === "keydown" && (event.repeat || ![" ", "Enter"].includes(event.key))) return;
      event.preventDefault();
      event.currentTarget.focus();
      if (event.pointerId !== undefined) event.currentTarget.setPointerCapture(event.pointerId);
      if (this.holding || this.burstState !== "live") return;
      this.holding = true;
      this.batch = newBatch();
      for (let n = 0; n < IN_FLIGHT; n += 1) this.shoot();
    },
    release() {
      this.holding = false;
    },
    async shoot() {
      do {
        const frame = await grab(this.$refs.finder, LONGEST);
        if (!frame) return;
        await addFrame(frame, this.burstLabel, this.batch);
        this.taken += 1;
        if (uploads.refused.length) this.release();
      } while (this.holding);
    },
  },
};

export const burstTemplate = `
  <dialog ref="burst" class="burst-dialog" @close="endBurst" @click.self="$refs.burst.close()" :aria-label="burstTitle">
    <div v-if="burstState !== 'closed'" class="burst-inside">
      <div class="row between"><h2 dir="auto">{{ burstTitle }}</h2><button class="button small-button" @click="$refs.burst.close()">{{ t.done }}</button></div>
      <div class="finder">
        <video ref="finder" v-show="burstState === 'live'" muted playsinline :aria-label="t.video"></video>
        <p v-if="burstState === 'starting'">{{ t.starting }}</p>
        <p v-if="burstTrouble" class="trouble" role="alert">{{ burstTrouble }}</p>
        <span v-if="taken" class="taken" role="status">{{ fill(taken === 1 ? t.taken_one : t.taken_many, { count: number(taken) }) }}</span>
      </div>
      <div class="row shutter-row" v-if="burstState === 'live'">
        <button :class="['shutter', { holding }]" @pointerdown="hold" @pointerup="release" @pointercancel="release" @lostpointercapture="release" @keydown="hold" @keyup="release" @blur="release" @contextmenu.prevent><i aria-hidden="true"></i><span>{{ t.hold }}</span></button>
        <button v-if="cameraCount > 1" class="button" @click="flipBurst">{{ t.flip }}</button>
      </div>
      <p class="small">{{ t.burst_help }}</p>
    </div>
  </dialog>`;

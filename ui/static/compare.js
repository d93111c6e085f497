// Side-by-side comparison: two model versions on the same photo.

import { reason } from "./reasons.js";
import { fill, send } from "./send.js";
import { unknownAnswers, unknownHeading, unknownRest } from "./unknown.js";

export default {
  mixins: [unknownAnswers],
  props: { t: Object, language: String, names: Object, versions: Array, serving: String, accept: String },
  data() {
    const other = this.versions.find((version) => version !== this.serving) ?? this.serving;
    return { chosen: [this.serving, other], file: null, url: "", answers: [null, null], asking: false };
  },
  methods: {
    percent(value) {
      const words = Math.min(value, 0.999).toLocaleString(this.language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
      return value > 0.999 ? `> ${words}` : words;
    },
    choose(event) {
      const [file] = event.target.files;
      event.target.value = "";
      if (!file) return;
      if (this.url) URL.revokeObjectURL(this.url);
      this.file = Vue.markRaw(file);
      this.url = URL.createObjectURL(file);
      this.ask();
    },
    async ask() {
      if (!this.file) return;
      this.asking = true;
      this.answers = [null, null];
      this.answers = await Promise.all(this.chosen.map((version) => this.by(version)));
      this.asking = false;
    },
    async by(version) {
      const { data, problem } = await send(`models/${version}/predict`, this.file, { type: this.file.type });
      if (!problem) return data;
      if (this.t[`compare_${problem.kind}`]) return { why: fill(this.t[`compare_${problem.kind}`], { version }) };
      return { why: reason(problem, { t: this.t, language: this.language, accept: this.accept, bytes: this.file.size }) };
    },
  },
  unmounted() {
    if (this.url) URL.revokeObjectURL(this.url);
  },
  template: `
  <section class="compare panel" :aria-label="t.compare_title">
    <h2>{{ t.compare_title }}</h2>
    <p class="small">{{ t.compare_lead }}</p>
    <div class="row">
      <label class="field" v-for="side in [0, 1]" :key="side"><span>{{ side ? t.compare_second : t.compare_first }}</span>
        <select v-model="chosen[side]" @change="ask"><option v-for="version in versions" :key="version" :value="version">{{ version }}</option></select>
      </label>
      <label class="button primary file"><input type="file" :accept="accept" @change="choose" :aria-label="t.compare_choose"><span>{{ t.compare_choose }}</span></label>
    </div>
    <div class="sides" v-if="url">
      <img :src="url" :alt="file.name">
      <div v-for="side in [0, 1]" :key="side" :class="['side', { unknown: answers[side]?.unknown }]" aria-live="polite">
        <p class="small">{{ chosen[side] }}</p>
        <template v-if="answers[side] && !answers[side].why">
          <h3 v-if="answers[side].unknown" class="big none" dir="auto">${unknownHeading("answers[side]")}</h3>
          <h3 v-else class="big" dir="auto">{{ named(answers[side].label) }}</h3>
          <div class="bar" aria-hidden="true"><i :style="{ width: 100 * answers[side].confidence + '%' }"></i></div>
          <p><b>{{ percent(answers[side].confidence) }}</b> · {{ answers[side].timings_ms.infer.toLocaleString(language, { maximumFractionDigits: 1 }) }} ms</p>
          <p v-if="answers[side].uncertain" class="doubt">{{ t.uncertain }}</p>
          <p v-if="answers[side].unknown" class="small">${unknownRest("answers[side]")}</p>
        </template>
        <p v-else-if="answers[side]" class="why">{{ answers[side].why }}</p>
        <p v-else class="small">{{ t.asking }}</p>
      </div>
    </div>
  </section>`,
};

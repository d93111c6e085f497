// Template: the dialog with one photo, its evidence and the feedback form.

import { unknownHeading } from "../unknown.js";

const feedback = `
  <form class="correct" @submit.prevent="submit(item)">
    <p class="small">{{ t.feedback_explain }}</p>
    <div class="row">
      <label class="field"><span>{{ t.feedback_label }}</span>
        <select v-model="right" required>
          <option v-for="label in labelsOf(item)" :key="label" :value="label" dir="auto">{{ named(label) }}</option>
          <option :value="UNKNOWN">{{ named(UNKNOWN) }}</option>
        </select>
      </label>
      <button class="button" :disabled="submitting">{{ submitting ? t.feedback_sending : t.feedback_send }}</button>
    </div>
  </form>`;

export const viewer = `
    <dialog ref="dialog" class="viewer" @click.self="$refs.dialog.close()" @keydown="keys" :aria-label="current?.name">
      <div v-if="current" class="viewer-inside">
        <div class="stage">
          <div class="frame">
            <img v-if="current.url && !current.sick" :src="current.url" :alt="fill(t.photo_of, { label: current.unknown ? neither(current) : current.label ? named(current.label) : current.name })" @load="seen($event, current)">
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
            <h2 v-if="current.unknown" class="big none" dir="auto">${unknownHeading("current")}</h2>
            <h2 v-else class="big" dir="auto">{{ named(current.label) }}</h2>
            <p v-if="current.uncertain" class="doubt">{{ t.uncertain }}</p>
            <p v-if="current.damaged" class="doubt">{{ t.damaged }}</p>
            <dl class="scores">
              <template v-for="{ label, value, kind } in scores(current)" :key="label"><dt :class="kind" dir="auto">{{ named(label) }}</dt><dd :class="kind"><span class="bar" aria-hidden="true"><i :style="{ width: 100 * value + '%' }"></i></span><b>{{ percent(value) }}</b></dd></template>
            </dl>
            <p class="small" v-if="current.map">{{ current.unknown ? t.heat_of_unknown : t.heat_explain }}</p>
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
            <h2 class="big">{{ current.problem ? headline(current) : t.waiting }}</h2>
            <p class="why" v-if="current.problem">{{ why(current) }}</p>
            <p class="meta">{{ current.name }} · {{ bytes(current) }}</p>
          </template>
          <button class="link quiet" @click="drop(current)">{{ t.remove }}</button>
        </div>
      </div>
    </dialog>`;

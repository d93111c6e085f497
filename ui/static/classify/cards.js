// Template: the results as cards.

import { unknownHeading, unknownRest } from "../unknown.js";

export const cards = `
      <ul v-if="view === 'cards'" :class="['cards', { alone: items.length === 1 }]">
        <li v-for="item in shown" :key="item.id" v-memo="looks(item)" :class="['card', item.state, { unsure: item.uncertain, unknown: item.unknown }]">
          <button class="picture" @click="open(item)" :aria-label="fill(t.open, { name: item.name })">
            <img v-if="item.url && !item.sick" :src="item.url" alt="" loading="lazy" decoding="async" @load="seen($event, item)" @error="item.sick = true">
            <span v-else class="blank" aria-hidden="true"></span>
            <canvas v-if="heated && item.map && item.width" :ref="(canvas) => draw(canvas, item)" aria-hidden="true"></canvas>
            <span v-if="item.state === 'sending'" class="shimmer" aria-hidden="true"></span>
          </button>
          <div class="words" v-if="item.state === 'done'">
            <div class="answer"><h2 v-if="item.unknown" class="none" dir="auto">${unknownHeading("item")}</h2><h2 v-else dir="auto">{{ named(item.label) }}</h2><span class="percent">{{ percent(item.confidence) }}</span></div>
            <div class="bar" role="meter" :aria-label="t.confidence" aria-valuemin="0" aria-valuemax="100" :aria-valuenow="Math.round(item.confidence * 100)" :style="mark(item)"><i :style="{ width: 100 * item.confidence + '%' }"></i></div>
            <p v-if="item.uncertain" class="doubt">{{ t.uncertain }}</p>
            <p v-if="item.damaged" class="doubt">{{ t.damaged }}</p>
            <p v-if="item.unknown" class="small">${unknownRest("item")}</p>
            <p class="meta"><span class="name">{{ item.name }}</span><span>{{ ms(item.timings.total) }}</span></p>
            <p v-if="items.length === 1 && heated && item.map" class="small">{{ item.unknown ? t.heat_of_unknown : t.heat_explain }}</p>
            <p v-if="item.correction" class="thanks">{{ item.thanks || fill(t.corrected, { label: named(item.correction) }) }}</p>
            <button v-else-if="item.file" class="link quiet" @click="open(item)">{{ t.not_right }}</button>
          </div>
          <div class="words" v-else-if="item.state === 'refused'">
            <div class="answer"><h2>{{ headline(item) }}</h2></div>
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
      </ul>`;

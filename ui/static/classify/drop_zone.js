// Template: the drop zone with the file picker, the progress and the tally.

import { lens } from "../classify/lens.js";
import { seedHead } from "../classify/seed_head.js";
import { unknownIcon } from "../unknown.js";

export const dropZone = `
    <section :class="['desk', { over: over > 0, compact: items.length }]" :aria-label="t.drop_title">
      <div class="desk-words">
        <h1 v-if="!items.length">{{ t.headline }}</h1>
        <h1 v-else class="small-title">{{ busy ? fill(t.progress, { done, all: items.length }) : items.length === 1 ? t.finished_one : fill(t.finished, { all: items.length }) }}</h1>
        <p v-if="!items.length" class="lead">{{ t.lead }}</p>
        <p v-else-if="paused" class="pause" role="status">
          {{ fill(session.pause === 'busy' ? t.pause_busy : t.pause_away, { seconds: left }) }}
          <button class="link" @click="resume()">{{ t.try_now }}</button>
        </p>
        <p v-else class="tally">
          <span v-for="{ label, count, unsure } in tally" :key="label" :class="{ unknown: label === UNKNOWN }"><template v-if="label === UNKNOWN">${unknownIcon}</template><b>{{ count }}</b> <bdi>{{ named(label) }}</bdi><template v-if="unsure">{{ fill(t.tally_of_which, { count: unsure }) }}</template></span>
          <span v-if="refused"><b>{{ refused }}</b> {{ t.tally_refused }}</span>
        </p>
        <div class="row actions">
          <label class="button primary file"><input type="file" :accept="accept" multiple @change="choose" :aria-label="items.length ? t.add_more : t.choose"><span>{{ items.length ? t.add_more : t.choose }}</span></label>
          <label class="button file camera"><input type="file" :accept="accept" capture="environment" @change="choose" :aria-label="t.camera"><span>{{ t.camera }}</span></label>
          <span class="hint">{{ t.hint }}</span>
        </div>
        <div v-if="busy" class="progress" role="progressbar" :aria-label="t.progress_label" aria-valuemin="0" :aria-valuemax="items.length" :aria-valuenow="done"><i :style="{ width: 100 * fraction + '%' }"></i></div>
      </div>
      <div class="desk-picture"><img v-if="product.picture" class="product-picture" :src="product.picture" alt="">${seedHead}${lens}</div>
      <p v-if="over" class="desk-over">{{ t.drop_here }}</p>
    </section>`;

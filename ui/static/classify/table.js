// Template: the results as a table.

import { unknownIcon, unknownRest } from "../unknown.js";

export const table = `
      <div v-else class="sheet" tabindex="0" role="region" :aria-label="t.view_table">
        <table>
          <thead><tr>
            <th v-for="column in ['name', 'label', 'confidence', 'total']" :key="column" :aria-sort="aria(column)" :class="column"><button @click="order(column)">{{ t['column_' + column] }}<span aria-hidden="true">{{ sort !== column ? '' : down ? ' ↓' : ' ↑' }}</span></button></th>
            <th>{{ t.column_note }}</th>
          </tr></thead>
          <tbody>
            <tr v-for="item in shown" :key="item.id" :class="{ unsure: item.uncertain, unknown: item.unknown }">
              <td class="name"><button class="link" @click="open(item)">{{ item.name }}</button></td>
              <td class="label"><template v-if="item.unknown">${unknownIcon}</template><bdi>{{ named(answerOf(item)) }}</bdi></td>
              <td class="confidence"><template v-if="answerOf(item)"><span class="bar" aria-hidden="true"><i :style="{ width: 100 * item.confidence + '%' }"></i></span>{{ percent(item.confidence) }}</template></td>
              <td class="total">{{ item.timings ? ms(item.timings.total) : '' }}</td>
              <td v-if="item.unknown && !item.correction" class="note-cell">${unknownRest("item")}</td>
              <td v-else class="note-cell">{{ item.correction ? fill(t.corrected, { label: named(item.correction) }) : item.state === 'refused' ? why(item) : item.damaged ? t.damaged_short : item.uncertain ? t.uncertain_short : item.state === 'done' ? '' : t.waiting }}</td>
            </tr>
          </tbody>
        </table>
      </div>`;

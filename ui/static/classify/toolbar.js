// Template: view, heat map, filter and download of the results.

export const toolbar = `
      <div class="toolbar" role="group" :aria-label="t.toolbar">
        <div class="segments">
          <button :aria-pressed="view === 'cards'" @click="view = 'cards'">{{ t.view_cards }}</button>
          <button :aria-pressed="view === 'table'" @click="view = 'table'">{{ t.view_table }}</button>
        </div>
        <button v-if="view === 'cards'" class="toggle" :aria-pressed="heated" @click="gridHeat = !heated">{{ t.heat }}</button>
        <label v-if="items.length > 1" class="field grow"><span class="unseen">{{ t.filter }}</span><input type="search" v-model="filter" :placeholder="t.filter"></label>
        <label v-if="items.length > 1" class="field"><span class="unseen">{{ t.only }}</span>
          <select v-model="only">
            <option value="">{{ t.only_all }}</option>
            <option v-for="{ label } in tally" :key="label" :value="label" dir="auto">{{ named(label) }}</option>
            <option value="?">{{ t.only_uncertain }}</option>
            <option value="!">{{ t.only_refused }}</option>
          </select>
        </label>
        <div class="segments files">
          <button @click="save('csv')" :aria-label="t.download_csv">CSV ↓</button>
          <button @click="save('json')" :aria-label="t.download_json">JSON ↓</button>
        </div>
        <button class="link quiet clear" @click="clear()">{{ t.clear }}</button>
      </div>`;

// Template: what helps a visitor who has no photo at hand: drawn ones to click, and the way to the phone's camera.

export const samples = `
    <div v-if="!items.length && (samples.length || phone)" class="helps">
      <section v-if="samples.length" class="samples" :aria-label="t.samples">
        <h2>{{ t.samples }}</h2>
        <ul>
          <li v-for="(url, n) in samples" :key="url"><button @click="sample(url)" :aria-label="fill(t.sample, { number: n + 1 })"><img :src="url" alt="" width="320" height="240"></button></li>
        </ul>
      </section>
      <section v-if="phone" class="phone" :aria-label="t.phone">
        <div class="code" role="img" :aria-label="fill(t.phone_code, { url: phone.url })" v-html="phone.code"></div>
        <div><h2>{{ t.phone }}</h2><p><a :href="phone.url">{{ phone.url.replace(/^https?:\\/\\//, '') }}</a></p></div>
      </section>
    </div>`;

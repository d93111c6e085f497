// The picture of the drop zone for any product: a lens, whose scale fills as the photos are done.

const COUNT = 60;
const BLADES = 7;
const OUTER = 34; // radius of the opening's ring
const INNER = 17; // radius of the opening

export const TICKS = Array.from({ length: COUNT }, (_, n) => ({ turn: (360 / COUNT) * n, order: n / COUNT, long: n % 5 === 0 }));

const at = (radius, turn) => [radius * Math.cos(turn), radius * Math.sin(turn)].map((value) => value.toFixed(2)).join(" ");
const blades = Array.from({ length: BLADES }, (_, n) => {
  const turn = (2 * Math.PI * n) / BLADES;
  return `M${at(INNER, turn)}L${at(OUTER, turn + (2 * Math.PI * 1.35) / BLADES)}`;
}).join("");
const opening = `M${Array.from({ length: BLADES }, (_, n) => at(INNER, (2 * Math.PI * n) / BLADES)).join("L")}Z`;

export const lens = `
  <svg v-else class="lens" viewBox="-62 -62 124 124" aria-hidden="true">
    <path v-for="(tick, n) in ticks" :key="n" :class="['tick', { long: tick.long, lit: tick.order < blown }]" :transform="'rotate(' + tick.turn + ')'" :d="tick.long ? 'M0 -47V-57' : 'M0 -49V-55'" />
    <circle r="41" />
    <circle r="${OUTER}" class="ring" />
    <path class="blades" d="${blades}" />
    <path class="opening" d="${opening}" />
    <circle class="gleam" r="4" cx="-5" cy="-5" />
  </svg>`;

// The picture of the drop zone for dandelions, which is its progress indicator.

// A seed head: three rings, the inner ones shorter and paler. The seeds leave as the photos are done.
const RINGS = [
  { count: 26, from: 8, to: 44, tuft: 13 },
  { count: 18, from: 7, to: 33, tuft: 10 },
  { count: 11, from: 6, to: 21, tuft: 8 },
];
export const SEEDS = RINGS.flatMap(({ count, from, to, tuft }, ring) =>
  Array.from({ length: count }, (_, n) => ({
    ring,
    turn: (360 / count) * (n + ring / 2) + 5 * Math.sin(7 * n),
    order: (((n * 7) % count) + ring / 3) / count,
    path: `M0 ${-from}V${-to}`,
    tuft: [-34, -17, 0, 17, 34]
      .map((angle) => [tuft * Math.sin((angle * Math.PI) / 180), -to - tuft * Math.cos((angle * Math.PI) / 180)])
      .map(([x, y]) => `M0 ${-to}Q0 ${-to - tuft / 2} ${x.toFixed(1)} ${y.toFixed(1)}`)
      .join(""),
  })),
);

export const seedHead = `
  <svg v-else-if="product.drawing === 'meadow'" class="clock" viewBox="-62 -62 124 150" aria-hidden="true">
    <path class="stalk" d="M0 4C2 34 3 58 -6 90" />
    <g v-for="(seed, n) in seeds" :key="n" :class="['seed', 'ring' + seed.ring, { gone: seed.order < blown }]" :style="{ '--turn': seed.turn + 'deg', '--late': (n % 7) * 45 + 'ms' }">
      <g class="fly"><path :d="seed.path" /><path class="tuft" :d="seed.tuft" /></g>
    </g>
    <circle r="6" />
  </svg>`;

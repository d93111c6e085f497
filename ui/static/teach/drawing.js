// The picture of the empty page: two fans of photos, each of a kind, that a lens tells apart.

const fan = (side, kind) =>
  [-14, -2, 10]
    .map((turn, n) => `<g class="photo ${kind}" transform="translate(${side * 58} ${30 - 3 * n}) rotate(${turn + side * 4})"><rect x="-23" y="-29" width="46" height="58" rx="6"/>${kind === "one" ? `<circle cy="-4" r="11"/>` : `<path d="M-12 8L0 -16L12 8Z"/>`}<path class="line" d="M-12 19H12"/></g>`)
    .join("");

export const cardsDrawing = `
  <svg class="teach-drawing" viewBox="-110 -100 220 180" aria-hidden="true">
    <path class="way" d="M-46 -14C-40 -40 -28 -50 -22 -54M46 -14C40 -40 28 -50 22 -54" />
    <g class="eye" transform="translate(0 -62)"><circle r="24"/><circle class="iris" r="11"/><circle class="gleam" cx="-4" cy="-4" r="3"/></g>
    ${fan(-1, "one")}${fan(1, "other")}
  </svg>`;

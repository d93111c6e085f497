// "None of these" as an answer: what the photo shows is none of the model's labels.

import { fill } from "./send.js";

export const UNKNOWN = "(unknown)"; // as in runtime/names.py: reserved, never a label
const LONG = 48; // characters of two labels that a heading holds
const FEW = 3; // labels that a card names beside the answer

// The sign of the empty set.
export const unknownIcon = `<svg class="icon unknown-icon" viewBox="4 4 16 16" aria-hidden="true"><circle cx="12" cy="12" r="6" /><path d="M5.500 18.500l13-13" /></svg>`;

// Templates; `item` is an expression, `ranked` and the like are those of `unknownAnswers`.
export const unknownHeading = (item) => `${unknownIcon}{{ neither(${item}) }}, <small>{{ t.hedge }}</small>`;
export const unknownRest = (item) => `<span class="rest"><span>{{ t.rest }}</span> <span v-for="[label, value] in ranked(${item}).slice(0, few)" :key="label"><bdi>{{ named(label) }}</bdi> {{ percent(value) }}</span></span>`;

// The answer as a key: a label, UNKNOWN, or nothing as long as there is none.
export function answerOf({ label, unknown }) {
  return unknown ? UNKNOWN : (label ?? "");
}

// For components with the props `t`, `names` and `language`.
export const unknownAnswers = {
  data: () => ({ UNKNOWN, few: FEW }),
  methods: {
    answerOf,
    named(label) {
      return this.names[label] ?? label;
    },
    // Labels with their probabilities, the most probable first.
    ranked({ probabilities }) {
      return Object.entries(probabilities ?? {}).sort((a, b) => b[1] - a[1]);
    },
    // "Neither dandelion nor grass": what an unknown photo is not, as far as a heading holds it.
    neither({ probabilities }) {
      const labels = Object.keys(probabilities ?? {}).map((label) => this.within(label));
      const fits = labels.length === 2 && labels.join("").length <= LONG;
      return fits ? fill(this.t.neither, { first: labels[0], second: labels[1] }) : this.t.none;
    },
    // A label within a sentence. The page's own words are written small there; labels of one's own stay as they were typed.
    within(label) {
      const name = this.named(label);
      return name === label ? label : name.toLocaleLowerCase(this.language);
    },
  },
};

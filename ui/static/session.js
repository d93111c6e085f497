// Upload queue of this tab, with a concurrency limit and retries. Photos are held in the page's memory only: the
// server proxies each one and keeps nothing. Only the table of results (no photo) survives a reload of the tab.

import { markRaw, reactive } from "vue";
import { send } from "./send.js";
import { answerOf } from "./unknown.js";

const AT_ONCE = 3; // concurrent uploads: enough to keep two cores busy, few enough for the queue to serve others
const FULL_S = 600; // to send a correction again only then: not the appliance is busy, but people have to make room
const KEPT = "dandelion-results";
const FIELDS = [
  "id", "name", "bytes", "label", "confidence", "uncertain", "unknown", "unknownProbability", "damaged", "probabilities", "version",
  "model", "timings", "at", "correction", "problem",
];

export const session = reactive({ items: [], taken: null, lost: 0, restored: 0, pausedUntil: 0, now: Date.now(), pause: "" });

let number = 0;
let under_way = 0;

// `measured` are drawn photos.
export function add(files, { measured = false } = {}) {
  forget();
  const added = [...files].map((file) => ({
    id: `${Date.now().toString(36)}-${number++}`,
    name: file.name || "photo",
    bytes: file.size,
    file: markRaw(file),
    url: URL.createObjectURL(file),
    state: "waiting",
    problem: null,
    sick: false,
    measured,
    correction: "",
    thanks: "",
  }));
  session.items.unshift(...added);
  session.lost = 0;
  session.restored = 0;
  pump();
  return added.length;
}

export function remove(item) {
  take([item]);
}

export function clear() {
  take(session.items);
  session.lost = session.restored = 0;
  session.pausedUntil = 0;
}

// Take photos out of the list; until others are added or taken out, `undo` brings them back.
function take(items) {
  forget();
  const gone = new Set(items.map((item) => item.id));
  session.taken = { before: session.items, count: items.length, items };
  session.items = session.items.filter((item) => !gone.has(item.id));
  keep();
}

export function undo() {
  session.items = session.taken.before;
  session.taken = null;
  keep();
  pump();
}

// Nothing more to undo: the memory of those photos is given back.
export function forget() {
  for (const item of session.taken?.items ?? []) if (item.url) URL.revokeObjectURL(item.url);
  session.taken = null;
}

export function again(item) {
  item.state = "waiting";
  item.problem = null;
  resume();
}

export function resume() {
  session.pausedUntil = 0;
  pump();
}

// Another appliance, or another key: what was refused for that reason may pass now.
export function askAgain(kinds) {
  for (const item of session.items) {
    if (item.state === "refused" && item.file && kinds.includes(item.problem?.kind)) {
      item.state = "waiting";
      item.problem = null;
    }
  }
  resume();
}

export async function correct(item, label) {
  const form = new FormData();
  form.append("label", label);
  if (answerOf(item)) form.append("predicted", answerOf(item));
  if (item.version) form.append("version", item.version);
  if (item.model) form.append("product", item.model);
  form.append("file", item.file, item.name);
  const { data, problem } = await send("feedback", form);
  if (problem?.kind === "busy" && problem.retry >= FULL_S) problem.kind = "full";
  if (data) item.correction = label;
  keep();
  return { stored: data?.stored, problem };
}

function pump() {
  while (under_way < AT_ONCE && Date.now() >= session.pausedUntil) {
    // Oldest first: the list shows the newest on top.
    const item = session.items.findLast((other) => other.state === "waiting");
    if (!item) return;
    under_way += 1;
    item.state = "sending";
    classify(item).finally(() => {
      under_way -= 1;
      pump();
    });
  }
}

async function classify(item) {
  const { data, problem } = await send("explain", item.file, { type: item.file.type, measured: item.measured });
  if (data) {
    Object.assign(item, {
      state: "done",
      problem: null,
      label: data.label,
      confidence: data.confidence,
      uncertain: data.uncertain,
      unknown: data.unknown ?? false,
      unknownProbability: data.unknown_probability ?? undefined, // which models without this answer do not have
      damaged: data.damaged ?? false,
      probabilities: data.probabilities,
      version: data.model.version,
      model: data.model.name,
      timings: data.timings_ms,
      map: markRaw(data.activation_map),
      at: new Date().toISOString(),
    });
  } else if (problem.kind === "busy" || problem.kind === "away") {
    item.state = "waiting";
    session.pause = problem.kind;
    session.pausedUntil = Math.max(session.pausedUntil, Date.now() + 1000 * problem.retry);
    tick();
  } else {
    item.state = "refused";
    item.problem = problem;
  }
  keep();
}

let ticking = 0;
function tick() {
  clearInterval(ticking);
  session.now = Date.now();
  ticking = setInterval(() => {
    session.now = Date.now();
    if (session.now < session.pausedUntil) return;
    clearInterval(ticking);
    pump();
  }, 200);
}

let saving = 0;
function keep() {
  clearTimeout(saving);
  saving = setTimeout(save, 150);
}

function save() {
  const finished = session.items.filter((item) => item.state === "done" || item.state === "refused");
  const rows = finished.map((item) => Object.fromEntries(FIELDS.map((field) => [field, item[field]])));
  const kept = JSON.stringify({ rows, unfinished: session.items.length - finished.length });
  try {
    sessionStorage.setItem(KEPT, kept);
  } catch {
    sessionStorage.removeItem(KEPT); // no room: a reload begins anew
  }
}

function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) || "null");
  if (!kept) return;
  session.items = kept.rows.map((row) => ({ ...row, state: row.problem ? "refused" : "done", sick: true, thanks: "" }));
  session.restored = kept.rows.length;
  session.lost = kept.unfinished;
}

window.addEventListener("pagehide", save);
window.addEventListener("dandelion-appliance", () => askAgain(["key", "limit", "away"]));
restore();

// Photos on their way to the appliance: a few at once, each refusal by name. A busy appliance is asked again.

import { markRaw, reactive } from "vue";
import { send } from "../send.js";
import { addClass, alike } from "./changes.js";
import { arrived, idle, insert, take, teaching } from "./store.js";

const AT_ONCE = 4; // concurrent uploads: they overlap the network with decoding, and leave room for others
const PHOTO = /\.(jpe?g|png|webp|avif|hei[cf]|jfif)$/i;
const UNSAVED = "dandelion-teach-uploads";

export const uploads = reactive({ waiting: markRaw([]), done: 0, all: 0, refused: [], already: 0, pause: "", lost: 0 });

let number = 0;
let under_way = 0;
let resume_at = 0;
idle.busy = () => uploads.done < uploads.all;

export const newBatch = () => crypto.getRandomValues(new Uint32Array(2)).join("-");

// `files` are {file, label}; the label null is none. Those of one `batch` are undone together. Resolves when all have been
// answered.
export async function add(files, { source = "upload", batch = newBatch() } = {}) {
  if (!files.length) return;
  if (uploads.done === uploads.all) {
    Object.assign(uploads, { done: 0, all: 0, refused: [], already: 0, lost: 0 });
    arrived.clear();
  }
  const classes = await classesFor(files.map((one) => one.label));
  const item = ({ file, label }) => ({ id: `upload-${number++}`, file, label: classes.get(label) ?? label, source, batch, dataset: teaching.dataset.id });
  const added = files.map(item);
  uploads.all += added.length;
  uploads.waiting = markRaw([...uploads.waiting, ...added]);
  await Promise.all(added.map((item) => new Promise((done) => ((item.answered = done), pump()))));
}

// The class of each label: the one that is there, were it written otherwise, or a new one.
async function classesFor(labels) {
  const found = new Map();
  for (const label of new Set(labels)) {
    if (label === null) continue;
    const there = teaching.dataset.classes.find((one) => alike(one.label, label));
    if (!there) await addClass(label);
    found.set(label, there?.label ?? label);
  }
  return found;
}

// A frame of the camera: sent at once, past what waits.
export async function addFrame(blob, label, batch) {
  const file = new File([blob], `camera-${new Date().toISOString().replace(/[:.]/g, "-")}.jpg`, { type: "image/jpeg" });
  await add([{ file, label }], { source: "camera", batch });
}

// Photos among what was dropped or chosen: a folder may hold anything.
export const isPhoto = ({ type, name }) => type.startsWith("image/") || PHOTO.test(name);

function pump() {
  if (Date.now() < resume_at) return;
  while (under_way < AT_ONCE) {
    const item = uploads.waiting.find((other) => !other.sending);
    if (!item) return;
    item.sending = true;
    under_way += 1;
    upload(item).finally(() => {
      under_way -= 1;
      pump();
    });
  }
}

async function upload(item) {
  const { file, label, source, batch } = item;
  const query = new URLSearchParams({ source, batch, name: file.name || "photo", ...(label === null ? {} : { label }) });
  const { data, problem } = await send(`teach/${item.dataset}/photos?${query}`, file, { type: file.type });
  if (problem && ["busy", "away"].includes(problem.kind)) return again(item, problem);
  uploads.pause = "";
  uploads.done += 1;
  uploads.waiting = markRaw(uploads.waiting.filter((other) => other !== item));
  if (problem) refuse(item, problem);
  else answered(item, data);
  item.answered();
}

function answered(item, { photos: [photo], dataset }) {
  if (photo.outcome === "refused") refuse(item, { kind: "broken", detail: photo.detail, code: photo.code, values: photo.values });
  if (photo.outcome === "there_already") uploads.already += 1;
  if (teaching.dataset?.id !== item.dataset) return;
  const { id, name } = photo;
  if (id) insert({ id, name, label: item.label, source: item.source });
  take(dataset);
}

function refuse(item, problem) {
  const { name, size } = item.file;
  uploads.refused = [...uploads.refused, { name, bytes: size, problem, item: markRaw(item) }].sort((one, other) => (one.name < other.name ? -1 : 1));
}

// Another key, or a server that was started anew: what was refused for that reason may pass now.
function askAgain() {
  const again = uploads.refused.filter(({ problem }) => ["key", "limit", "site"].includes(problem.kind)).map(({ item }) => item);
  for (const item of again) item.sending = false;
  uploads.refused = uploads.refused.filter(({ item }) => !again.includes(item));
  uploads.done -= again.length;
  uploads.waiting = markRaw([...uploads.waiting, ...again]);
  resume_at = 0;
  pump();
}

function again(item, problem) {
  item.sending = false;
  uploads.pause = problem.kind;
  resume_at = Math.max(resume_at, Date.now() + 1000 * (problem.retry || 3));
  setTimeout(pump, resume_at - Date.now() + 20);
}

// Files are in this page's memory alone: the browser asks before it lets them go, and how many went is said afterwards.
window.addEventListener("beforeunload", (event) => idle.busy() && event.preventDefault());
window.addEventListener("pagehide", () => sessionStorage.setItem(UNSAVED, String(uploads.all - uploads.done)));
uploads.lost = Number(sessionStorage.getItem(UNSAVED)) || 0;
sessionStorage.removeItem(UNSAVED);
window.addEventListener("dandelion-appliance", askAgain);

// What is taught in this tab: one dataset of the appliance, whose photos stay there. The tab remembers which by its id, so
// that a reload goes on with it; another tab, or another person, begins with one of their own.

import { markRaw, reactive } from "vue";
import { ask } from "../send.js";

const KEPT = "dandelion-teach";
const PAGE = 500; // photos that are listed at once
const RUNNING_MS = 250; // between looks at a dataset that is being taught
const BUSY_MS = 700; // at one into which photos come
const IDLE_MS = 6000; // and at one that only another browser may change
const RUNNING = ["waiting", "features", "learning", "checking"];

export const ALL = "*"; // shown: all photos; null: those without a class

export const teaching = reactive({
  overview: null, // datasets to go on with, example sets, limits
  dataset: null,
  photos: markRaw([]), // newest first; replaced whole, so that thousands need no proxies
  loading: true,
  acting: "", // what has been asked for and is not answered yet
  problem: null, // of what was asked last
  said: null, // {key, values}: what was done last
  view: "photos",
  shown: ALL,
  selected: markRaw(new Set()),
  kept: markRaw(new Set()), // doubtful photos that stay as they are
  served: null, // what serving the model answered
  tried: [], // photos that both models were asked about, newest first
});

let listing = 0;
let timer = 0;
let listed = new Set(); // ids of `photos`

export const arrived = new Set(); // ids of the first of them, which came last

export const isRunning = (run) => RUNNING.includes(run?.state);

// Begin: with the tab's dataset, or with the list of what there is.
export async function begin() {
  if (teaching.dataset) return look();
  const id = sessionStorage.getItem(KEPT);
  if (id && (await open(id))) return;
  await list();
}

export async function list() {
  const { data, problem } = await ask("GET", "teach");
  teaching.loading = false;
  teaching.problem = problem ?? null;
  if (data) teaching.overview = data;
}

export async function open(id) {
  const { data, problem } = await ask("GET", `teach/${id}`);
  if (!data) {
    if (problem.kind === "unknown") sessionStorage.removeItem(KEPT);
    else teaching.problem = problem;
    return false;
  }
  enter(data);
  if (!teaching.overview) ask("GET", "teach").then(({ data: overview }) => (teaching.overview = overview ?? teaching.overview));
  await load();
  return true;
}

export async function create(name) {
  const dataset = await act("create", "POST", "teach", { name });
  if (dataset) enter(dataset);
  return dataset;
}

function enter(dataset) {
  sessionStorage.setItem(KEPT, dataset.id);
  show([]);
  Object.assign(teaching, { dataset, loading: false, problem: null, said: null, shown: ALL, served: null });
  teaching.view = dataset.report && dataset.version && !dataset.outdated ? "result" : "photos";
  watch();
}

// Leave the dataset as it is, for another one.
export async function leave() {
  clearTimeout(timer);
  sessionStorage.removeItem(KEPT);
  Object.assign(teaching, { dataset: null, view: "photos", said: null, problem: null, served: null });
  show([]);
  await list();
}

// Ask the appliance for a change; the answer is the dataset unless `read` says otherwise. Null, and a problem, if it refuses.
export async function act(what, method, path, fields, read = (data) => data) {
  teaching.acting = what;
  const { data, problem } = await ask(method, path, fields);
  teaching.acting = "";
  teaching.problem = problem ? { ...problem, what } : null;
  if (problem?.kind === "unknown" && teaching.dataset && !(await ask("GET", path.split("/").slice(0, 2).join("/"))).data) await leave();
  if (!data) return null;
  const dataset = read(data);
  if (dataset?.revision !== undefined) take(dataset);
  return data;
}

export const path = (rest = "") => `teach/${teaching.dataset.id}${rest}`;

// Answers may overtake one another: the newest state counts.
export function take(dataset) {
  const now = teaching.dataset;
  if (now && (now.id !== dataset.id || now.revision > dataset.revision)) return;
  const finished = isRunning(now?.run) && !isRunning(dataset.run);
  teaching.dataset = dataset;
  if (finished && dataset.run?.state === "done") {
    teaching.kept = markRaw(new Set());
    teaching.served = null;
    teaching.view = "result";
  }
  watch();
}

// All photos, page by page; what was there stays until they are complete.
export async function load() {
  const turn = (listing += 1);
  const photos = [];
  for (let after = ""; after !== null; ) {
    const { data } = await ask("GET", `${path("/photos")}?limit=${PAGE}${after && `&after=${encodeURIComponent(after)}`}`);
    if (turn !== listing || !data) return;
    photos.push(...data.photos);
    after = data.next;
  }
  show(photos.reverse());
}

export function show(photos) {
  teaching.photos = markRaw(photos);
  arrived.clear();
  listed = new Set(photos.map((photo) => photo.id));
  select([...teaching.selected].filter((id) => listed.has(id)));
}

// One photo more, behind those that came with it and before all others: no tile moves while photos arrive.
export function insert(photo) {
  if (listed.has(photo.id)) return;
  const photos = [...teaching.photos];
  photos.splice(arrived.size, 0, photo);
  listed.add(photo.id);
  arrived.add(photo.id);
  teaching.photos = markRaw(photos);
}

export function select(ids) {
  teaching.selected = markRaw(new Set(ids));
}

// Look at the dataset again, at once where something goes on in it.
function watch() {
  clearTimeout(timer);
  if (!teaching.dataset) return;
  const { run, waiting, loading } = teaching.dataset;
  const busy = waiting > 0 || loading?.state === "loading";
  timer = setTimeout(look, isRunning(run) ? RUNNING_MS : busy ? BUSY_MS : IDLE_MS);
}

export async function look() {
  clearTimeout(timer);
  const { dataset } = teaching;
  if (!dataset) return;
  if (!document.hidden && !teaching.acting) {
    const { data, problem } = await ask("GET", `teach/${dataset.id}`);
    if (problem?.kind === "unknown") return void leave();
    if (data && teaching.dataset?.id === data.id) {
      take(data);
      if (!teaching.acting && !idle.busy() && !agrees()) await load();
    }
  }
  watch();
}

document.addEventListener("visibilitychange", () => document.hidden || look());

export const idle = { busy: () => false }; // whether photos are on their way: the list is behind then

// Whether the photos that are listed are those that the appliance counts: another browser may have changed them.
function agrees() {
  const { classes, unlabelled } = teaching.dataset;
  const counts = new Map();
  for (const { label } of teaching.photos) counts.set(label, (counts.get(label) ?? 0) + 1);
  return classes.every(({ label, photos }) => photos === (counts.get(label) ?? 0)) && unlabelled === (counts.get(null) ?? 0);
}

// The inbox in this tab: photos of doubtful answers, and corrections of users, which wait on the appliance for a label.

import { markRaw, reactive } from "vue";
import { ask } from "../send.js";
import { act, look, select, teaching } from "./store.js";

const PAGE = 500; // photos that are listed at once
const MOST = 5000; // that are listed at all: the rest comes once these are done

export const inbox = reactive({
  photos: markRaw([]), // newest first
  kind: "", // shown: "uncertain", "unknown", "correction", or all
  about: null, // what the appliance tells beside the photos: how many it keeps, its labels, who learned from them
  off: "", // why there is no inbox
  loaded: false,
  refused: markRaw([]), // photos that were not accepted, with the reason
});

let listing = 0;
let turn = Promise.resolve();

// All that waits, page by page; what was there stays until the list is complete.
export async function load() {
  const mine = (listing += 1);
  const photos = [];
  for (let after = ""; after !== null && photos.length < MOST; ) {
    const kind = inbox.kind && `&kind=${inbox.kind}`;
    const { data, problem } = await ask("GET", `teach/inbox?limit=${PAGE}${kind}${after && `&after=${encodeURIComponent(after)}`}`);
    if (mine !== listing) return;
    inbox.loaded = true;
    inbox.off = problem?.kind === "unfit" ? problem.detail : "";
    teaching.problem = problem && !inbox.off ? { ...problem, what: "inbox" } : null;
    if (problem) {
      inbox.about = null;
      break;
    }
    const { photos: more, next, ...about } = data;
    inbox.about = about;
    count(about.state);
    photos.push(...more);
    after = next;
  }
  show(photos);
}

function show(photos) {
  const listed = new Set(photos.map(({ id }) => id));
  inbox.photos = markRaw(photos);
  select([...teaching.selected].filter((id) => listed.has(id)));
}

function count(state) {
  if (teaching.overview) teaching.overview.inbox = state;
  if (inbox.about) inbox.about.state = state;
}

// Give photos a label, null for none of the classes: they join the dataset that is open, and the next training.
export function accept(ids, label) {
  const taken = take(ids);
  const dataset = label === null ? null : (teaching.dataset?.id ?? null);
  return inTurn(async () => {
    const data = await act("inbox", "POST", "teach/inbox/accept", { photos: ids, label, dataset }, () => null);
    if (!data) return load();
    const refused = data.photos.filter(({ outcome }) => outcome === "refused");
    const stay = new Set(refused.map(({ name }) => name));
    if (stay.size) show([...taken.filter(({ id }) => stay.has(id)), ...inbox.photos]);
    inbox.refused = markRaw(refused);
    count(data.state);
    await look(); // whether it can be undone
    const done = data.photos.length - refused.length;
    if (done) teaching.said = { key: label === null ? "said_none" : "said_accepted", count: done, label };
  });
}

export function reject(ids) {
  take(ids);
  return inTurn(async () => {
    const data = await act("inbox", "POST", "teach/inbox/reject", { photos: ids }, () => null);
    if (!data) return load();
    teaching.said = { key: "said_rejected", count: data.rejected };
    count(data.state);
  });
}

// Delete all that waits, and what has joined classes from here.
export function empty() {
  return inTurn(async () => {
    const data = await act("inbox", "DELETE", "teach/inbox", undefined, () => null);
    if (data) teaching.said = { key: "said_emptied", count: data.waiting + data.joined + data.corrections };
    await load();
    await look();
  });
}

// What was asked for is shown at once; returns the photos that it is about.
function take(ids) {
  const gone = new Set(ids);
  const taken = inbox.photos.filter(({ id }) => gone.has(id));
  inbox.refused = markRaw([]);
  teaching.said = null;
  show(inbox.photos.filter(({ id }) => !gone.has(id)));
  return taken;
}

// Keys are quicker than answers: the appliance is asked for one change after the other.
function inTurn(change) {
  turn = turn.then(change, change);
  return turn;
}

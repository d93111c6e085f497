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

// All that waits, page by page; what was there stays until the list is complete.
export async function load() {
  const turn = (listing += 1);
  const photos = [];
  for (let after = ""; after !== null && photos.length < MOST; ) {
    const kind = inbox.kind && `&kind=${inbox.kind}`;
    const { data, problem } = await ask("GET", `teach/inbox?limit=${PAGE}${kind}${after && `&after=${encodeURIComponent(after)}`}`);
    if (turn !== listing) return;
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
export async function accept(ids, label) {
  const before = take(ids);
  const dataset = label === null ? null : (teaching.dataset?.id ?? null);
  const data = await act("inbox", "POST", "teach/inbox/accept", { photos: ids, label, dataset }, () => null);
  if (!data) return void load();
  const refused = data.photos.filter(({ outcome }) => outcome === "refused");
  const stay = new Set(refused.map(({ name }) => name));
  if (stay.size) show(before.filter(({ id }) => stay.has(id) || !ids.includes(id)));
  inbox.refused = markRaw(refused);
  const done = data.photos.length - refused.length;
  if (done) teaching.said = { key: label === null ? "said_none" : "said_accepted", count: done, label };
  count(data.state);
  await look();
}

export async function reject(ids) {
  take(ids);
  const data = await act("inbox", "POST", "teach/inbox/reject", { photos: ids }, () => null);
  if (!data) return void load();
  teaching.said = { key: "said_rejected", count: data.rejected };
  count(data.state);
}

// Delete all that waits, and what has joined classes from here.
export async function empty() {
  const data = await act("inbox", "DELETE", "teach/inbox", undefined, () => null);
  if (data) teaching.said = { key: "said_emptied", count: data.waiting + data.joined + data.corrections };
  await load();
  await look();
}

// What was asked for is shown at once; returns what was there before.
function take(ids) {
  const gone = new Set(ids);
  const before = inbox.photos;
  inbox.refused = markRaw([]);
  teaching.said = null;
  show(before.filter(({ id }) => !gone.has(id)));
  return before;
}

// What is changed in a dataset: each change is shown at once, and the appliance can undo it.

import { act, ALL, load, path, select, show, teaching } from "./store.js";

const changed = (photos, ids, change) => photos.map((photo) => (ids.has(photo.id) ? { ...photo, ...change } : photo));

// Whether two names are those of one class.
export const alike = (one, other) => plain(one) === plain(other);
const plain = (name) => name.normalize("NFC").trim().toLowerCase();

export async function addClass(label) {
  return act("class", "PUT", path("/classes"), { label });
}

export async function renameClass(label, to) {
  if (!to || to === label || !(await act("class", "PATCH", path("/classes"), { label, to }))) return;
  show(teaching.photos.map((photo) => (photo.label === label ? { ...photo, label: to } : photo)));
  if (teaching.shown === label) teaching.shown = to;
}

export async function removeClass(label) {
  if (!(await act("class", "DELETE", path("/classes"), { label }))) return;
  if (teaching.shown === label) teaching.shown = ALL;
  await load();
}

export async function label(ids, to) {
  await change(ids, { label: to }, "/label", { label: to }, { key: to === null ? "said_unlabelled" : "said_labelled", label: to });
}

export async function remove(ids) {
  const gone = new Set(ids);
  const before = teaching.photos;
  show(before.filter((photo) => !gone.has(photo.id)));
  await finish(before, "/remove", { photos: [...gone] }, { key: "said_removed", count: gone.size });
}

async function change(ids, fields, rest, body, said) {
  const chosen = new Set(ids);
  if (!chosen.size) return;
  const before = teaching.photos;
  show(changed(before, chosen, fields));
  select([]);
  await finish(before, rest, { photos: [...chosen], ...body }, { ...said, count: chosen.size });
}

// What the appliance refuses was never so.
async function finish(before, rest, body, said) {
  if (await act("change", "POST", path(rest), body)) teaching.said = said;
  else if (teaching.dataset) show(before);
}

export async function undo() {
  if (!teaching.dataset?.undo) return;
  if (await act("undo", "POST", path("/undo"))) {
    teaching.said = { key: "said_undone" };
    await load();
  }
}

export async function example(set) {
  if (await act("examples", "POST", path("/examples"), { set })) await load();
}

export async function rename(name) {
  if (name && name !== teaching.dataset.name) await act("rename", "PATCH", path(), { name });
}

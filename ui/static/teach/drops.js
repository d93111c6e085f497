// What is dropped on the page: files, or folders of which each is a class.

import { UNKNOWN } from "../unknown.js";
import { isPhoto } from "./uploads.js";

// Photos as {file, label}: of a folder its name, of loose files `label`. It must be asked while the event is handled.
export async function dropped(transfer, label) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files].map((file) => ({ file, label }));
  const found = await Promise.all(entries.map((entry) => (entry.isDirectory ? folder(entry, label) : one(entry, label))));
  return found.flat();
}

// A folder of folders holds classes; any other is one, unless it was dropped on a class.
async function folder(entry, label) {
  const inside = await children(entry);
  const folders = inside.filter((child) => child.isDirectory);
  if (folders.length && label === null) return (await Promise.all(folders.map((child) => photosIn(child, child.name)))).flat();
  return photosIn(entry, label ?? entry.name);
}

async function photosIn(entry, label) {
  const inside = await children(entry);
  const found = await Promise.all(inside.map((child) => (child.isDirectory ? photosIn(child, label) : one(child, label))));
  return found.flat().filter(({ file }) => isPhoto(file));
}

async function one(entry, label) {
  return [{ file: await new Promise((done, failed) => entry.file(done, failed)), label }];
}

// A browser gives a folder's entries a hundred at a time.
async function children(entry) {
  const reader = entry.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return all.filter(({ name }) => !name.startsWith(".") && name !== UNKNOWN);
    all.push(...some);
  }
}

// Files of a picker for folders: the class is the folder that holds the photo.
export function chosen(files, label) {
  return [...files].filter((file) => !file.webkitRelativePath || isPhoto(file)).map((file) => ({ file, label: label ?? folderOf(file) }));
}

const folderOf = ({ webkitRelativePath }) => webkitRelativePath?.split("/").at(-2) ?? null;

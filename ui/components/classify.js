// Kept by browsers for long, so it holds nothing but the way to what may change.
export { default } from "/ui/static/classify.js";

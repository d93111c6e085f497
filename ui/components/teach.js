// Kept by browsers for long, so it holds nothing but the way to what may change, below whatever path it is published.
const root = new URL(import.meta.url).pathname.split("/_nicegui/")[0];
export default (await import(`${root}/ui/static/teach.js`)).default;

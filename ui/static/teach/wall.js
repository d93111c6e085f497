// The wall of photos: thousands of tiles, of which only those near the window are drawn; selection by click, Shift, Ctrl,
// a rectangle, and keys. The wall keeps the focus, and names the tile at hand to screen readers (aria-activedescendant).

import { label, remove, undo } from "./changes.js";
import { reject } from "./inbox_store.js";
import { ALL, arrived, select, teaching } from "./store.js";
import { uploads } from "./uploads.js";

const TILE = 116; // px, at least
const GAP = 10;
const BEYOND = 3; // rows above and below the window
const EDGE = 48; // px: a rectangle this near to the window's edge scrolls
const TRIES = 4; // for a thumbnail
export const DRAGGED = "application/x-dandelion-photos";

export const wall = {
  data: () => ({ width: 0, above: 0, height: 0, active: "", anchor: "", rectangle: null, dragging: false }),
  computed: {
    // Photos on their way have the places at which they will arrive.
    tiles() {
      if (teaching.view === "inbox") return this.inboxTiles;
      const here = ({ label: of }) => teaching.shown === ALL || of === teaching.shown;
      const coming = uploads.waiting.filter((item) => item.dataset === teaching.dataset?.id && here(item));
      const photos = teaching.photos.filter(here);
      const older = photos.findIndex(({ id }) => !arrived.has(id));
      const place = older < 0 ? photos.length : older;
      return [...photos.slice(0, place), ...coming.map(({ id, file }) => ({ id, name: file.name, coming: true })), ...photos.slice(place)];
    },
    columns() {
      return Math.max(3, Math.floor((this.width + GAP) / (TILE + GAP)));
    },
    step() {
      return (this.width + GAP) / this.columns; // px from one tile to the next, either way
    },
    rows() {
      return Math.ceil(this.tiles.length / this.columns);
    },
    firstRow() {
      return Math.max(0, Math.floor(this.above / this.step) - BEYOND);
    },
    drawn() {
      if (!this.width) return []; // not measured yet
      const last = Math.ceil((this.above + this.height) / this.step) + BEYOND;
      return this.tiles.slice(this.firstRow * this.columns, Math.max(0, last) * this.columns);
    },
    chosen() {
      return [...teaching.selected];
    },
    wallStyle() {
      return { height: `${Math.max(0, this.rows * this.step - GAP)}px`, "--tile": `${this.step - GAP}px`, "--gap": `${GAP}px` };
    },
  },
  methods: {
    // A thumbnail that did not come, as of a server that was away for a moment.
    askAgain({ target }) {
      const tries = Number(target.dataset.tries ?? 0) + 1;
      if (tries > TRIES) return;
      target.dataset.tries = tries;
      setTimeout(() => (target.src = `${target.src.split("?")[0]}?again=${tries}`), 1500 * tries);
    },
    // Where the wall is in the window.
    measure() {
      const wall = this.$refs.wall;
      if (!wall) return;
      const box = wall.getBoundingClientRect();
      this.width = box.width;
      this.above = -box.top;
      this.height = innerHeight;
    },
    place(id) {
      return this.tiles.findIndex((tile) => tile.id === id);
    },
    press(event, tile) {
      if (tile.coming) return;
      if (event.shiftKey && this.anchor) this.range(tile.id, event.ctrlKey || event.metaKey);
      else if (event.ctrlKey || event.metaKey || this.touched || event.target.closest(".check")) this.toggle(tile.id);
      else select([tile.id]);
      this.active = tile.id;
      if (!event.shiftKey) this.anchor = tile.id;
    },
    toggle(id) {
      const ids = new Set(teaching.selected);
      if (!ids.delete(id)) ids.add(id);
      select(ids);
    },
    range(to, more) {
      const [from, until] = [this.place(this.anchor), this.place(to)].sort((a, b) => a - b);
      const ids = this.tiles.slice(Math.max(0, from), until + 1).filter((tile) => !tile.coming).map((tile) => tile.id);
      select(more ? [...teaching.selected, ...ids] : ids);
    },
    selectAll() {
      select(this.tiles.filter((tile) => !tile.coming).map((tile) => tile.id));
    },
    focus() {
      if (this.place(this.active) < 0) this.active = this.tiles.find((tile) => !tile.coming)?.id ?? "";
    },
    // Keys of the wall itself; what holds on the whole page is in `shortcut`.
    wallKey(event) {
      const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, Home: -Infinity, End: Infinity }[event.key];
      if (by) this.move(by, event);
      else if (event.key === " ") this.toggle(this.active);
      else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.selectAll();
      else if (event.key === "Enter") select([this.active]);
      else return;
      if (event.key === " " || event.key === "Enter") this.anchor = this.active;
      event.preventDefault();
    },
    move(by, event) {
      const place = Math.min(this.tiles.length - 1, Math.max(0, this.place(this.active) + by));
      const next = this.tiles[place];
      if (!next || next.coming) return;
      if (event.shiftKey) {
        this.anchor ||= this.active;
        this.active = next.id;
        this.range(next.id, false);
      } else {
        this.active = next.id;
        this.anchor = "";
      }
      this.reveal(place);
    },
    reveal(place) {
      const top = this.$refs.wall.getBoundingClientRect().top + Math.floor(place / this.columns) * this.step;
      const [low, high] = [this.step, innerHeight - 2 * this.step];
      if (top < low) scrollBy(0, top - low);
      else if (top > high) scrollBy(0, top - high);
    },
    shortcut(event) {
      if (!(teaching.dataset || teaching.view === "inbox") || event.altKey || event.target.closest?.("input, select, textarea, dialog")) return;
      if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) teaching.view === "inbox" ? this.undoAccept() : undo();
      else if (teaching.view === "result" || event.ctrlKey || event.metaKey) return;
      else if (event.key === "Delete" || event.key === "Backspace") this.discard();
      else if (event.key === "Escape") select([]);
      else if (/^[0-9]$/.test(event.key)) this.labelByKey(Number(event.key));
      else return;
      event.preventDefault();
    },
    // What is selected, or else the tile at hand.
    meant() {
      if (teaching.selected.size) return this.chosen;
      return document.activeElement === this.$refs.wall && this.place(this.active) >= 0 ? [this.active] : [];
    },
    labelByKey(number) {
      if (teaching.view === "inbox") return this.acceptByKey(number);
      const to = teaching.dataset.classes[number - 1];
      if (to) this.keepPlace(() => label(this.meant(), to.label));
    },
    discard() {
      const ids = this.meant();
      if (ids.length) this.keepPlace(() => (teaching.view === "inbox" ? reject(ids) : remove(ids)));
    },
    // The tile at hand may leave the wall: the one in its place is at hand then.
    keepPlace(change) {
      const place = this.place(this.active);
      const done = change();
      if (this.place(this.active) < 0) this.active = this.tiles[Math.min(place, this.tiles.length - 1)]?.id ?? "";
      return done;
    },
    // A rectangle begins beside the tiles, or with Shift anywhere; a mouse or a pen draws it, a finger scrolls.
    begin(event) {
      this.touched = event.pointerType === "touch";
      if (this.touched || event.button || event.target.closest("button, a, input")) return;
      if (event.target.closest(".tile") && !event.shiftKey) return;
      const base = event.ctrlKey || event.metaKey || event.shiftKey ? this.chosen : [];
      this.start = { ...this.pointOf(event), base };
    },
    pointOf({ clientX, clientY }) {
      const box = this.$refs.wall.getBoundingClientRect();
      return { x: clientX - box.left, y: clientY - box.top };
    },
    stretch(event) {
      if (!event.buttons) this.start = null;
      if (!this.start) return;
      const { x, y } = this.pointOf(event);
      const [left, top] = [Math.min(x, this.start.x), Math.min(y, this.start.y)];
      const [right, bottom] = [Math.max(x, this.start.x), Math.max(y, this.start.y)];
      if (!this.rectangle && right - left < 4 && bottom - top < 4) return;
      this.$refs.panel.setPointerCapture(event.pointerId); // not before: a click would miss its tile
      this.rectangle = { left, top, right, bottom };
      select([...this.start.base, ...this.covered(this.rectangle)]);
      if (event.clientY > innerHeight - EDGE) scrollBy(0, 12);
      if (event.clientY < EDGE) scrollBy(0, -12);
    },
    covered({ left, top, right, bottom }) {
      const { step, columns, tiles } = this;
      const ids = [];
      for (let row = Math.max(0, Math.floor((top + GAP) / step)); row * step < bottom && row < this.rows; row += 1)
        for (let column = Math.max(0, Math.floor((left + GAP) / step)); column * step < right && column < columns; column += 1) {
          const tile = tiles[row * columns + column];
          if (tile && !tile.coming) ids.push(tile.id);
        }
      return ids;
    },
    finish(event) {
      if (!this.start) return;
      if (!this.rectangle && !event.target.closest(".tile")) select(this.start.base);
      this.start = null;
      this.rectangle = null;
    },
    // Photos are dragged onto a class: those that are selected, or the one that was taken.
    drag(event, tile) {
      if (this.start) return event.preventDefault();
      if (!teaching.selected.has(tile.id)) select([tile.id]);
      event.dataTransfer.setData(DRAGGED, tile.id);
      event.dataTransfer.effectAllowed = "move";
      this.$refs.badge.textContent = teaching.selected.size;
      event.dataTransfer.setDragImage(this.$refs.badge, 20, 20);
      this.dragging = true;
    },
  },
  mounted() {
    this.watcher = new ResizeObserver(() => this.measure());
    this.watcher.observe(this.$el);
  },
  updated() {
    this.measure();
  },
  unmounted() {
    this.watcher.disconnect();
  },
};

export const wallTemplate = `
  <div ref="panel" :class="['wall-panel', { stretching: rectangle }]" @pointerdown="begin" @pointermove="stretch" @pointerup="finish" @pointercancel="finish">
    <ul ref="wall" class="wall" tabindex="0" role="listbox" aria-multiselectable="true" :aria-label="wallName" :aria-activedescendant="place(active) >= 0 ? 'photo-' + active : null" :style="wallStyle" @keydown="wallKey" @focus="focus">
      <li v-for="(tile, n) in drawn" :key="tile.id" :id="'photo-' + tile.id" role="option" :aria-selected="teaching.selected.has(tile.id)" :aria-setsize="tiles.length" :aria-posinset="firstRow * columns + n + 1" :aria-disabled="tile.coming"
          :aria-label="tile.name + ', ' + (tile.coming ? t.coming : tile.label ?? t.unlabelled)"
          :class="['tile', { selected: teaching.selected.has(tile.id), active: tile.id === active, coming: tile.coming, unlabelled: tile.label === null, fault: tile.fault }]" :style="tilePlace(n)" :title="tile.fault ?? tile.name"
          :draggable="!tile.coming && teaching.view === 'photos'" @click="press($event, tile)" @dragstart="drag($event, tile)" @dragend="dragging = false">
        <img v-if="!tile.coming" :src="thumbnail(tile.id)" alt="" draggable="false" decoding="async" @error="askAgain">
        <span v-else class="shimmer"></span>
        <span v-if="!tile.coming" class="check" aria-hidden="true"></span>
        <span v-if="(teaching.shown === ALL || teaching.view === 'inbox') && !tile.coming" class="tag" dir="auto" aria-hidden="true">{{ tile.label ?? t.unlabelled }}</span>
      </li>
    </ul>
    <i v-if="rectangle" class="rectangle" :style="rectangleStyle" aria-hidden="true"></i>
    <span ref="badge" class="drag-badge" aria-hidden="true"></span>
  </div>`;

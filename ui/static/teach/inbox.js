// The view Inbox: what the model was not sure about, and what users corrected, on the same wall as the photos of a dataset.

import { fill } from "../send.js";
import { undo } from "./changes.js";
import { accept, empty, inbox as state, load, reject } from "./inbox_store.js";
import { select, teaching } from "./store.js";
import { wallTemplate } from "./wall.js";

const LOOK_MS = 10_000; // between looks at what has come, as long as nothing is selected
const KINDS = ["", "uncertain", "unknown", "correction"];

export const inbox = {
  data: () => ({ inbox: state, KINDS, emptying: false }),
  computed: {
    inboxTiles() {
      return state.photos.map((photo) => ({ id: photo.id, name: this.answered(photo), label: this.shortly(photo) }));
    },
    // The labels that a photo may get: the classes that are taught, or those of the model that serves.
    choices() {
      return this.dataset ? this.dataset.classes.map((one) => one.label) : state.about?.stores ? state.about.labels : [];
    },
    learnedNames() {
      return state.about?.learned.map(({ version, dataset }) => `${version} (${dataset})`).join(", ") ?? "";
    },
    inboxLead() {
      const { state: now, most, days } = state.about;
      return fill(now.enabled ? this.t.inbox_lead : this.t.inbox_corrections_only, { most: this.number(most), days: this.number(days) });
    },
    canUndoAccept() {
      return teaching.said?.key === "said_accepted" && this.dataset?.undo === "add";
    },
    emptySure() {
      const { state: now, joined, learned } = state.about;
      const asked = fill(joined ? this.t.inbox_sure_joined : this.t.inbox_sure, { waiting: this.number(now.waiting), joined: this.number(joined) });
      return `${asked} ${fill(learned.length ? this.t.inbox_sure_learned : this.t.inbox_sure_unlearned, { versions: this.learnedNames })}`;
    },
  },
  watch: {
    "teaching.view"(now, before) {
      this.active = this.anchor = "";
      this.emptying = false;
      if ([now, before].includes("inbox")) teaching.said = null;
      select([]);
      if (now === "inbox") load();
    },
    "inbox.kind"() {
      this.active = this.anchor = "";
      load();
    },
  },
  methods: {
    // What was answered, in words.
    answered({ kind, label, confidence, said, received }) {
      const words = { label: label ? this.named(label) : this.t.inbox_no_answer, said: this.inboxSaid(said), share: this.percent(confidence ?? 0) };
      return `${fill(this.t[`inbox_told_${kind}`], words)}, ${this.when(received)}`;
    },
    shortly({ kind, label, confidence, said }) {
      if (kind === "correction") return `→ ${this.inboxSaid(said)}`;
      return kind === "unknown" ? this.t.inbox_kind_unknown : `${this.named(label)} ${this.percent(confidence)}`;
    },
    inboxSaid(said) {
      return said === this.UNKNOWN ? this.t.inbox_kind_unknown : this.named(said);
    },
    acceptAs(to) {
      const ids = this.meant();
      if (ids.length) this.keepPlace(() => accept(ids, to));
    },
    rejectSelected() {
      this.keepPlace(() => reject(this.chosen));
    },
    acceptByKey(number) {
      if (number === 0) return state.about?.stores && this.acceptAs(null);
      const to = this.choices[number - 1];
      if (to) this.acceptAs(to);
    },
    // What joined a class by the last change waits here again.
    async undoAccept() {
      if (!this.canUndoAccept) return;
      await undo();
      await load();
    },
    askToEmpty() {
      this.emptying = true;
      this.$nextTick(() => this.$refs.keepAll.focus());
    },
    async emptyInbox() {
      this.emptying = false;
      await empty();
    },
    lookIntoInbox() {
      if (teaching.view === "inbox" && !document.hidden && !teaching.acting && !teaching.selected.size) load();
    },
  },
  mounted() {
    this.looking = setInterval(() => this.lookIntoInbox(), LOOK_MS);
  },
  unmounted() {
    clearInterval(this.looking);
  },
};

const bar = `
  <div v-if="teaching.selected.size" class="selection-bar" role="toolbar" :aria-label="t.selection">
    <span class="count" role="status">{{ fill(teaching.selected.size === 1 ? t.selected_one : t.selected, { count: number(teaching.selected.size) }) }}</span>
    <span class="move-words">{{ t.inbox_it_is }}</span>
    <div class="moves">
      <button v-for="(to, n) in choices" :key="to" class="move" @click="acceptAs(to)"><kbd v-if="n < 9" aria-hidden="true">{{ n + 1 }}</kbd><span dir="auto">{{ named(to) }}</span></button>
      <button v-if="inbox.about?.stores" class="move none" @click="acceptAs(null)"><kbd aria-hidden="true">0</kbd><span>{{ t.inbox_none }}</span></button>
    </div>
    <button class="button small-button danger" @click="rejectSelected">{{ t.inbox_delete }}</button>
    <button class="link quiet" @click="select([])">{{ t.clear_selection }}</button>
  </div>`;

const sure = `
    <div v-if="emptying && inbox.about" class="note warn" role="alertdialog" :aria-label="t.delete_all">
    <p>{{ emptySure }}</p>
    <div class="row"><button class="button small-button danger" @click="emptyInbox">{{ t.delete_all }}</button><button ref="keepAll" class="button small-button" @click="emptying = false">{{ t.keep_all }}</button></div>
  </div>`;

export const inboxTemplate = `
  <section class="wall-side inbox" :aria-label="t.inbox">
    <div class="wall-head">
      <component :is="dataset ? 'h2' : 'h1'">{{ t.inbox }}</component>
      <div v-if="inbox.about" class="segments kinds" role="group" :aria-label="t.inbox_kinds">
        <button v-for="kind in KINDS" :key="kind" :aria-pressed="inbox.kind === kind" @click="inbox.kind = kind">{{ t['inbox_kind_' + (kind || 'all')] }}</button>
      </div>
      <button v-if="tiles.length" class="link" @click="selectAll(); $refs.wall.focus()">{{ t.select_all }}</button>
      <button v-if="canUndoAccept" class="link undo-link" @click="undoAccept" :title="t.undo_title"><span aria-hidden="true">↶ </span>{{ t.undo }}</button>
      <p v-if="said" class="said" role="status">{{ said }}</p>
    </div>
    <div v-if="inbox.off" class="note inbox-off" role="status"><p>{{ t.inbox_off }}</p><p class="small">{{ t.inbox_how }} <code>DANDELION_INBOX_PHOTOS=500</code></p></div>
    <p v-if="inbox.about" class="small inbox-lead">{{ inboxLead }}</p>
    <p v-if="trouble" class="note warn" role="alert">{{ trouble }}</p>
    <p v-if="inbox.about?.trouble" class="note warn" role="alert">{{ inbox.about.trouble }}</p>
    <div v-if="inbox.refused.length" class="note warn" role="alert"><p>{{ fill(inbox.refused.length === 1 ? t.inbox_refused_one : t.inbox_refused, { count: number(inbox.refused.length), detail: inbox.refused[0].detail }) }}</p><button class="link quiet" @click="inbox.refused = []">{{ t.forget }}</button></div>
    <p v-if="inbox.about && tiles.length && !choices.length" class="note" role="status">{{ t.inbox_no_choices }}</p>
    <div v-if="inbox.about && !tiles.length" class="wall-empty"><p class="big">{{ t.inbox_empty }}</p><p class="small">{{ t.inbox_empty_how }}</p></div>
    <div v-show="tiles.length">${wallTemplate}</div>
    <p v-if="tiles.length" class="keys-help small"><kbd>Shift</kbd> <kbd>Ctrl</kbd> {{ t.help_click }} · <kbd>1</kbd>–<kbd>9</kbd> {{ t.help_label }}<template v-if="inbox.about?.stores"> · <kbd>0</kbd> {{ t.inbox_none }}</template> · <kbd>Del</kbd> {{ t.inbox_delete }}</p>
${sure}
    <div v-else-if="inbox.about && (inbox.about.state.waiting || inbox.about.joined)" class="row inbox-end"><button class="button small-button danger" @click="askToEmpty">{{ t.delete_all }}</button><p v-if="learnedNames" class="small">{{ fill(t.inbox_learned, { versions: learnedNames }) }}</p></div>
  </section>
${bar}`;

// On the page before there is a photo: what waits, and the way there.
export const inboxCard = `
    <section v-if="overview.inbox.enabled || overview.inbox.waiting" class="inbox-way">
      <h2>{{ t.inbox_way }}</h2>
      <button class="go-on-with" @click="teaching.view = 'inbox'"><b>{{ t.inbox }}</b><small>{{ overview.inbox.waiting ? fill(overview.inbox.waiting === 1 ? t.inbox_waiting_one : t.inbox_waiting, { count: number(overview.inbox.waiting) }) : t.inbox_empty }}</small></button>
    </section>`;

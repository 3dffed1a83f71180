// The scene editor: a script as rows. Its text is the only truth: each edit makes a text, which is split into rows.

import { button, make } from "../dom.js";
import * as edits from "./edits.js";
import { readTime } from "./grammar.js";
import { splitScript } from "./rows.js";
import { addSceneStyle, huesOf } from "./style.js";
import { dragRows } from "./drag.js";
import { SceneFindings } from "./findings.js";
import { handleKey } from "./keys.js";
import { SceneTags } from "./tags.js";
import { drawRow, grow } from "./view.js";

const MOST_LINES = 5000; // beyond, the text alone is shown
const TOGETHER_MS = 1000; // typing that is undone at once
const KEPT_LETTERS = 20_000_000; // of texts to go back to
let count = 0; // of editors and rows, for ids

export class SceneEditor {
  /**
   * @param {object} host
   *   getText(), setText(text): where the script is kept; check(text): {turns, errors, warnings} of the server;
   *   subtitles(text): subtitles as a script; tags(), mend(text): see SceneTags; compare(rows' takes): the takes of a row; left(): the focus left
   */
  constructor(host) {
    addSceneStyle();
    this.host = host;
    this.past = [];
    this.future = [];
    this.elements = new Map();
    this.script = { head: "", rows: [] };
    this.findings = new SceneFindings(this);
    this.hues = new Map();
    this.active = -1;
    this.raw = false;
    this.linked = false; // the text is not the one that counts: it is shown, and stays as it is
    this.build();
    this.load();
  }

  build() {
    this.names = make("datalist", { id: `higgs-names-${++count}` });
    this.list = make("div", { className: "rows", role: "list", "aria-label": "Rows of the script" });
    this.area = make("textarea", { className: "raw", spellcheck: false, hidden: true, "aria-label": "The script" });
    this.said = make("span", { className: "said", role: "status", onclick: () => this.findings.next() });
    this.views = [button("Scene", "Rows", () => this.show(false)),
      button("Text", "The plain text", () => this.show(true))];
    this.tools = [
      button("+ Line", "A line below (Enter in a line splits it)", () => this.add(edits.turn)),
      button("+ Scene", "A scene header below", () => this.add(edits.scene)),
      button("+ Note", "A comment below", () => this.add(edits.note)),
      button("↶", "Undo (Ctrl+Z)", () => this.undo(this.past, this.future)),
      button("↷", "Redo (Ctrl+Shift+Z)", () => this.undo(this.future, this.past)),
    ];
    this.tags = new SceneTags(this);
    this.root = make("div", { className: "higgs-scene widget-expands", role: "group", "aria-label": "Scene editor",
      "data-capture-wheel": "true" },
    make("div", { className: "bar", role: "toolbar", "aria-label": "Scene" }, ...this.views, ...this.tools,
      this.tags.menu, this.tags.mending, this.said),
    this.list, this.area, this.names);
    this.root.blur = () => this.root.contains(document.activeElement) && document.activeElement.blur();
    this.area.addEventListener("input", () => this.change({ text: this.area.value }, "text"));
    this.list.addEventListener("input", (event) => this.typed(event));
    this.list.addEventListener("change", (event) => this.filled(event.target));
    this.list.addEventListener("click", (event) => this.clicked(event));
    this.list.addEventListener("paste", (event) => this.pasted(event));
    this.root.addEventListener("keydown", (event) => handleKey(this, event));
    this.root.addEventListener("focusout", (event) => {
      if (!this.root.contains(event.relatedTarget)) this.host.left?.();
    });
    dragRows(this);
  }

  // --- text in, text out ---

  /** Takes over the text of the host, if it is another one. */
  load() {
    const text = this.host.getText();
    if (text === this.text || this.writing) return;
    this.past.length = this.future.length = 0; // another workflow: there is nothing to go back to
    this.draw(text);
    this.findings.loadSoon();
  }

  /** The text comes through a link, from a node of this title, and not from here; null: it is the editor's again. */
  linkTo(title) {
    if (title === null && !this.linked) return;
    this.linked = title !== null;
    this.root.classList.toggle("linked", this.linked);
    this.area.readOnly = this.linked;
    this.findings.clear();
    this.draw(this.text);
    if (this.linked) this.say(`Linked: the text of “${title}” counts, not this one.`, "warnings");
    else this.findings.loadSoon();
  }

  /** Makes an edit: {text, caret}, or null for one that cannot be. `group`: what is undone at once. */
  change(edit, group = "", part = "words") {
    if (this.linked || !edit || edit.text === this.text) return;
    this.remember(group);
    this.draw(this.write(edit.text));
    if (edit.caret !== undefined && part) this.goTo(edit.caret, part);
    this.findings.checkSoon();
  }

  /** Gives the host a text; returns what it made of it. */
  write(text) {
    this.writing = true;
    this.host.setText(text);
    this.writing = false;
    return this.host.getText();
  }

  remember(group) {
    const now = performance.now();
    if (!group || group !== this.group || now - this.changedAt > TOGETHER_MS) {
      this.past.push({ text: this.text, caret: this.caret() });
      const most = Math.max(20, KEPT_LETTERS / (this.text.length + 1));
      if (this.past.length > most) this.past.shift();
    }
    this.group = group;
    this.changedAt = now;
    this.future.length = 0;
  }

  undo(from, to) {
    const step = this.linked ? null : from.pop();
    if (!step) return;
    to.push({ text: this.text, caret: this.caret() });
    this.group = "";
    this.draw(this.write(step.text));
    if (!this.raw) this.goTo(step.caret ?? 0);
    this.findings.checkSoon();
  }

  // --- rows ---

  draw(text) {
    this.text = text;
    this.session = null;
    if (!this.raw && tooLong(text)) return this.show(true);
    if (this.raw) {
      if (this.area.value !== text) this.area.value = text;
      return this.drawBar();
    }
    const next = splitScript(text), before = this.script.rows;
    const kept = before[this.active]?.id;
    this.match(before, next.rows);
    this.script = next;
    const at = next.rows.findIndex((row) => row.id === kept);
    this.active = at >= 0 ? at : Math.min(Math.max(this.active, 0), next.rows.length - 1);
    if (this.linked) this.active = -1;
    this.drawSpeakers();
    this.place();
    return this.drawBar();
  }

  /** Gives rows the ids of those that they were before. */
  match(before, after) {
    const same = (one, other) => one && other && one.source === other.source && one.speaker === other.speaker;
    let first = 0, last = 0;
    while (first < after.length && same(before[first], after[first])) after[first].id = before[first++].id;
    while (last < Math.min(before.length, after.length) - first && same(before.at(-1 - last), after.at(-1 - last))) {
      after.at(-1 - last).id = before.at(-1 - last++).id;
    }
    const old = before.slice(first, before.length - last), middle = after.slice(first, after.length - last);
    const bySource = new Map(old.map((row) => [row.source, row.id]));
    for (const row of middle) {
      row.id = bySource.get(row.source);
      bySource.delete(row.source);
    }
    const left = old.filter((row) => bySource.get(row.source) === row.id);
    for (const row of middle.filter((one) => one.id === undefined)) {
      row.id = (old.length <= middle.length || left.length === 1 ? left.shift()?.id : undefined) ?? ++count;
    }
  }

  /** Brings the elements into the order of the rows; draws those that changed. */
  place() {
    const { rows } = this.script, wanted = new Set(rows.map((row) => row.id));
    for (const [id, element] of this.elements) {
      if (wanted.has(id)) continue;
      element.remove();
      this.elements.delete(id);
      this.findings.forget(id);
    }
    this.empty?.remove();
    let next = this.list.firstChild;
    rows.forEach((row, at) => {
      let element = this.elements.get(row.id);
      if (!element) {
        element = make("div", { role: "listitem" });
        element.dataset.id = row.id;
        this.elements.set(row.id, element);
      }
      if (element === next) next = next.nextSibling;
      else this.list.insertBefore(element, next);
      this.drawOne(at);
    });
    if (!rows.length) {
      this.empty = make("div", { className: "empty", textContent: "No lines yet: press + Line, or paste a script." });
      this.list.append(this.empty);
    }
  }

  drawOne(at, force = false) {
    const row = this.script.rows[at], element = this.elements.get(row.id), active = at === this.active;
    const hue = this.hues.get(row.speaker) ?? 0;
    const looks = `${row.source}\0${row.speaker}\0${row.continues}\0${active}\0${hue}`;
    if (!force && element.looks === looks) return;
    element.looks = looks;
    const { notes, states } = this.findings;
    drawRow(element, { row, active, hue, notes: notes.get(row.id) ?? [], state: states.get(row.id),
      names: this.names.id });
  }

  drawSpeakers() {
    const names = edits.speakersOf(this.script.rows), key = names.join("\n");
    if (key === this.speakers) return;
    this.speakers = key;
    this.hues = huesOf(names);
    this.names.replaceChildren(...names.map((value) => make("option", { value })));
  }

  drawBar() {
    this.views.forEach((view, at) => view.setAttribute("aria-pressed", String(this.raw === (at === 1))));
    this.tools.forEach((tool) => { tool.hidden = this.raw || this.linked; });
    this.tags.menu.hidden = this.linked;
    this.tools[3].disabled = !this.past.length;
    this.tools[4].disabled = !this.future.length;
  }

  // --- the row that is edited ---

  get field() {
    return this.element()?.querySelector("textarea");
  }

  element(at = this.active) {
    return this.elements.get(this.script.rows[at]?.id);
  }

  caret() {
    if (this.raw) return this.area.selectionStart;
    const row = this.script.rows[this.active];
    return row ? row.start + row.head.length + (this.field?.selectionStart ?? 0) : 0;
  }

  /** To the row that has this place of the text. */
  goTo(caret, part = "words") {
    const { rows } = this.script;
    if (!rows.length || this.raw) return;
    let at = rows.findIndex((row) => caret <= row.start + row.source.length);
    if (at < 0) at = rows.length - 1;
    this.activate(at, Math.max(0, caret - rows[at].start - rows[at].head.length), part);
  }

  activate(at, caret = null, part = "words") {
    const { rows } = this.script;
    if (!rows[at] || this.linked) return;
    const before = this.active;
    this.active = at;
    if (before !== at && rows[before]) this.drawOne(before);
    this.drawOne(at);
    this.session = null;
    const area = this.field, row = rows[at];
    if (area.value !== row.body) {
      area.value = row.body;
      grow(area);
    }
    const target = this.element().querySelector(`[data-part=${part}]`) ?? area;
    target.focus({ preventScroll: true });
    if (target === area && caret !== null) area.setSelectionRange(caret, caret);
    else if (target !== area) target.select?.();
    this.element().scrollIntoView({ block: "nearest" });
  }

  typed(event) {
    const area = event.target;
    if (!area.matches("textarea") || event.isComposing) return;
    this.session ??= { script: this.script, at: this.active };
    const { session } = this;
    const edit = edits.setBody(session.script, session.at, area.value, area.selectionStart);
    const value = area.value, kind = session.script.rows[session.at].kind;
    this.change(edit, `row ${session.script.rows[session.at].id}`, "");
    const row = this.script.rows[session.at], sameRows = this.script.rows.length === session.script.rows.length;
    if (sameRows && row?.kind === kind && row.body.trim() === value.trim()) {
      this.session = session; // blanks at the end are no part of the text as yet, but the person's
      grow(area);
    } else this.goTo(edit.caret);
  }

  filled(input) {
    const { part } = input.dataset, value = input.value.trim(), { script, active } = this;
    if (part === "words" || !part) return;
    const time = part === "pause" ? (value ? readTime(value.replace(",", ".")) : 0) : 0;
    const fits = part === "chip" ? edits.fitsSpeaker(value)
      : part === "take" ? /^(?:[1-9]\d{0,3})?$/.test(value) : time !== null && time <= 600;
    input.setAttribute("aria-invalid", String(!fits));
    if (!fits) return;
    const edit = part === "chip" ? edits.setSpeaker(script, active, value)
      : part === "take" ? edits.setTake(script, active, value) : edits.setPause(script, active, time);
    this.change(edit, "", "");
  }

  clicked(event) {
    const element = event.target.closest?.(".row");
    if (!element) return;
    const at = this.script.rows.findIndex((row) => String(row.id) === element.dataset.id);
    const { act } = event.target.dataset;
    if (act === "takes") this.host.compare?.([...this.findings.states.get(this.script.rows[at].id).values()]);
    else if (act === "remove") this.change(edits.removeRow(this.script, at));
    else if (at !== this.active && getSelection().isCollapsed) {
      this.activate(at, caretAt(event, element), event.target.dataset.part);
    }
  }

  pasted(event) {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!event.target.matches("textarea") || !edits.looksLikeSubtitles(text)) return;
    event.preventDefault();
    const at = this.active, row = this.script.rows[at], asked = this.text;
    this.host.subtitles(text).then((found) => {
      if (this.text !== asked) return this.say("The text has changed meanwhile: paste again.", "errors");
      if (found.error) return this.say(found.error, "errors");
      const bare = row.body.trim() ? this.script : { ...this.script, rows: this.script.rows.toSpliced(at, 1) };
      return this.change(edits.insertText(bare, row.body.trim() ? at + 1 : at, found.text));
    });
  }

  add(row) {
    const { rows } = this.script, like = rows[this.active];
    const speaker = like?.kind === "turn" && like.speaker ? like.speaker : "Narrator";
    this.change(edits.insertRow(this.script, Math.min(this.active + 1, rows.length), row(speaker, like)));
  }

  /** Shows the plain text, or the rows. */
  show(raw) {
    if (!raw && tooLong(this.text)) {
      this.say(`More than ${MOST_LINES} lines: edit them as text.`, "warnings");
      return;
    }
    const caret = this.caret();
    this.raw = raw;
    this.area.hidden = !raw;
    this.list.hidden = raw;
    this.draw(this.text);
    if (!this.root.isConnected || !this.root.contains(document.activeElement)) return;
    if (raw) {
      this.area.focus();
      this.area.setSelectionRange(caret, caret);
    } else this.goTo(caret);
  }

  say(text, looks, title = text) {
    this.said.className = `said ${looks}`;
    this.said.textContent = text;
    this.said.title = title;
  }

  /** The number of the row that has a line of the text. */
  rowAt(line) {
    const { rows } = this.script;
    let low = 0, high = rows.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (rows[middle].line <= line) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** Whether a text has too many lines for rows. */
function tooLong(text) {
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0 && lines <= MOST_LINES; at = text.indexOf("\n", at + 1)) lines++;
  return lines > MOST_LINES;
}

/** The place in a text that was clicked at. */
function caretAt(event, element) {
  const words = element.querySelector(".words");
  const found = document.caretPositionFromPoint?.(event.clientX, event.clientY);
  const range = found ? { node: found.offsetNode, at: found.offset } : (() => {
    const one = document.caretRangeFromPoint?.(event.clientX, event.clientY);
    return one && { node: one.startContainer, at: one.startOffset };
  })();
  return range && words.contains(range.node) ? range.at : words.textContent.length;
}

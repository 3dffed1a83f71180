// What a director proposes for a script, line by line: as it is, and as it would be. A person takes what they like.

import { addStyle, button, make } from "../dom.js";
import { addSceneStyle, huesOf } from "./style.js";

const MOST_ROWS = 1000; // beyond, they go with All and None, and that is said
const TOKEN = /<\|[^<>|\n]{1,80}\|>|\[[^[\]\n]{1,40}\]/g; // as TOKEN of higgs_runtime/script/directing.py

const CSS = `
.higgs-diff .row { grid-template-columns: 48px minmax(56px, 104px) 1fr; padding: 4px 8px 4px 2px; }
.higgs-diff .row + .row { border-top: 1px solid var(--line); }
.higgs-diff .pick { display: flex; align-items: center; justify-content: flex-end; gap: 4px; height: 22px; font-size: 11px;
  color: var(--soft); font-variant-numeric: tabular-nums; }
.higgs-diff .pick input { width: 14px; height: 14px; accent-color: var(--busy); }
.higgs-diff .pick:has(input), .higgs-diff .pick input { cursor: pointer; }
.higgs-diff .chip { cursor: default; }
.higgs-diff .bar .accept { background: var(--busy); border-color: var(--busy); color: #fff; }
.higgs-diff .row .words { cursor: text; user-select: text; }
.higgs-diff .was { color: var(--soft); text-decoration: line-through; text-decoration-color: var(--bad); }
.higgs-diff .row.kept .was { text-decoration: none; }
.higgs-diff ins { text-decoration: none; background: color-mix(in srgb, var(--good) 45%, transparent); border-radius: 4px;
  padding: 0 2px; }
.higgs-diff .row:not(.kept) { border-inline-start-color: var(--good); }
.higgs-diff .row.kept { border-inline-start-color: var(--warn); }
.higgs-diff .row:has(.pick input:not(:checked)) { border-inline-start-color: transparent; }
.higgs-diff .row:has(.pick input:not(:checked)) .now { opacity: .4; }
.higgs-diff .row:has(.pick input:not(:checked)) .was { text-decoration: none; color: var(--ink); }
.higgs-diff .notes { grid-column: 3 / -1; }
`;

export class SceneDiff {
  /**
   * @param {object} host
   *   getAccepted(), setAccepted(text): where what is accepted is kept; see Accepted of higgs_runtime/script/directing.py
   */
  constructor(host) {
    addSceneStyle();
    addStyle("higgs-diff-style", CSS);
    this.host = host;
    this.rows = [];
    this.of = "";
    this.build();
    this.load();
  }

  build() {
    this.list = make("div", { className: "rows", role: "list", "aria-label": "Proposed lines" });
    this.said = make("span", { className: "said", role: "status" });
    this.accepting = button("Accept", "Keep the ticked lines in the workflow", () => this.accept(), { className: "accept" });
    this.all = button("All", "Tick all lines", () => this.tick(true));
    this.none = button("None", "Tick no line", () => this.tick(false));
    this.forgetting = button("Forget", "Drop what was accepted; the next run asks anew", () => this.forget());
    this.root = make("div", { className: "higgs-scene higgs-diff widget-expands", role: "group",
      "aria-label": "Proposal of the director", "data-capture-wheel": "true" },
    make("div", { className: "bar", role: "toolbar", "aria-label": "Proposal" },
      this.accepting, this.all, this.none, this.forgetting, this.said), this.list);
  }

  /** Shows what is kept in the workflow. */
  load() {
    const text = this.host.getAccepted();
    if (text === this.kept) return;
    this.kept = text;
    this.rows = read(text);
    this.of = "";
    this.draw();
    this.say(text.trim() ? `${lines(this.rows.length)} accepted` : "Nothing proposed yet: queue the graph.");
  }

  /** A message of the node: see the event higgs.directed. */
  show({ state, of, rows, turns, stale }) {
    if (state === "accepted") return this.say(`${lines(turns)} used as accepted`);
    this.rows = rows;
    this.of = of;
    this.kept = undefined;
    this.draw();
    const changed = rows.filter((row) => row.pieces.length).length, kept = rows.length - changed;
    const about = `${lines(changed)} ${state === "used" ? "changed" : "proposed"}${kept ? `, ${kept} kept as they were` : ""}`;
    if (!changed) return this.say(about);
    return this.say(stale ? `The script has changed: ${about}` : about, stale ? "warnings" : "");
  }

  draw() {
    const names = this.rows.flatMap((row) => [row.speaker, ...row.pieces.map(([speaker]) => speaker)]);
    const hues = huesOf([...new Set(names.filter(Boolean))]);
    this.list.replaceChildren(...this.rows.slice(0, MOST_ROWS).map((row) => drawRow(row, hues)));
    this.more = make("div", { className: "empty" });
    if (this.rows.length > MOST_ROWS) this.list.append(this.more);
    this.tick(true);
    this.accepting.hidden = !this.of; // also where nothing is to change: then nobody is asked again
    this.all.hidden = this.none.hidden = !this.rows.some((row) => row.pieces.length && !row.accepted);
    this.forgetting.hidden = !this.host.getAccepted().trim();
  }

  tick(on) {
    for (const box of this.boxes()) box.checked = on;
    this.unseen = on;
    const becomes = this.of ? `, and ${on ? "accepted with the others" : "not accepted"}` : "";
    this.more.textContent = `${this.rows.length - MOST_ROWS} more lines are not shown${becomes}.`;
  }

  boxes() {
    return [...this.list.querySelectorAll("input[type=checkbox]")];
  }

  accept() {
    const ticked = new Map(this.boxes().map((box) => [Number(box.dataset.turn), box.checked]));
    const taken = this.rows.filter((row) => row.pieces.length && (ticked.get(row.turn) ?? this.unseen));
    const turns = Object.fromEntries(taken.map((row) => [row.turn, row.pieces]));
    this.keep(JSON.stringify({ of: this.of, turns }));
    this.say(`${lines(taken.length)} accepted: queue again.`);
  }

  forget() {
    this.keep("");
  }

  keep(text) {
    this.host.setAccepted(text);
    this.load();
  }

  say(text, looks = "") {
    this.said.className = `said ${looks}`;
    this.said.textContent = text;
  }
}

function lines(number) {
  return `${number} line${number === 1 ? "" : "s"}`;
}

/** Rows of what is kept. A workflow may hold anything there: what is no line is left out, and the node tells when it runs. */
function read(text) {
  const isPiece = (one) => Array.isArray(one) && one.length === 2 && one.every((part) => typeof part === "string");
  try {
    return Object.entries(JSON.parse(text).turns)
      .map(([turn, pieces]) => ({ turn: Number(turn), pieces, accepted: true }))
      .filter(({ turn, pieces }) => turn > 0 && Array.isArray(pieces) && pieces.every(isPiece))
      .sort((one, other) => one.turn - other.turn);
  } catch {
    return [];
  }
}

function drawRow(row, hues) {
  const element = make("div", { className: row.pieces.length ? "row" : "row kept", role: "listitem" });
  const pick = make("label", { className: "pick", title: `Line ${row.turn}` });
  if (row.pieces.length && !row.accepted) {
    const box = make("input", { type: "checkbox", checked: true, "aria-label": `Accept line ${row.turn}` });
    box.dataset.turn = row.turn;
    pick.append(box);
  }
  pick.append(row.turn);
  element.append(pick);
  if (row.text !== undefined) element.append(chip(row.speaker, hues), make("div", { className: "words was", dir: "auto",
    textContent: row.text }));
  row.pieces.forEach(([speaker, text], number) => {
    if (number || row.text !== undefined) element.append(make("span"));
    element.append(chip(speaker, hues), make("div", { className: "words now", dir: "auto" }, ...marked(text, row.text)));
  });
  if (row.kept) element.append(make("div", { className: "notes" },
    make("div", { className: "warning", textContent: row.kept, role: "note" })));
  return element;
}

function chip(speaker, hues) {
  return make("span", { className: speaker ? "chip" : "chip none", textContent: speaker || "Narrator",
    style: `--hue:${hues.get(speaker) ?? 0}`, title: speaker || "Narrator" });
}

/** A text with the tags that it did not have set apart. */
function marked(text, before = text) {
  const found = [];
  let done = 0;
  for (const token of text.matchAll(TOKEN)) {
    if (before.includes(token[0])) continue;
    found.push(text.slice(done, token.index), make("ins", { textContent: token[0] }));
    done = token.index + token[0].length;
  }
  return [...found, text.slice(done)];
}

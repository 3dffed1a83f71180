// What the server says of a script, at its rows: errors, warnings, and what becomes of the lines in a render.

import { drawState } from "./view.js";

const CHECK_AFTER_MS = 250;

export class SceneFindings {
  constructor(editor) {
    this.editor = editor;
    this.notes = new Map(); // row id -> errors and warnings
    this.states = new Map(); // row id -> Map of its lines
    this.problems = [];
  }

  forget(id) {
    this.notes.delete(id);
    this.states.delete(id);
  }

  checkSoon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.check(), CHECK_AFTER_MS);
  }

  /** For a text that was just loaded: also what became of its lines, where it was rendered before. */
  loadSoon() {
    clearTimeout(this.waiting);
    this.run = undefined;
    this.waiting = setTimeout(() => this.restore(), CHECK_AFTER_MS);
  }

  /** Nothing is known of the text any more. */
  clear() {
    clearTimeout(this.waiting);
    this.run = undefined;
    this.states.clear();
    this.draw([], 0);
    this.editor.elements.forEach((element) => drawState(element, null));
  }

  async restore() {
    const { editor } = this, { text } = editor;
    await this.check();
    if (editor.linked) return;
    const found = await editor.host.states(text);
    if (text === editor.text && found.lines?.length) await this.progress(found, true);
  }

  /** The server's reading of the text; what it finds stands at the rows. */
  async check() {
    clearTimeout(this.waiting);
    const { editor } = this, { text } = editor;
    if (editor.linked) return null;
    const found = await editor.host.check(text);
    if (text !== editor.text || editor.linked) return null;
    if (found.error) {
      editor.say(found.error, "errors");
      return null;
    }
    this.draw([...found.errors.map((one) => ({ ...one, kind: "error" })),
      ...found.warnings.map((one) => ({ ...one, kind: "warning" }))], found.turns.length);
    return found;
  }

  draw(problems, turns) {
    const { editor } = this, before = this.notes, rows = editor.raw ? [] : editor.script.rows;
    this.notes = new Map();
    this.problems = problems;
    editor.tags.show(problems);
    for (const one of problems) {
      const row = rows[editor.rowAt(one.line)];
      if (row) this.notes.set(row.id, [...(this.notes.get(row.id) ?? []), one]);
    }
    rows.forEach((row, at) => {
      if (JSON.stringify(before.get(row.id)) !== JSON.stringify(this.notes.get(row.id))) editor.drawOne(at, true);
    });
    const errors = problems.filter((one) => one.kind === "error").length, warnings = problems.length - errors;
    const first = problems[0] && `line ${problems[0].line}: ${problems[0].message}`;
    const counted = errors ? "1 error" : `${warnings} warning${warnings > 1 ? "s" : ""}`;
    if (problems.length) editor.say(editor.raw ? first : counted, errors ? "errors" : "warnings", first);
    else editor.say(`${turns} turn${turns === 1 ? "" : "s"}`, "", "");
  }

  /** To the next row with an error or a warning. */
  next() {
    const { editor } = this;
    const found = this.problems.map((one) => editor.rowAt(one.line)).sort((one, other) => one - other);
    const next = found.find((at) => at > editor.active) ?? found[0];
    if (next !== undefined && !editor.raw) editor.activate(next, 0);
  }

  /** A message of the node that renders the script: see the event higgs.lines. `old`: what is known is newer. */
  async progress({ prompt_id: id, lines }, old = false) {
    if (this.editor.linked || (old && this.run && this.run.id !== id)) return;
    if (this.run?.id !== id) {
      this.states.clear();
      this.run = { id, rows: this.rowsOfTurns() };
      this.editor.elements.forEach((element) => drawState(element, null));
    }
    const { run } = this, rows = await run.rows, changed = new Set();
    if (run !== this.run) return;
    for (const line of lines) {
      const row = rows[line.turn - 1];
      if (!this.editor.elements.has(row)) continue;
      if (!this.states.has(row)) this.states.set(row, new Map());
      if (!old || !this.states.get(row).has(line.line)) this.states.get(row).set(line.line, line);
      changed.add(row);
    }
    for (const row of changed) drawState(this.editor.elements.get(row), this.states.get(row));
  }

  /** The ids of the rows that have the turns. They stay theirs, whatever is typed before the server has answered. */
  async rowsOfTurns() {
    const { editor } = this, { text } = editor, { rows } = editor.script, starts = rows.map((row) => row.line);
    const found = await editor.host.check(text);
    return (found.turns ?? []).map((turn) => rows[starts.findLastIndex((line) => line <= turn.line)]?.id);
  }
}

// Edits of a script: each takes rows and gives {text, caret}, where the caret then stands in the text.

import { fitsColon, speakerOf, strip } from "./grammar.js";
import { joinRows, splitScript, withTake } from "./rows.js";

const NARRATOR = "Narrator"; // whose turns need no tag, but a row without words does

/** The tag of a speaker, in the style of another row's. */
function tagOf(name, like) {
  if (!name) return "";
  return like?.colon && fitsColon(name) ? `${name}: ` : `[${name}] `;
}

/** The row with other parts; what is not named stays as it stands in the text. */
function rebuilt(row, parts) {
  const { tag, meta, head, body, pause } = { ...row, head: null, ...parts };
  return { ...row, ...parts, source: (row.kind === "turn" ? tag + meta : head ?? row.head) + body + pause };
}

function result(head, rows, row, inBody) {
  const settled = settle(rows), before = settled.slice(0, row);
  const text = joinRows({ head, rows: settled });
  const start = head.length + before.reduce((sum, one) => sum + one.source.length + one.tail.length, 0);
  const one = settled[row];
  const caret = one ? start + one.source.length - one.body.length - one.pause.length + inBody : text.length;
  return { text, caret };
}

/**
 * Keeps who speaks: rows without tag get one, or a blank line above, where they would go on with another turn.
 * Each row says in `speaker` and `continues` what it is meant to be.
 */
function settle(rows) {
  const found = [];
  let spoken; // as in splitScript
  for (let row of rows) {
    const last = found.at(-1);
    if (last && !/[\r\n]$/.test(last.tail)) found[found.length - 1] = { ...last, tail: `${last.tail}\n` };
    if (row.kind === "turn" && !row.tag.trim()) {
      const joins = last?.kind === "turn" && spoken !== undefined; // it would become a part of that row
      const wanted = row.continues ? row.speaker : undefined;
      if (joins || spoken !== wanted) {
        if (row.speaker) row = rebuilt({ ...row, continues: false }, { tag: `[${row.speaker}] ` });
        else if (spoken !== undefined) {
          const above = found.at(-1);
          found[found.length - 1] = { ...above, tail: `${above.tail}\n` };
        }
      }
      row = plain(row);
    }
    found.push(row);
    if (row.kind === "turn") spoken = row.speaker;
    if (row.kind === "scene" || /[\r\n][^\S\r\n]*[\r\n]/.test(row.tail.replace(/\r\n/g, "\n"))) spoken = undefined;
  }
  return found;
}

/** A backslash before a text without tag that would be read as something else. */
function plain(row) {
  if (row.tag.trim() || row.meta.trim() || !row.wasTagged) return row;
  const [read] = splitScript(row.source).rows;
  const same = read && read.kind === "turn" && !read.tagged && read.body === row.body;
  return same ? row : rebuilt(row, { body: `\\${row.body}` });
}

/**
 * What a person types in a row. Blanks at its end are not written; a row that the editor began as the narrator's may
 * come to name its speaker; one without words keeps a tag, for without it there is no row.
 * @param {number} caret within the body
 */
export function setBody({ head, rows }, at, body, caret) {
  const row = rows[at], parts = { body: row.kind === "turn" ? body.trimEnd() : body };
  if (row.kind === "turn" && !parts.body && !row.tag.trim()) parts.tag = `[${row.speaker || NARRATOR}] `;
  if (row.tag === `[${NARRATOR}] ` && !row.meta && speakerOf(body)) parts.tag = "";
  const changed = rebuilt(row, parts);
  const start = head.length + rows.slice(0, at).reduce((sum, one) => sum + one.source.length + one.tail.length, 0);
  const text = joinRows({ head, rows: rows.with(at, changed) });
  return { text, caret: start + changed.source.length - parts.body.length - row.pause.length + caret };
}

export function setSpeaker({ head, rows }, at, name, caret = 0) {
  const row = rows[at], speaker = name || (row.body.trim() ? "" : NARRATOR);
  const next = rebuilt({ ...row, continues: false, wasTagged: true }, { tag: tagOf(speaker, row), speaker });
  return result(head, inherit(rows, at, rows.with(at, next)), at, caret);
}

/** Rows without tag that went on with a turn go on with its new speaker. */
function inherit(before, at, rows) {
  for (let next = at + 1; before[next] && (before[next].continues || before[next].kind !== "turn"); next++) {
    if (before[next].kind === "scene") break;
    if (before[next].continues) rows = rows.with(next, { ...rows[next], speaker: rows[at].speaker });
  }
  return rows;
}

/** @param {number|null} seconds of silence after the row; 0 or null for none */
export function setPause({ head, rows }, at, seconds, caret = 0) {
  const digits = seconds ? String(Math.round(seconds * 1e6) / 1e6) : "";
  const pause = digits ? `${/\s$/.test(rows[at].body) ? "" : " "}[pause ${digits}s]` : "";
  return result(head, rows.with(at, rebuilt(rows[at], { pause })), at, caret);
}

export function setTake({ head, rows }, at, take, caret = 0) {
  return result(head, rows.with(at, rebuilt(rows[at], { meta: withTake(rows[at].meta, take) })), at, caret);
}

/** The row in two, at the caret; the speaker stays. */
export function splitRow({ head, rows }, at, caret) {
  const row = rows[at];
  if (row.kind !== "turn") return insertRow({ head, rows }, at + 1, turn(NARRATOR));
  const [first, second] = [row.body.slice(0, caret).trimEnd(), row.body.slice(caret).trimStart()];
  const above = rebuilt(row, { body: first, pause: "" });
  const next = turn(row.speaker || (second ? "" : NARRATOR), row);
  const below = { ...next, body: second, pause: row.pause, tail: row.tail, wasTagged: true };
  const tail = /[\r\n]/.test(row.tail) ? /^(\r\n|\r|\n)/.exec(row.tail)[0] : "\n";
  return result(head, rows.toSpliced(at, 1, { ...above, tail }, rebuilt(below, {})), at + 1, 0);
}

/** The row joined to the one above; null where that is no turn. */
export function mergeRow({ head, rows }, at) {
  const row = rows[at], above = rows[at - 1];
  if (row?.kind !== "turn" || above?.kind !== "turn") return null;
  const before = above.body + above.pause;
  const between = !before || !row.body ? "" : row.body[0] === "\\" ? "\n" : " ";
  const joined = rebuilt(above, { body: before + between + row.body, pause: row.pause });
  return result(head, rows.toSpliced(at - 1, 2, { ...joined, tail: row.tail }), at - 1, before.length + between.length);
}

export function removeRow({ head, rows }, at) {
  const rest = rows.toSpliced(at, 1), above = rest[at - 1];
  if (above && !rest[at]) rest[at - 1] = { ...above, tail: rows[at].tail };
  const next = Math.max(0, Math.min(at, rest.length - 1));
  return result(head, rest, next, 0);
}

/** The row to another place among the others; blank lines and the text's end stay where they are. */
export function moveRow({ head, rows }, from, to, caret = 0) {
  to = Math.max(0, Math.min(to, rows.length - 1));
  const moved = rows.toSpliced(from, 1).toSpliced(to, 0, rows[from]);
  return result(head, moved.map((row, at) => ({ ...row, tail: rows[at].tail })), to, caret);
}

/** A new row before row number `at`. */
export function insertRow({ head, rows }, at, row) {
  const last = at >= rows.length;
  const open = last && rows.length && !/[\r\n]$/.test(rows.at(-1).tail);
  return result(head, rows.toSpliced(at, 0, { ...row, tail: open ? "" : "\n" }), at, 0);
}

/** Rows of a script text before row number `at`. */
export function insertText({ head, rows }, at, text) {
  const pasted = splitScript(text.endsWith("\n") ? text : `${text}\n`).rows;
  const { text: whole } = result(head, rows.toSpliced(at, 0, ...pasted), at, 0);
  const found = splitScript(whole).rows, last = found[Math.min(found.length, at + pasted.length) - 1];
  return { text: whole, caret: last ? last.start + last.head.length + last.body.length : whole.length };
}

export function turn(speaker, like) {
  return blankRow({ kind: "turn", speaker, tag: tagOf(speaker, like) });
}

export function scene() {
  return blankRow({ kind: "scene", head: "# Scene: " });
}

export function note() {
  return blankRow({ kind: "comment", head: "# " });
}

function blankRow(parts) {
  const row = { speaker: "", continues: false, tag: "", meta: "", head: "", body: "", pause: "", tail: "\n", ...parts };
  return { ...row, source: (row.kind === "turn" ? row.tag : row.head) };
}

/** The names of all speakers, in the order of their first words. */
export function speakersOf(rows) {
  return [...new Set(rows.filter((row) => row.kind === "turn" && row.speaker).map((row) => row.speaker))];
}

/** Whether a text looks like subtitles. */
export function looksLikeSubtitles(text) {
  return /^\s*(?:\d+:)?\d+:\d\d[.,]\d+[ \t]*-->/m.test(text);
}

/** Whether a name can stand in a tag; "" is the narrator. */
export function fitsSpeaker(name) {
  return !name || (speakerOf(`[${name}] x`)?.name === name && strip(name) === name);
}

// A script as rows, without loss: the sources of all rows and what stands between them are the text again.

import { indentOf, piecesOf, readTime, sceneHead, speakerOf, strip } from "./grammar.js";

/**
 * @typedef {object} Row
 * @property {"turn"|"scene"|"comment"|"cue"} kind
 * @property {string} speaker of a turn; "" is the narrator
 * @property {boolean} continues it has no tag and goes on with the speaker above
 * @property {number} line where it starts, from 1
 * @property {number} lines of its source
 * @property {number} start where it starts in the text
 * @property {string} source head + body + pause, as it stands in the text; several lines, none of them blank
 * @property {string} tail the line ends and blank lines behind it
 * @property {string} tag of a turn, with one blank: "[Anna] ", "Bob: " or ""
 * @property {string} meta what stands between tag and text: overlap, slot, length and settings
 * @property {string} head tag + meta; of a scene or comment what stands before its words
 * @property {string} body what is edited as text
 * @property {string} pause the last [pause …] with the blanks around it, or ""
 * @property {number} pauseS its seconds
 * @property {string} take of the settings, or ""
 */

/** {head, rows}: head is what stands before the first row. */
export function splitScript(text) {
  const rows = [];
  let head = "", start = 0, line = 1, spoken; // spoken: who goes on speaking in a line without tag; undefined: nobody
  if (text.startsWith("\ufeff")) head = "\ufeff";
  start = head.length;
  for (const { whole, content, end } of linesOf(text, start)) {
    const words = strip(content), last = rows.at(-1);
    if (!words) {
      if (last) last.tail += whole;
      else head += whole;
      spoken = undefined;
    } else {
      const known = remembered(`${spoken ?? ""}\n${spoken === undefined}\n${words}`, () => kindOf(words, spoken));
      const { kind, speaker, continues, tagged } = known; // an object at once: put together in steps it is slow
      const place = { line, lines: 1, start, source: content, tail: end };
      const found = { id: undefined, kind, speaker, continues, tagged, ...place };
      const goesOn = found.kind === "turn" && !found.tagged && spoken !== undefined && last?.kind === "turn";
      if (goesOn && last.line + last.lines === line) {
        last.source += last.tail + content;
        last.tail = end;
        last.lines++;
      } else rows.push(found);
      if (found.kind === "turn") spoken = found.speaker;
      if (found.kind === "scene") spoken = undefined;
    }
    start += whole.length;
    line++;
  }
  return { head, rows: rows.map(whole) };
}

/** The row with the parts of its source. */
function whole({ id, kind, speaker, continues, tagged, line, lines, start, source, tail }) {
  const key = `${kind}\r${tagged}\r${continues}\r${source}`;
  const parts = remembered(key, () => takenApart({ kind, tagged, continues, source }));
  return { id, kind, speaker, continues, tagged, line, lines, start, source, tail, ...parts };
}

export function joinRows({ head, rows }) {
  return head + rows.map((row) => row.source + row.tail).join("");
}

function* linesOf(text, at) {
  const other = text.includes("\r");
  while (at < text.length) {
    const feed = text.indexOf("\n", at), back = other ? text.indexOf("\r", at) : -1;
    let close = feed < 0 ? text.length : feed, length = feed < 0 ? 0 : 1;
    if (back >= 0 && back < close) [close, length] = [back, text[back + 1] === "\n" ? 2 : 1];
    const next = close + length;
    yield { whole: text.slice(at, next), content: text.slice(at, close), end: text.slice(close, next) };
    at = next;
  }
}

/** What is found for a key, made once: of a script that is edited, most lines stay. */
function remembered(key, find) {
  let found = memory.get(key);
  if (!found) {
    if (memory.size > 20_000) memory.clear();
    memory.set(key, found = find());
  }
  return found;
}

const memory = new Map();

function kindOf(words, spoken) {
  if (sceneHead(words) >= 0) return { kind: "scene", speaker: "", continues: false, tagged: false };
  if (words[0] === "#") return { kind: "comment", speaker: "", continues: false, tagged: false };
  const tag = speakerOf(words);
  if (tag) return { kind: "turn", speaker: tag.name, continues: false, tagged: true };
  const pieces = piecesOf(words, 0, spoken === undefined);
  const sounds = ["pause", "sfx", "music", "/music"];
  if (pieces.every((piece) => sounds.includes(piece.kind))) {
    return { kind: "cue", speaker: "", continues: false, tagged: false };
  }
  return { kind: "turn", speaker: spoken ?? "", continues: spoken !== undefined, tagged: false };
}

/** The parts of a row's source. */
function takenApart(row) {
  const { source, kind } = row, parts = { tag: "", meta: "", pause: "", pauseS: 0, take: "", colon: false };
  const first = /^[^\r\n]*/.exec(source)[0], indent = indentOf(first);
  if (kind === "turn") return { ...parts, ...turnApart(row, first, indent) };
  const words = source.slice(indent);
  const length = kind === "cue" ? 0 : kind === "scene" ? sceneHead(words) : /^#+ ?/.exec(words)[0].length;
  return { ...parts, head: source.slice(0, indent + length), body: source.slice(indent + length) };
}

function turnApart(row, first, indent) {
  const words = first.slice(indent), named = row.tagged ? speakerOf(words) : null;
  const name = named ? words.slice(0, named.end).trimEnd() : ""; // all blanks but one belong to the text
  const tag = first.slice(0, indent + (named ? name.length + (named.end > name.length ? 1 : 0) : 0));
  const pieces = piecesOf(first, indent + (named?.end ?? 0), !row.continues);
  const { meta, take, count } = row.continues ? { meta: "", take: "", count: 0 } : metaOf(first, tag.length, pieces);
  const head = tag + meta, end = head.length, rest = row.source.slice(end);
  const lastAt = Math.max(rest.lastIndexOf("\n"), rest.lastIndexOf("\r")) + 1;
  const closing = lastAt ? piecesOf(rest.slice(lastAt), 0, false) : pieces.slice(count).map((piece) => (
    { ...piece, start: piece.start - end, end: piece.end - end }));
  const last = closing.at(-1), spoken = strip(rest.slice(0, lastAt)) || closing.some((piece) => piece.kind === "text");
  const whole = { tag, meta, take, head, colon: !!named?.colon };
  if (last?.kind !== "pause" || !last.closed || !(spoken || named) || readTime(last.inner) === null) {
    return { ...whole, body: rest };
  }
  const at = lastAt + last.start, from = at > 0 && /[ \t]/.test(rest[at - 1]) ? at - 1 : at;
  return { ...whole, body: rest.slice(0, from), pause: rest.slice(from), pauseS: readTime(last.inner) };
}

/** Overlap, slot, length and settings at the start of a turn: as text with one blank behind, and the take that they name. */
function metaOf(first, start, pieces) {
  const text = pieces.findIndex((piece) => !["settings", "overlap", "slot", "fit"].includes(piece.kind));
  const found = pieces.slice(0, text < 0 ? pieces.length : text);
  if (!found.length) return { meta: "", take: "", count: 0 };
  const close = first.slice(0, found.at(-1).end).trimEnd().length;
  const settings = found.find((piece) => piece.kind === "settings");
  const take = settings ? TAKE.exec(first.slice(settings.start, settings.end))?.[2] ?? "" : "";
  return { meta: first.slice(start, /^[ \t]/.test(first.slice(close)) ? close + 1 : close), take, count: found.length };
}

const TAKE = /([{\s,])take\s*=\s*([^\s,=}]+)/;

/** The meta of a turn with another take; "" for none. */
export function withTake(meta, take) {
  const settings = /\{[^{}]*\}/.exec(meta);
  if (!settings) return take ? `${meta.trimEnd()}${meta.trim() ? " " : ""}{take=${take}} ` : meta;
  let inside = settings[0].slice(1, -1);
  if (!take) inside = inside.replace(/(^|[\s,]+)take\s*=\s*[^\s,=]+/, "").replace(/^[\s,]+/, "");
  else if (TAKE.test(settings[0])) inside = inside.replace(/(^|[\s,])take\s*=\s*[^\s,=]+/, `$1take=${take}`);
  else inside = `${inside.trimEnd()}${inside.trim() ? " " : ""}take=${take}`;
  if (!inside.trim()) return meta.replace(/\{[^{}]*\}\s*/, "");
  return meta.replace(settings[0], () => `{${inside}}`);
}

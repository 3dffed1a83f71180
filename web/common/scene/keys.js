// The keys of the scene editor.

import * as edits from "./edits.js";

/** Acts on a key that is pressed in the editor; what it does not know goes on to the browser and to ComfyUI. */
export function handleKey(editor, event) {
  if (event.isComposing) return;
  const act = undoKey(editor, event) ?? (editor.raw ? null : rowKey(editor, event) ?? textKey(editor, event));
  if (!act) return;
  event.preventDefault();
  event.stopPropagation();
  act();
}

function undoKey(editor, event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || editor.raw) return null;
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) return () => editor.undo(editor.past, editor.future);
  if (key === "y" || (key === "z" && event.shiftKey)) return () => editor.undo(editor.future, editor.past);
  return null;
}

/** Keys for the whole row, wherever the focus is in it. */
function rowKey(editor, event) {
  const { script, active } = editor;
  if (event.key === "Escape") return () => editor.views[0].focus();
  if (event.key === "F8") return () => editor.findings.next();
  if (!event.altKey || event.ctrlKey || event.metaKey || !script.rows[active] || !inRow(editor)) return null;
  const caret = editor.field?.selectionStart ?? 0;
  if (event.key === "ArrowUp") return () => active && editor.change(edits.moveRow(script, active, active - 1, caret));
  if (event.key === "ArrowDown") {
    return () => active < script.rows.length - 1 && editor.change(edits.moveRow(script, active, active + 1, caret));
  }
  if (event.key === "Delete") return () => editor.change(edits.removeRow(script, active));
  const digit = /^Digit(\d)$/.exec(event.code)?.[1];
  if (digit === undefined || script.rows[active].kind !== "turn") return null;
  const name = digit === "0" ? "" : edits.speakersOf(script.rows)[digit - 1];
  return name === undefined ? null : () => editor.change(edits.setSpeaker(script, active, name, caret));
}

function inRow(editor) {
  return editor.list.contains(document.activeElement);
}

/** Keys in the text of a row, and Enter in its other fields. */
function textKey(editor, event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return null;
  const { script, active } = editor, area = event.target;
  if (!area.matches("textarea")) {
    const fills = event.key === "Enter" && area.matches("input[type=text]");
    return fills ? () => {
      editor.filled(area);
      if (area.getAttribute("aria-invalid") !== "true") editor.activate(editor.active, editor.field?.value.length);
    } : null;
  }
  const { selectionStart: start, selectionEnd: end, value } = area, collapsed = start === end;
  switch (event.key) {
    case "Enter":
      if (event.shiftKey && script.rows[active].kind === "turn") return null; // a line break
      return () => editor.change(edits.splitRow(withValue(editor, value, start, end), active, start));
    case "Backspace":
      if (!collapsed || start) return null;
      return () => up(editor);
    case "Delete":
      if (!collapsed || start < value.length || !script.rows[active + 1]) return null;
      return () => editor.change(edits.mergeRow(script, active + 1));
    case "ArrowUp":
    case "ArrowDown":
      return event.shiftKey ? null : arrow(editor, area, event.key === "ArrowUp" ? -1 : 1);
    default:
      return null;
  }
}

/** The script with the text that is selected taken out of its row. */
function withValue(editor, value, start, end) {
  const { script, active } = editor, row = script.rows[active];
  if (start === end && row.body === value) return script;
  const body = value.slice(0, start) + value.slice(end);
  return { ...script, rows: script.rows.with(active, { ...row, body, source: row.head + body + row.pause }) };
}

/** Backspace at the start: joins the row to the one above; one without words goes. */
function up(editor) {
  const { script, active } = editor, row = script.rows[active];
  if (!row.body.trim() || row.kind !== "turn") {
    if (row.body.trim()) return;
    const above = script.rows[active - 1];
    editor.change(edits.removeRow(script, active));
    if (above) editor.activate(active - 1, above.body.length);
  } else editor.change(edits.mergeRow(script, active));
}

/** To the next row, where the caret cannot go further in this one. */
function arrow(editor, area, step) {
  const next = editor.active + step, before = area.selectionStart;
  if (!editor.script.rows[next]) return null;
  const go = () => editor.activate(next, step < 0 ? editor.script.rows[next].body.length : 0);
  const lineHeight = parseFloat(getComputedStyle(area).lineHeight);
  if (area.scrollHeight < 1.9 * lineHeight) return go;
  setTimeout(() => { // several lines: the browser moves the caret, if it can
    if (document.activeElement === area && area.selectionStart === before && area.selectionEnd === before) go();
  });
  return null;
}

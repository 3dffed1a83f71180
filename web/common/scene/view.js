// One row of the scene editor as elements. Only the row that is edited has fields; the others are plain and cheap.
import { button, make } from "../dom.js";

const KINDS = { scene: "Scene", comment: "# note", cue: "♪ cue" };

/**
 * Draws a row into its element.
 * @param {{row: object, active: boolean, hue: number, notes: object[], state: object|null, names: string}} shown
 *   names: the id of the list of speakers
 */
export function drawRow(element, shown) {
  const { row, active, notes, state } = shown;
  const worst = notes.some((note) => note.kind === "error") ? "error" : notes.length ? "warning" : "";
  const looks = ["row", row.kind, worst, active && "active", row.continues && "continues"];
  element.className = looks.filter(Boolean).join(" ");
  const drawn = `${row.kind} ${active}`;
  if (active && element.drawn === drawn) refreshFields(element, shown);
  else element.replaceChildren(...(active ? fields(shown) : plain(shown)));
  element.drawn = drawn;
  if (active) grow(element.querySelector("textarea"));
  drawState(element, state);
  drawNotes(element, notes);
}

/** Makes a text field as high as its text, where the browser does not do so by itself. */
export function grow(area) {
  if (!area || CSS.supports("field-sizing", "content")) return;
  area.style.height = "0";
  area.style.height = `${area.scrollHeight}px`;
}

function plain({ row, hue }) {
  const chip = row.kind === "turn"
    ? make("span", { className: row.speaker ? "chip" : "chip none", textContent: nameOf(row), style: `--hue:${hue}`,
      title: row.speaker || "Narrator", "data-part": "chip" })
    : make("span", { className: "kind", textContent: KINDS[row.kind] });
  const tools = make("span", { className: "tools" });
  if (row.pauseS) {
    tools.append(make("span", { textContent: `${row.pauseS} s`, title: "Pause after it", "data-part": "pause" }));
  }
  if (row.take) tools.append(make("span", { textContent: `take ${row.take}`, "data-part": "take" }));
  tools.append(make("span", { className: "state" }));
  return [make("span", { className: "grip", textContent: "⠿", "aria-hidden": "true" }), chip,
    make("div", { className: "words", textContent: row.body, dir: "auto", "data-part": "words" }), tools,
    make("div", { className: "notes" })];
}

function fields({ row, hue, names }) {
  const who = row.kind === "turn" ? nameOf(row) : KINDS[row.kind];
  const chip = row.kind === "turn"
    ? make("input", { type: "text", className: row.speaker ? "chip" : "chip none", value: row.speaker,
      placeholder: "Narrator", style: `--hue:${hue}`, "aria-label": "Speaker", "data-part": "chip", spellcheck: false,
      title: "Who speaks; empty: the narrator. Alt+1 to 9: the first to ninth speaker, Alt+0: the narrator" })
    : make("span", { className: "kind", textContent: KINDS[row.kind] });
  if (row.kind === "turn") chip.setAttribute("list", names);
  const tools = make("span", { className: "tools" });
  if (row.kind === "turn") {
    tools.append(
      field("pause", row.pauseS || "", "Pause after it, in seconds", "pause", "s"),
      field("take", row.take, "Which of several takes, from 1", "take"));
  }
  tools.append(make("span", { className: "state" }),
    button("✕", "Remove this row (Alt+Delete)", null, { "data-act": "remove" }));
  const grip = button("⠿", "Drag to move; Alt+↑ and Alt+↓ move it too", null, { className: "grip" });
  const words = make("textarea", { className: "words", value: row.body, rows: 1, dir: "auto", spellcheck: true,
    "aria-label": `${row.kind === "turn" ? "Text of " : ""}${who}, line ${row.line}`, "data-part": "words" });
  return [grip, chip, words, tools, make("div", { className: "notes" })];
}

function refreshFields(element, { row, hue }) {
  const set = (part, value) => {
    const input = element.querySelector(`input[data-part=${part}]`);
    if (input && input !== document.activeElement && input.value !== String(value)) input.value = value;
  };
  const chip = element.querySelector(".chip");
  if (chip) {
    chip.style.setProperty("--hue", hue);
    chip.classList.toggle("none", !row.speaker);
  }
  set("chip", row.speaker);
  set("pause", row.pauseS || "");
  set("take", row.take);
}

function field(part, value, title, label, unit = "") {
  const input = make("input", { type: "text", inputMode: "decimal", value, title, "aria-label": title,
    "data-part": part, autocomplete: "off" });
  return make("label", {}, label, input, unit);
}

function nameOf(row) {
  return (row.continues ? "↳ " : "") + (row.speaker || "Narrator");
}

function drawNotes(element, notes) {
  const place = element.querySelector(".notes");
  place.hidden = !notes.length;
  place.replaceChildren(...notes.map(({ kind, message, column }) => make("div", {
    className: kind, textContent: message, title: `Column ${column}`, role: kind === "error" ? "alert" : "note" })));
}

const WORDS = { queued: "queued", speaking: "speaking", spoken: "spoken", stored: "stored", again: "again",
  elsewhere: "elsewhere", failed: "failed" };
const ORDER = ["failed", "speaking", "again", "elsewhere", "queued", "spoken", "stored"]; // what says most of a row

/** @param {Map<number, object>|null} state of the row's lines, by number: see the event higgs.lines */
export function drawState(element, state) {
  const place = element.querySelector(".state");
  if (!state?.size) {
    place.replaceChildren();
    return;
  }
  const lines = [...state.values()];
  const kind = ORDER.find((one) => lines.some((line) => line.state === one)) ?? "queued";
  const seconds = lines.reduce((sum, line) => sum + (line.seconds || 0), 0);
  const shown = [];
  if (kind === "speaking") {
    const expected = Math.max(1, (element.querySelector(".words").textContent || element.querySelector(".words").value
      || "").length / 15); // letters a second, about
    const width = `${Math.min(95, (100 * seconds) / expected).toFixed(0)}%`;
    shown.push(make("span", { className: "track", role: "progressbar", "aria-label": "speaking" },
      make("i", { style: `width:${width}` })));
  }
  const looks = { failed: "bad", speaking: "busy", again: "busy", spoken: "good", stored: "good" }[kind] ?? "";
  const label = seconds && kind !== "queued" ? `${seconds.toFixed(1)} s` : WORDS[kind];
  shown.push(make("span", { className: `badge ${looks}`, textContent: label, title: WORDS[kind] }));
  const wers = lines.map((line) => line.wer).filter((wer) => typeof wer === "number");
  if (wers.length) {
    const wer = Math.max(...wers), passed = lines.every((line) => line.passed !== false);
    shown.push(make("span", { className: `badge ${passed ? "good" : "bad"}`, title: "Words that were heard wrong",
      textContent: `WER ${Math.round(wer * 100)} %` }));
  }
  if (lines.some((line) => line.take)) {
    shown.push(button("A/B", "Compare the takes of this row", null, { className: "takes", "data-act": "takes" }));
  }
  place.replaceChildren(...shown);
}

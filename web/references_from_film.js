// References from Film: the cues of the film as a table, where a person corrects who speaks them. What is corrected
// stands in the widget `speakers`; the table itself is kept with the workflow, so that it is there before another run.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyle, make } from "./common/dom.js";
import { addElement } from "./common/element.js";
import { after, nodeOf, rememberStep, rootGraph } from "./common/node.js";

const HEIGHT = 240; // pixels
const KEPT = "higgs_cues"; // property of the node
const DOUBTFUL = new Set(["voice", "guessed"]);
const STYLE = `.higgs-cues { box-sizing: border-box; overflow: auto; font: 12px/18px sans-serif;
  color: var(--input-text, #ddd); background: var(--comfy-input-bg, #222); border-radius: 4px; }
.higgs-cues table { border-collapse: collapse; width: 100%; }
.higgs-cues th { position: sticky; top: 0; background: var(--comfy-menu-bg, #333); text-align: start; font-weight: 600; }
.higgs-cues td, .higgs-cues th { padding: 1px 6px; vertical-align: top; }
.higgs-cues td:first-child, .higgs-cues td:nth-child(2) { font-variant-numeric: tabular-nums; white-space: nowrap; }
.higgs-cues input { width: 8em; font: inherit; color: inherit; background: transparent; padding: 0 4px;
  border: 1px solid var(--border-color, #555); border-radius: 3px; }
.higgs-cues .doubtful input { border-style: dashed; border-color: #d0a030; }
.higgs-cues .note { color: #d0a030; }
.higgs-cues p { margin: 8px; }`;

app.registerExtension({
  name: "Higgs.ReferencesFromFilm",
  setup() {
    addStyle("higgs-cues-style", STYLE);
    api.addEventListener("higgs.cues", ({ detail: { node, rows } }) => {
      const found = nodeOf(rootGraph(app), node);
      if (!found) return;
      found.properties[KEPT] = rows;
      found.higgsShowCues?.();
    });
  },
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsReferencesFromFilm") return;
    const element = make("div", { className: "higgs-cues", role: "region", "aria-label": "Cues and their speakers" });
    for (const kind of ["pointerdown", "wheel", "keydown"]) {
      element.addEventListener(kind, (event) => event.stopPropagation()); // to select, scroll and type in it
    }
    addElement(node, "cues", "HIGGS_CUES", element, { getMinHeight: () => HEIGHT });
    node.higgsShowCues = () => show(node, element);
    after(node, "onConfigure", node.higgsShowCues);
    const corrections = speakers(node);
    if (corrections) after(corrections, "callback", () => show(node, element));
    show(node, element);
  },
});

const speakers = (node) => node.widgets?.find((one) => one.name === "speakers");

function show(node, element) {
  const rows = node.properties?.[KEPT] ?? [];
  if (!rows.length) {
    element.replaceChildren(make("p", { textContent: "After a run the cues stand here, and who speaks them." }));
    return;
  }
  const corrected = corrections(speakers(node)?.value ?? "");
  const names = new Set(rows.map((row) => row.speaker));
  for (const name of corrected.values()) names.add(name);
  const list = make("datalist", { id: `higgs-cues-${node.id}` }, ...[...names].map((value) => make("option", { value })));
  const head = make("tr", {}, ...["Cue", "Time", "Speaker", "Text"].map((textContent) => make("th", { textContent })));
  const body = rows.map((row) => line(node, row, corrected.get(row.cue) ?? row.speaker, list.id));
  element.replaceChildren(list, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

function line(node, row, speaker, list) {
  const about = { title: KNOWN[row.known_by] ?? "", "aria-label": `speaker of cue ${row.cue}` };
  const field = make("input", { value: speaker, ...about });
  field.setAttribute("list", list); // the property of this name is read-only
  field.addEventListener("change", () => correct(node, row.cue, field.value.trim() || row.speaker));
  const text = make("td", { textContent: row.text });
  if (row.note) text.append(" ", make("span", { className: "note", textContent: `(${row.note})` }));
  const cells = [make("td", { textContent: row.cue }), make("td", { textContent: clock(row.start_s) })];
  const className = DOUBTFUL.has(row.known_by) && speaker === row.speaker ? "doubtful" : "";
  return make("tr", { className }, ...cells, make("td", {}, field), text);
}

const KNOWN = {
  corrected: "You said so.",
  named: "The subtitles say so.",
  voice: "It sounds like the other cues of this speaker.",
  guessed: "Nothing tells: it is taken for the speaker of the cue before.",
};

/** Number of a cue -> its speaker, of the lines of the widget that name single cues or spans of them. */
function corrections(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const [, first, last, name] = /^\s*(\d{1,6})(?:\s*[-–]\s*(\d{1,6}))?\s*:\s*([^|]*)/.exec(line) ?? [];
    const end = Math.min(Number(last ?? first), Number(first) + 5000);
    for (let cue = Number(first); cue <= end; cue++) found.set(cue, name.trim());
  }
  return found;
}

/** Writes who speaks a cue into the widget, in place of an earlier line on it. */
function correct(node, cue, speaker) {
  const widget = speakers(node);
  const own = new RegExp(`^\\s*${cue}\\s*:`);
  const kept = widget.value.split("\n").filter((line) => line.trim() && !own.test(line));
  widget.value = [...kept, `${cue}: ${speaker}`].join("\n");
  widget.callback?.(widget.value);
  rememberStep(app);
  node.setDirtyCanvas(true, true);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return parts.map((part, n) => (n ? String(part).padStart(2, "0") : part)).join(":");
}

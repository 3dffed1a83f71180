// Export Audio: a player for the files that were written; where there are several, it plays the one that is chosen.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyle, make } from "./common/dom.js";
import { playOnNode } from "./common/editors_player.js";
import { addElement } from "./common/element.js";
import { after, hide, mapAgain, nodeOf, rootGraph } from "./common/node.js";

const HEIGHT = 48;
const STYLE = `.higgs-files { box-sizing: border-box; width: 100%; height: 28px; padding: 0 6px; border-radius: 6px;
  border: 1px solid var(--border-color); background: var(--comfy-input-bg); color: var(--input-text);
  font: 12px Inter, system-ui, sans-serif; }`;

app.registerExtension({
  name: "Higgs.ExportAudio",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name === "HiggsExportAudio") nodeData.input.required.audioUI = ["AUDIO_UI", {}];
  },
  nodeCreated(node) {
    if (node.comfyClass === "HiggsExportAudio") after(node, "onExecuted", ({ audio }) => show(node, audio));
  },
  /** A workflow was opened whose outputs the editor knows. */
  onNodeOutputsUpdated(outputs) {
    for (const [id, { audio }] of Object.entries(outputs)) {
      const node = nodeOf(rootGraph(app), id);
      if (node?.comfyClass === "HiggsExportAudio") show(node, audio);
    }
  },
});

function show(node, files = []) {
  const widget = node.widgets.find((one) => one.name === "files") ?? (files.length > 1 && addChooser(node));
  if (!widget) return;
  widget.files = files;
  widget.element.replaceChildren(...files.map((file, n) => make("option", { value: n, textContent: label(file, n) })));
  hide(widget, files.length < 2);
  mapAgain(node);
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  node.setDirtyCanvas(true, true);
}

function addChooser(node) {
  addStyle("higgs-files-style", STYLE);
  const element = make("select", { className: "higgs-files", "aria-label": "File to play" });
  const widget = addElement(node, "files", "HIGGS_FILES", element, { getMinHeight: () => HEIGHT, getMaxHeight: () => HEIGHT });
  element.addEventListener("pointerdown", (event) => event.stopPropagation()); // the canvas below would drag the node
  element.addEventListener("change", () => {
    const { filename, subfolder = "", type } = widget.files[element.selectedIndex];
    const player = node.widgets.find((one) => one.name === "audioUI");
    playOnNode(player, api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`));
  });
  return widget;
}

function label({ filename, subfolder }, n) {
  return `${n + 1}. ${[subfolder, filename].filter(Boolean).join("/")}`;
}

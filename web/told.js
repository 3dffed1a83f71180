// What the server says of a node while it runs is shown on it as it is, below its other widgets.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addStyle, make } from "./common/dom.js";
import { addElement } from "./common/element.js";
import { hide, mapAgain, nodeOf, rootGraph } from "./common/node.js";

const LINE = 16, MOST = 200; // pixels
const STYLE = `.higgs-told {
  box-sizing: border-box; overflow-y: auto; padding: 6px 8px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 12px/${LINE}px sans-serif; color: var(--input-text, #ddd); user-select: text; cursor: text;
}`;

app.registerExtension({
  name: "Higgs.Told",
  setup() {
    addStyle("higgs-told-style", STYLE);
    api.addEventListener("higgs.text", ({ detail }) => {
      const node = nodeOf(rootGraph(app), detail.node);
      if (node) show(node, detail.text);
    });
  },
});

function show(node, text) {
  const widget = node.widgets?.find((one) => one.name === "told") ?? (text && addTold(node));
  if (!widget) return;
  widget.element.textContent = text;
  hide(widget, !text);
  mapAgain(node);
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  node.setDirtyCanvas(true, true);
}

function addTold(node) {
  const element = make("div", { className: "higgs-told", role: "status", dir: "auto" });
  element.addEventListener("pointerdown", (event) => event.stopPropagation()); // to select what it says
  const height = () => 32 + Math.min(MOST, LINE * lines(element.textContent, node.size[0] - 40));
  return addElement(node, "told", "HIGGS_TOLD", element, { getMinHeight: height, getMaxHeight: height });
}

/** About how many lines a text takes in so many pixels. */
function lines(text, width) {
  return text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil((6.2 * line.length) / width)), 0);
}

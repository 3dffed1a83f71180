// Widgets that are an element of the page.
import { app } from "../../../scripts/app.js";
import { addStyle } from "./dom.js";
import { after } from "./node.js";

const STYLE = ":where([data-higgs-widget]) { contain: inline-size; }"; // as wide as its node, which it makes no wider

const LABELS = {
  live_player: "player",
  trim: "part of the clip",
  scene: "script",
  edit: "changes",
  proposal: "proposal",
};

/**
 * Adds an element to a node as a widget; it is no part of the prompt nor of the saved workflow.
 *
 * The Vue nodes take in the element of a widget once. Where undo, redo or another workflow makes a new node of the same
 * number, they keep the removed node's: its place is given to the new one, wherever it stands.
 * @returns {object} the widget
 */
export function addElement(node, name, type, element, options) {
  addStyle("higgs-element-style", STYLE);
  element.dataset.higgsWidget = name;
  const widget = node.addDOMWidget(name, type, element, { serialize: false, hideOnZoom: false, ...options });
  widget.label = LABELS[name]; // where the editor shows the widget alone, as in an app
  widget.serialize = false;
  after(node, "onAfterGraphConfigured", () => requestAnimationFrame(() => takePlace(node, name, element)));
  return widget;
}

function takePlace(node, name, element) {
  if (node.graph !== app.canvas?.graph) return;
  const drawn = document.querySelector(`[data-node-id="${node.id}"]`);
  for (const other of drawn?.querySelectorAll("[data-higgs-widget]") ?? []) {
    if (other !== element && other.dataset.higgsWidget === name) other.replaceWith(element);
  }
}

/** The canvas zooms and pans over the editor too. Else, what is dragged there moves no node: those of Vue would go. */
export function passOn(root) {
  root.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return event.stopPropagation();
    event.preventDefault();
    event.stopPropagation();
    return app.canvas.processMouseWheel(event);
  }, { passive: false });
  const middle = { pointerdown: "processMouseDown", pointermove: "processMouseMove", pointerup: "processMouseUp" };
  for (const [event, call] of Object.entries(middle)) {
    root.addEventListener(event, (one) => {
      if (one.button === 1 || (event === "pointermove" && one.buttons & 4)) app.canvas[call](one);
      if (one.buttons) one.stopPropagation();
    });
  }
}

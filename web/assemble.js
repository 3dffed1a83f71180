// Assemble: the lines of a performance on lanes, to be moved and trimmed. What is changed stands in the input "moved".
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addElement } from "./common/element.js";
import { makeLines } from "./common/mixer/lines.js";
import { after, hide, mapAgain, rememberStep } from "./common/node.js";
import { passToCanvas, toldBefore } from "./common/mixer/host.js";

app.registerExtension({
  name: "Higgs.Assemble",
  nodeCreated(node) {
    if (node.comfyClass === "HiggsAssemble") addLanes(node);
  },
});

function addLanes(node) {
  const moved = node.widgets.find((one) => one.name === "moved");
  hide(moved, true); // people change it on the lanes; scripts may write it
  let told = []; // the lines of the last run

  /** What was changed, by line; a line that says something else now is left alone. */
  const moves = () => {
    try {
      return new Map(JSON.parse(moved.value || "[]").map((move) => [move.line, move]));
    } catch {
      return new Map();
    }
  };
  const write = (all) => {
    moved.value = all.size ? JSON.stringify([...all.values()].sort((a, b) => a.line - b.line)) : "";
    moved.callback?.(moved.value, app.canvas, node);
    node.setDirtyCanvas(true, true);
  };
  const lanes = makeLines({
    lines() {
      const all = moves();
      return told.map((line) => {
        const move = all.get(line.line);
        const known = move?.text === line.text;
        const { start_s = line.start, trim_start_s = 0, trim_end_s = 0 } = known ? move : {}; // trims may be left out
        return { ...line, moved: known, start: start_s, trim_start: trim_start_s, trim_end: trim_end_s };
      });
    },
    fixed: () => !!node.inputs?.some((input) => input.name === "moved" && input.link != null),
    set(line, { start, trim_start, trim_end }) {
      const all = moves();
      all.set(line.line, { line: line.line, text: line.text, start_s: start, trim_start_s: trim_start,
                           trim_end_s: trim_end });
      write(all);
    },
    reset(line) {
      const all = moves();
      all.delete(line.line);
      write(all);
    },
    done: () => rememberStep(app),
  });
  passToCanvas(lanes.element);
  const widget = addElement(node, "lines", "HIGGS_LINES", lanes.element, { getMinHeight: () => lanes.height() });
  hide(widget, true);

  const later = () => setTimeout(lanes.update);
  let drawn = moved.value, room = 0;
  after(moved, "callback", later);
  after(node, "onConfigure", later);
  after(node, "onResize", later);
  after(node, "onDrawForeground", () => { // undo and scripts change it without a word
    if (moved.value !== drawn) later();
    drawn = moved.value;
  });
  const take = (output) => {
    const view = output?.higgs_lines?.[0];
    if (!view) return;
    told = view.lines;
    hide(widget, !told.length);
    lanes.update();
    if (room !== lanes.height()) { // the Vue nodes ask for it once
      room = lanes.height();
      mapAgain(node);
      node.setSize([Math.max(node.size[0], 420), Math.max(node.size[1], node.computeSize()[1])]);
    }
    later();
  };
  after(node, "onExecuted", take);
  const tells = node.constructor.nodeData?.has_intermediate_output; // ComfyUI does so itself since 0.33
  const ended = async ({ detail }) => {
    if (!tells && !told.length) take(await toldBefore(node, detail.prompt_id, "higgs_lines"));
  };
  api.addEventListener("execution_success", ended);
  after(node, "onRemoved", () => api.removeEventListener("execution_success", ended));
  after(node, "onAfterGraphConfigured", () => take(app.nodeOutputs?.[node.id])); // of a run before it was opened again
}

// Render Script: a button that opens the takes of the lines that it has rendered, to compare them.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { compareTakes } from "./common/takes/compare.js";

const rendered = new Map(); // node id -> Map of its lines, by item of a list and number

app.registerExtension({
  name: "Higgs.Takes",
  setup() {
    api.addEventListener("higgs.lines", ({ detail: { node, prompt_id: run, item, lines } }) => {
      const known = rendered.get(String(node));
      const mine = known?.run === run ? known : { run, lines: new Map() };
      for (const line of lines) mine.lines.set(`${item}:${line.line}`, line);
      rendered.set(String(node), mine);
    });
  },
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsRenderScript") return;
    const show = () => compareTakes([...(rendered.get(String(node.id))?.lines.values() ?? [])], api);
    const widget = node.addWidget("button", "compare takes", null, show, { serialize: false });
    widget.serialize = false;
    widget.tooltip = "Hear the takes of each line of the last run in place of each other, and lock the better one.";
  },
});

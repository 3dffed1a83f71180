// All nodes of the pack: names of files, voices and checkpoints in lists are shown as they are written.
import { app } from "../../scripts/app.js";
import { plainChoices } from "./common/choices.js";

app.registerExtension({
  name: "Higgs.PlainChoices",
  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Higgs")) return;
    for (const widget of node.widgets ?? []) if (Array.isArray(widget.options?.values)) plainChoices(widget);
  },
});

// Load Higgs Model: layout, size on the disk and in memory, number format and licence beside each checkpoint.
import { app } from "../../scripts/app.js";
import { noteChoices } from "./common/choices.js";

app.registerExtension({
  name: "Higgs.LoadModel",
  nodeCreated(node) {
    if (node.comfyClass === "HiggsLoadModel") noteChoices(node, "checkpoint", "lm", ["device", "dtype", "quantization"]);
  },
});

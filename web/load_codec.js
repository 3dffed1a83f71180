// Load Higgs Codec: layout, size on the disk and in memory, number format and licence beside each checkpoint.
import { app } from "../../scripts/app.js";
import { noteChoices } from "./common/choices.js";

app.registerExtension({
  name: "Higgs.LoadCodec",
  nodeCreated(node) {
    if (node.comfyClass === "HiggsLoadCodec") noteChoices(node, "checkpoint", "codec", ["device", "dtype"]);
  },
});

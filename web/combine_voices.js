// Combine Higgs Voices: a list of voices that grows.
import { app } from "../../scripts/app.js";
import { growList } from "./common/growing.js";

app.registerExtension({
  name: "Higgs.CombineVoices",
  nodeCreated(node) {
    if (node.comfyClass === "HiggsCombineVoices") growList(node, { prefix: "voice_", type: "HIGGS_VOICE", count: 8 });
  },
});

// Re-speak: a list of voices that grows, each with the name of its speaker.
import { app } from "../../scripts/app.js";
import { growList } from "./common/growing.js";

app.registerExtension({
  name: "Higgs.Respeak",
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsRespeak") return;
    growList(node, { prefix: "voice_", type: "HIGGS_VOICE", count: 8, settings: ["name_"] });
  },
});

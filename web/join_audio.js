// Join Audio: a list of clips that grows.
import { app } from "../../scripts/app.js";
import { growList } from "./common/growing.js";

app.registerExtension({
  name: "Higgs.JoinAudio",
  nodeCreated(node) {
    if (node.comfyClass === "HiggsJoinAudio") growList(node, { prefix: "audio_", type: "AUDIO", count: 16 });
  },
});

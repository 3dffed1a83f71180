// Mix Audio: a list of tracks that grows, each with its settings.
import { app } from "../../scripts/app.js";
import { growList } from "./common/growing.js";

const SETTINGS = ["start_", "gain_", "pan_", "fade_in_", "fade_out_"];

app.registerExtension({
  name: "Higgs.MixAudio",
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsMixAudio") return;
    growList(node, { prefix: "track_", type: "AUDIO", count: 8, settings: SETTINGS });
  },
});

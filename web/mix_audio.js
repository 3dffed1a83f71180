// Mix Audio: a list of tracks that grows, each with its settings.
import { app } from "../../scripts/app.js";
import { growList } from "./common/growing.js";

const SETTINGS = ["start_", "gain_", "pan_", "fade_in_", "fade_out_"];
const MORE = {
  toggle: "more_settings",
  settings: ["after_", "trim_start_", "trim_end_", "fade_shape_", "loop_", "mute_", "solo_", "duck_"],
  shared: ["channels", "trim_silence", "duck_attack", "duck_hold", "duck_release", "duck_look_ahead", "duck_threshold",
    "show_timeline", "frame_rate"],
};

app.registerExtension({
  name: "Higgs.MixAudio",
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsMixAudio") return;
    growList(node, { prefix: "track_", type: "AUDIO", count: 8, settings: SETTINGS, more: MORE });
  },
});

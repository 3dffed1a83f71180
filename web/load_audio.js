// Load Audio: the player and the upload button of ComfyUI's own Load Audio; the player also plays the pack's clips.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const FROM_PACK = " (from the pack)"; // as nodes/bridge.py ends their names

app.registerExtension({
  name: "Higgs.LoadAudio",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name !== "HiggsLoadAudio") return;
    nodeData.input.required.audioUI = ["AUDIO_UI", {}]; // the upload button needs the player to be there first
    nodeData.input.required.upload = ["AUDIOUPLOAD", {}];
  },
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsLoadAudio") return;
    const widget = (name) => node.widgets.find((one) => one.name === name);
    const player = widget("audioUI").element;
    // The editor looks for every choice among the input files, and does not find these there.
    player.addEventListener("error", () => {
      const choice = widget("audio").value;
      const clip = api.apiURL(`/higgs/clips/${encodeURIComponent(choice)}`);
      if (choice?.endsWith(FROM_PACK) && !player.src.endsWith(clip)) player.src = clip;
    });
  },
});

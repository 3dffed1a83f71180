// Load Audio: the player and the upload button of ComfyUI's own Load Audio.
import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "Higgs.LoadAudio",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name !== "HiggsLoadAudio") return;
    nodeData.input.required.audioUI = ["AUDIO_UI", {}]; // the upload button needs the player to be there first
    nodeData.input.required.upload = ["AUDIOUPLOAD", {}];
  },
});

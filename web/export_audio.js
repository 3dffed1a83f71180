// Export Audio: a player for the file that was written.
import { app } from "../../scripts/app.js";

app.registerExtension({
  name: "Higgs.ExportAudio",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name === "HiggsExportAudio") nodeData.input.required.audioUI = ["AUDIO_UI", {}];
  },
});

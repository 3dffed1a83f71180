// Load Higgs Voice: a player for the clip that the voice file keeps.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { playOnNode } from "./common/editors_player.js";
import { after } from "./common/node.js";

app.registerExtension({
  name: "Higgs.LoadVoice",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name === "HiggsLoadVoice") nodeData.input.required.audioUI = ["AUDIO_UI", {}];
  },
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsLoadVoice") return;
    const widget = (name) => node.widgets.find((one) => one.name === name);
    const show = () => {
      const voice = widget("voice").value;
      playOnNode(widget("audioUI"), voice ? api.apiURL(`/higgs/voices/${encodeURIComponent(voice)}`) : "");
    };
    after(widget("voice"), "callback", show);
    after(node, "onConfigure", show); // a workflow was opened
    after(node, "onAdded", show); // from here on the editor keeps the widget's value
    show();
  },
});

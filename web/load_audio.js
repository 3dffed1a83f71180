// Load Audio: the player and the upload button of ComfyUI's own Load Audio, and the picker of the part to use.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { playOnNode } from "./common/editors_player.js";
import { after, rememberStep } from "./common/node.js";
import { ClipPicker, FROM_PACK } from "./common/reference/clip_picker.js";

app.registerExtension({
  name: "Higgs.LoadAudio",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name !== "HiggsLoadAudio") return;
    const { required } = nodeData.input;
    delete required.upload; // the editor adds one by itself, and it needs the player to be there first
    required.audioUI = ["AUDIO_UI", {}];
    required.upload = ["AUDIOUPLOAD", {}];
  },
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsLoadAudio") return;
    const widget = (name) => node.widgets.find((one) => one.name === name);
    const player = widget("audioUI");
    // The editor looks for every choice among the input files, and does not find these there.
    const show = () => {
      const choice = widget("audio").value;
      if (choice?.endsWith(FROM_PACK)) playOnNode(player, api.apiURL(`/higgs/clips/${encodeURIComponent(choice)}`));
    };
    after(widget("audio"), "callback", show);
    after(node, "onGraphConfigured", show);
    after(node, "onAdded", show); // from here on the editor keeps the widget's value
    show();
    const picker = new ClipPicker(node, api, (one, value, done) => setWidget(node, one, value, done));
    for (const name of ["audio", "start", "duration"]) after(widget(name), "callback", () => picker.refresh());
    after(node, "onConfigure", () => picker.refresh()); // a workflow was opened, or a step was undone
    after(node, "onRemoved", () => picker.remove());
    node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
    picker.refresh();
  },
});

/** As if the person had typed it; once they are done it is a step that can be undone. */
function setWidget(node, widget, value, done) {
  widget.value = value;
  widget.callback?.(value);
  node.setDirtyCanvas(true, true);
  if (done) rememberStep(app);
}

// Load Audio: the player and the upload button of ComfyUI's own Load Audio, and the picker of the part to use.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { after, rememberStep } from "./common/node.js";
import { ClipPicker, FROM_PACK } from "./common/reference/clip_picker.js";

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

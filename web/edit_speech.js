// Edit Speech: the words of the recording in a box that shows what is changed; the node's text stays what counts.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { EditBox } from "./common/edit/box.js";
import { addElement } from "./common/element.js";
import { after, connected, hide, nodeOf, rememberStep, rootGraph } from "./common/node.js";

const SIZE = [460, 720]; // of a new node

app.registerExtension({
  name: "Higgs.EditSpeech",
  setup() {
    api.addEventListener("higgs.transcript", ({ detail }) => {
      nodeOf(rootGraph(app), detail.node)?.higgsHeard?.(detail.text);
    });
  },
  nodeCreated(node) {
    if (node.comfyClass === "HiggsEditSpeech") addBox(node);
  },
});

function addBox(node) {
  const widget = (name) => node.widgets.find((one) => one.name === name);
  const transcript = widget("transcript"), text = widget("text");
  const box = new EditBox({
    getTranscript: () => transcript.value ?? "",
    getText: () => text.value ?? "",
    setText: (value) => { text.value = value; text.callback?.(value, app.canvas, node); },
    done: () => rememberStep(app),
  });
  node.higgsEdit = box;
  let before = transcript.value ?? "";
  const follow = () => { // a text that was not changed stays what is said
    const now = transcript.value ?? "";
    if (now !== before && (!text.value?.trim() || text.value === before)) text.value = now;
    before = now;
    box.load();
  };
  hide(text, true);
  text.computeLayoutSize = () => ({ minHeight: 0, maxHeight: 0, minWidth: 0 });
  after(text.options, "setValue", () => box.load());
  after(transcript.options, "setValue", follow);
  after(transcript, "callback", follow);
  node.higgsHeard = (heard) => {
    if (transcript.value?.trim()) return; // typed meanwhile
    transcript.value = heard;
    follow();
    rememberStep(app);
  };
  const link = () => {
    const slot = node.inputs.findIndex((one) => one.name === "text");
    box.linkTo(connected(node, "text") ? node.getInputNode(slot)?.title ?? "another node" : null);
  };
  after(node, "onConnectionsChange", link);
  after(node, "onAfterGraphConfigured", () => { before = transcript.value ?? ""; link(); box.load(); });
  addElement(node, "edit", "higgs_edit", box.root, { getMinHeight: () => 220 });
  node.setSize([Math.max(node.size[0], SIZE[0]), Math.max(node.size[1], SIZE[1], node.computeSize()[1])]);
}

// Script: the text as a scene, with what the server says of it and what becomes of its lines while they are rendered.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { ask } from "./common/ask.js";
import { addElement, passOn } from "./common/element.js";
import { after, connected, hide, rememberStep, rootGraph } from "./common/node.js";
import { SceneEditor } from "./common/scene/editor.js";
import { scriptsAbove } from "./common/scene/links.js";
import { loadTags } from "./common/tags.js";
import { compareTakes } from "./common/takes/compare.js";

const SIZE = [640, 460]; // of a new node

app.registerExtension({
  name: "Higgs.Script",
  setup() {
    api.addEventListener("higgs.lines", ({ detail }) => {
      for (const node of scriptsAbove(rootGraph(app), detail.node)) node.higgsScene?.findings.progress(detail);
    });
  },
  nodeCreated(node) {
    if (node.comfyClass === "HiggsScript") addScene(node);
  },
});

function addScene(node) {
  const text = node.widgets.find((one) => one.name === "text");
  const editor = new SceneEditor({
    getText: () => text.value,
    setText: (value) => { text.value = value; },
    check: (value) => ask("/higgs/script/check", value),
    states: (value) => ask("/higgs/script/lines", value),
    subtitles: (value) => ask("/higgs/script/subtitles", value),
    tags: loadTags,
    mend: (value) => ask("/higgs/script/mend", value),
    compare: (lines) => compareTakes(lines, api),
    // who works with keys only also has a step that the graph's own undo can go back to
    left: () => rememberStep(app),
  });
  node.higgsScene = editor;
  hide(text, true);
  after(text.options, "setValue", () => editor.load());
  text.computeLayoutSize = () => ({ minHeight: 0, maxHeight: 0, minWidth: 0 });
  const follow = () => {
    const slot = node.inputs.findIndex((one) => one.name === "text");
    editor.linkTo(connected(node, "text") ? node.getInputNode(slot)?.title ?? "another node" : null);
  };
  after(node, "onConnectionsChange", follow);
  after(node, "onAfterGraphConfigured", follow);
  addElement(node, "scene", "higgs_scene", editor.root, { getMinHeight: () => 220 });
  node.setSize([Math.max(node.size[0], SIZE[0]), Math.max(node.size[1], SIZE[1])]);
  passOn(editor.root);
}

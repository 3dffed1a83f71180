// Director: what the chat server proposes, as a diff; what is accepted is kept in the workflow.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addElement, passOn } from "./common/element.js";
import { after, hide, nodeOf, rememberStep, rootGraph } from "./common/node.js";
import { SceneDiff } from "./common/scene/diff.js";

const SIZE = [600, 760]; // of a new node
// Undo, redo and other tabs make a new node of the same number, and to ask again may take long.
const proposals = new Map(); // place of a node -> what it was told last, and what was accepted then

app.registerExtension({
  name: "Higgs.Director",
  setup() {
    api.addEventListener("higgs.directed", ({ detail }) => {
      const node = nodeOf(rootGraph(app), detail.node);
      if (!node?.higgsDiff) return;
      node.higgsDiff.show(detail);
      proposals.set(placeOf(node), { detail, accepted: node.higgsDiff.host.getAccepted() });
    });
  },
  nodeCreated(node) {
    if (node.comfyClass === "HiggsDirector") addDiff(node);
  },
});

function placeOf(node) {
  return `${node.graph?.id}/${node.id}`;
}

function addDiff(node) {
  const accepted = node.widgets.find((one) => one.name === "accepted");
  const diff = new SceneDiff({
    getAccepted: () => String(accepted.value ?? ""),
    setAccepted: (value) => {
      if (!value) proposals.delete(placeOf(node));
      accepted.value = value;
      rememberStep(app);
    },
  });
  node.higgsDiff = diff;
  hide(accepted, true);
  accepted.computeLayoutSize = () => ({ minHeight: 0, maxHeight: 0, minWidth: 0 });
  after(accepted.options, "setValue", () => diff.load());
  after(node, "onConfigure", () => { // a workflow was opened, or a step was undone
    diff.load();
    const last = proposals.get(placeOf(node));
    if (last && last.detail.state !== "accepted" && last.accepted === diff.host.getAccepted()) diff.show(last.detail);
  });
  addElement(node, "proposal", "higgs_proposal", diff.root, { getMinHeight: () => 240 }); // with its margins
  node.setSize([Math.max(node.size[0], SIZE[0]), Math.max(node.size[1], SIZE[1], node.computeSize()[1])]);
  passOn(diff.root);
}

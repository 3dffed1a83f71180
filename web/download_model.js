// Download Higgs Model: size and licence beside each release; a workflow never brings an accepted licence with it.
import { app } from "../../scripts/app.js";
import { noteChoices } from "./common/notes.js";

app.registerExtension({
  name: "Higgs.DownloadModel",
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsDownloadModel") return;
    noteChoices(node, "release", "releases");
    const before = node.onConfigure;
    node.onConfigure = function (...args) {
      const result = before?.apply(this, args);
      node.widgets.find((one) => one.name === "licence_accepted").value = false;
      return result;
    };
  },
});

// Download Higgs Model: size and licence beside each release; a workflow never brings an accepted licence with it.
import { app } from "../../scripts/app.js";
import { noteChoices } from "./common/choices.js";
import { after } from "./common/node.js";

app.registerExtension({
  name: "Higgs.DownloadModel",
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsDownloadModel") return;
    noteChoices(node, "release", "releases");
    after(node, "onConfigure", () => {
      node.widgets.find((one) => one.name === "licence_accepted").value = false;
    });
  },
});

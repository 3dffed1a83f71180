// Load Book: a button to upload the file.
import { app } from "../../scripts/app.js";
import { addUpload } from "./common/upload.js";

app.registerExtension({
  name: "Higgs.LoadBook",
  nodeCreated(node) {
    if (node.comfyClass === "HiggsLoadBook") addUpload(node, "file", ".epub,.html,.htm,.xhtml,.md,.txt");
  },
});

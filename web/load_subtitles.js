// Load Subtitles: a button to upload the file.
import { app } from "../../scripts/app.js";
import { addUpload } from "./common/upload.js";

app.registerExtension({
  name: "Higgs.LoadSubtitles",
  nodeCreated(node) {
    if (node.comfyClass === "HiggsLoadSubtitles") addUpload(node, "file", ".srt,.vtt,.ass,.ssa");
  },
});

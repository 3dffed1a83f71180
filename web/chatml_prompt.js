// Higgs ChatML Prompt: a list of voices that grows, and v3's tags in its menu.
import { app } from "../../scripts/app.js";
import { growList } from "./common/growing.js";
import { loadTags, tagItems } from "./common/tags.js";

app.registerExtension({
  name: "Higgs.ChatMLPrompt",
  setup() {
    loadTags();
  },
  nodeCreated(node) {
    if (node.comfyClass === "HiggsChatMLPrompt") growList(node, { prefix: "voice_", type: "HIGGS_VOICE", count: 8 });
  },
  getNodeMenuItems(node) {
    return node.comfyClass === "HiggsChatMLPrompt" ? tagItems(node, "text") : [];
  },
});

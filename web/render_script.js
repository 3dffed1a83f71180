// Render Script: a list of voices that grows, each with the name of its speaker, and a live player.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { growList } from "./common/growing.js";
import { liveExtension } from "./common/live/node.js";

app.registerExtension(liveExtension(app, api, "HiggsRenderScript"));

app.registerExtension({
  name: "Higgs.RenderScript",
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsRenderScript") return;
    growList(node, { prefix: "voice_", type: "HIGGS_VOICE", count: 8, settings: ["name_"] });
  },
});

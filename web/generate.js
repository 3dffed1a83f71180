// Higgs Generate: a live player.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { liveExtension } from "./common/live/node.js";

app.registerExtension(liveExtension(app, api, "HiggsGenerate"));

// The menu "Higgs Audio": workflows to begin with, in the order in which they help. What a newcomer begins with opens as
// an app, where the editor can.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const PACK = new URL(import.meta.url).pathname.split("/").at(-2);
const WORKFLOWS = [
  ["clone_voice", "Clone a voice", true],
  ["two_voice_dialogue", "A dialogue of two voices", true],
  ["text_to_speech", "Text to speech", true],
  ["audiobook", "An audiobook"],
  ["srt_dubbing", "Dub subtitles"],
  ["master_a_mix", "Mix and master"],
];
const command = (name) => `Higgs.Open.${name}`;

app.registerExtension({
  name: "Higgs.Apps",
  commands: WORKFLOWS.map(([name, label, asApp]) => ({
    id: command(name),
    label,
    icon: "pi pi-volume-up",
    function: () => open(name, asApp),
  })),
  menuCommands: [{ path: ["Higgs Audio"], commands: WORKFLOWS.map(([name]) => command(name)) }],
});

async function open(name, asApp) {
  const answer = await fetch(api.apiURL(`/workflow_templates/${PACK}/${name}.json`));
  const workflow = await answer.json();
  // Frontend 1.32.9 opens an unfinished page for this mark, so that it does not stand in the files.
  if (asApp && knowsApps()) workflow.extra.linearMode = true;
  await app.loadGraphData(workflow, true, true, name);
}

function knowsApps() {
  return "activeMode" in (app.extensionManager.workflow?.activeWorkflow ?? {});
}

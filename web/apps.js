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
  ["dub_a_film", "Dub a film"],
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
  await app.loadGraphData(await answer.json(), true, true, name);
  // On the canvas first: frontend 1.58.1 leaves the elements of an app that opens after another one on the canvas.
  const workflow = app.extensionManager.workflow.activeWorkflow;
  if (asApp && "activeMode" in workflow) workflow.activeMode = "app"; // 1.32.9 has none
}

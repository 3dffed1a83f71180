// Mix Audio: a list of tracks that grows, each with its settings, and a mixer that shows and changes these.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { addElement } from "./common/element.js";
import { connectedItems, growList } from "./common/growing.js";
import { passToCanvas, toldBefore } from "./common/mixer/host.js";
import { makeLanes } from "./common/mixer/lanes.js";
import { after, hide, rememberStep } from "./common/node.js";

const SETTINGS = ["start_", "gain_", "pan_", "fade_in_", "fade_out_"];
const MORE = {
  toggle: "more_settings",
  settings: ["after_", "trim_start_", "trim_end_", "fade_shape_", "loop_", "mute_", "solo_", "duck_"],
  shared: ["channels", "trim_silence", "duck_attack", "duck_hold", "duck_release", "duck_look_ahead", "duck_threshold",
    "show_timeline", "frame_rate"],
};

app.registerExtension({
  name: "Higgs.MixAudio",
  nodeCreated(node) {
    if (node.comfyClass !== "HiggsMixAudio") return;
    const mixer = addMixer(node);
    growList(node, {
      prefix: "track_", type: "AUDIO", count: 8, settings: SETTINGS, more: MORE, onArrange: mixer.show,
    });
  },
});

/** The mixer on the node. Every value is that of a widget, so that undo, the workflow and the queue know it. */
function addMixer(node) {
  const widget = (name) => node.widgets.find((one) => one.name === name);
  const frames = () => widget("frame_rate").value; // 0: seconds
  const starts = () => frames() || 1;
  let ran = null; // what the last run told, and the settings and sources that it ran with

  function trackOf(number) {
    const known = ran && ran.sources[number] === sourceOf(node, number)?.id;
    const told = known ? ran.view.clips.find((clip) => clip.track === number) : undefined;
    const value = (name) => widget(`${name}_${number}`).value;
    const track = { number, name: nameOf(node, number), seconds: told?.seconds ?? null, wave: told };
    for (const setting of ["after", "trim_start", "trim_end", "fade_shape", "loop", "mute", "solo", "gain", "pan",
      "fade_in", "fade_out"]) track[setting] = value(setting);
    track.start = value("start") / starts();
    track.fixed = node.inputs.filter((input, slot) => input.name.endsWith(`_${number}`) && node.isInputConnected(slot))
      .map((input) => input.name.slice(0, -`_${number}`.length));
    return track;
  }

  const items = () => connectedItems(node, "track_");
  const sources = () => Object.fromEntries(items().map((number) => [number, sourceOf(node, number)?.id]));
  const state = () => JSON.stringify([sources(), ...node.widgets.filter((one) => one.serialize !== false)
    .map((one) => one.value)]);
  const lanes = makeLanes({
    tracks: () => items().map(trackOf),
    result: () => ran && { figures: ran.view.loudness, scaled_db: ran.view.scaled_db, stale: ran.state !== state() },
    grain: (key) => (frames() ? 1 / frames() : key ? 0.1 : 0.01),
    set(number, setting, value) {
      const target = widget(`${setting}_${number}`);
      target.value = setting === "start" ? Math.round(value * starts() * 1000) / 1000 : value;
      target.callback?.(target.value, app.canvas, node);
      node.setDirtyCanvas(true, true);
    },
    done: () => rememberStep(app),
  });
  passToCanvas(lanes.element);

  let rows = 0, drawn = "";
  const mixer = addElement(node, "mixer", "HIGGS_MIXER", lanes.element, { getMinHeight: () => lanes.height(rows) });
  const later = () => setTimeout(lanes.update);
  for (const one of node.widgets) if (one !== mixer) after(one, "callback", later);
  after(node, "onConfigure", later);
  after(node, "onResize", later);
  after(node, "onDrawForeground", () => { // undo, scripts and other nodes' titles change without a word
    const now = state() + items().map((number) => nameOf(node, number));
    if (now !== drawn) later();
    drawn = now;
  });
  const take = (output) => {
    const view = output?.higgs_mix?.[0];
    if (view) ran = { view, state: state(), sources: sources() };
    later();
  };
  after(node, "onExecuted", take);
  const tells = node.constructor.nodeData?.has_intermediate_output; // ComfyUI does so itself since 0.33
  const ended = async ({ detail }) => {
    if (!tells && !ran && rows) take(await toldBefore(node, detail.prompt_id, "higgs_mix"));
  };
  api.addEventListener("execution_success", ended);
  after(node, "onRemoved", () => api.removeEventListener("execution_success", ended));
  return {
    show(connected) {
      rows = connected.length;
      hide(mixer, !rows);
      if (!ran) take(app.nodeOutputs?.[node.id]); // of a run before this workflow was opened again
      lanes.update();
    },
  };
}

/** The node that a track comes from. */
function sourceOf(node, number) {
  const slot = node.inputs.findIndex((one) => one.name === `track_${number}`);
  return slot < 0 ? null : node.getInputNode(slot);
}

/** What a person reads beside a track. */
function nameOf(node, number) {
  return `${number} ${sourceOf(node, number)?.title ?? ""}`.trim();
}

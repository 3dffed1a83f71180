// Mix Audio: a list of tracks that grows, each with its settings, and a mixer that shows and changes these.
import { app } from "../../scripts/app.js";
import { chain, connectedItems, growList, hide } from "./common/growing.js";
import { makeLanes } from "./common/lanes.js";

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
  let ran = null; // what the last run told, and the settings that it ran with

  function trackOf(number) {
    const told = ran?.view.clips.find((clip) => clip.track === number);
    const value = (name) => widget(`${name}_${number}`).value;
    const track = { number, name: nameOf(node, number), seconds: told?.seconds ?? null, wave: told };
    for (const setting of ["after", "trim_start", "trim_end", "fade_shape", "loop", "mute", "solo", "gain", "pan",
      "fade_in", "fade_out"]) track[setting] = value(setting);
    track.start = value("start") / starts();
    track.fixed = node.inputs.filter((input) => input.widget && input.link != null)
      .map((input) => input.name.slice(0, -`_${number}`.length));
    return track;
  }

  const state = () => JSON.stringify(node.widgets.filter((one) => one.serialize !== false).map((one) => one.value));
  const lanes = makeLanes({
    tracks: () => connectedItems(node, "track_").map(trackOf),
    result: () => ran && { figures: ran.view.loudness, scaled_db: ran.view.scaled_db, stale: ran.state !== state() },
    grain: (key) => (frames() ? 1 / frames() : key ? 0.1 : 0.01),
    set(number, setting, value) {
      const target = widget(`${setting}_${number}`);
      target.value = setting === "start" ? Math.round(value * starts() * 1000) / 1000 : value;
      target.callback?.(target.value, app.canvas, node);
      node.setDirtyCanvas(true, true);
    },
    done: () => app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState(), // for undo
  });
  passToCanvas(lanes.element);

  let rows = 0, drawn = "";
  const mixer = node.addDOMWidget("mixer", "HIGGS_MIXER", lanes.element, {
    serialize: false, hideOnZoom: false, getMinHeight: () => lanes.height(rows),
  });
  mixer.serialize = false;
  const later = () => setTimeout(lanes.update);
  for (const one of node.widgets) if (one !== mixer) chain(one, "callback", later);
  chain(node, "onConfigure", later);
  chain(node, "onResize", later);
  chain(node, "onDrawForeground", () => { // undo, scripts and other nodes' titles change without a word
    const now = state() + connectedItems(node, "track_").map((number) => nameOf(node, number));
    if (now !== drawn) later();
    drawn = now;
  });
  chain(node, "onExecuted", (output) => {
    const view = output?.higgs_mix?.[0];
    if (view) ran = { view, state: state() };
    later();
  });
  return {
    show(items) {
      rows = items.length;
      hide(mixer, !rows);
      const before = app.nodeOutputs?.[node.id]?.higgs_mix?.[0]; // of a run before this workflow was opened again
      if (!ran && before) ran = { view: before, state: state() };
      lanes.update();
    },
  };
}

/** What a person reads beside a track: its number, and the node that it comes from. */
function nameOf(node, number) {
  const input = node.inputs.find((one) => one.name === `track_${number}`);
  const link = node.graph?.links?.get?.(input?.link) ?? node.graph?.links?.[input?.link];
  return `${number} ${node.graph?.getNodeById(link?.origin_id)?.title ?? ""}`.trim();
}

/** Zooming with the wheel and moving the canvas with the middle button go on above the mixer. */
function passToCanvas(element) {
  element.addEventListener("wheel", (event) => app.canvas.processMouseWheel(event));
  element.addEventListener("pointerdown", (event) => event.button === 1 && app.canvas.processMouseDown(event));
  element.addEventListener("pointermove", (event) => event.buttons & 4 && app.canvas.processMouseMove(event));
  element.addEventListener("pointerup", (event) => event.button === 1 && app.canvas.processMouseUp(event));
}

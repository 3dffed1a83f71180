// A mixer: the tracks of a mix as lanes on a time line, to be moved, faded, levelled, panned, muted and heard alone.
// It keeps no values of its own: it draws what `model` says, and hands changes back to it.

import { make } from "../dom.js";
import { clock, endOf, fadePath, placeTracks, rulerMarks, UNKNOWN_S, wavePath, waveScale } from "./plan.js";
import { addLanesStyle, dye } from "./style.js";

const ROW = 48, HEAD = 54; // pixels
const SVG = "http://www.w3.org/2000/svg";
const QUIETEST_LUFS = -60;

/**
 * @param {object} model
 * @param {() => object[]} model.tracks connected tracks in order: see `placeTracks`, and name, gain, pan, fade_in,
 *   fade_out, fade_shape, mute, solo, wave ({low, high} or undefined), fixed (names of settings that cannot be changed)
 * @param {() => {figures: object|null, scaled_db: number, stale: boolean}|null} model.result of the last run
 * @param {() => number} model.grain seconds to which starts are rounded, and which an arrow key moves
 * @param {(number: number, setting: string, value: number|boolean) => void} model.set
 * @param {() => void} model.done a change is over: the editor may remember it for undo
 * @returns {{element: HTMLElement, update: () => void, height: (rows: number) => number}}
 */
export function makeLanes(model) {
  addLanesStyle();
  const element = make("div", { className: "higgs-lanes", role: "group", "aria-label": "Mixer" });
  const head = make("div", { className: "hl-head" }), bar = make("i");
  const meter = make("div", { className: "hl-meter", role: "meter", "aria-label": "Loudness of the mix",
    "aria-valuemin": QUIETEST_LUFS, "aria-valuemax": 0 });
  const figures = make("span", { className: "hl-figures", role: "status" });
  const ruler = make("div", { className: "hl-ruler", "aria-hidden": "true" });
  meter.append(bar);
  head.append(meter, figures);
  element.append(head, ruler);
  const rows = new Map(), mixer = { model, update, hold, scale: () => span };
  let span = 1, held = false; // while something is dragged the scale stands still

  function update() {
    const tracks = model.tracks(), places = placeTracks(tracks);
    if (!held) span = Math.max(1, ...[...places.values()].map(endOf)) * 1.04;
    for (const [number, row] of rows) {
      if (tracks.every((track) => track.number !== number)) {
        row.element.remove();
        rows.delete(number);
      }
    }
    const solo = tracks.some((track) => track.solo), taller = waveScale(tracks);
    tracks.forEach((track, order) => {
      if (!rows.has(track.number)) rows.set(track.number, makeRow(track.number, mixer));
      const row = rows.get(track.number);
      if (element.children[order + 2] !== row.element) element.insertBefore(row.element, element.children[order + 2]);
      row.element.classList.toggle("quiet", track.mute || (solo && !track.solo));
      row.draw(track, places.get(track.number), taller);
    });
    drawRuler(ruler, span);
    drawResult(element, { meter, bar, figures }, model.result());
  }

  function hold(on) {
    held = on;
    if (!on) {
      update();
      model.done();
    }
  }

  return { element, update, height: (count) => (count ? HEAD + ROW * count : 0) };
}

function drawRuler(ruler, span) {
  const room = Math.max(2, Math.floor((ruler.offsetWidth || 300) / 55));
  ruler.replaceChildren(...rulerMarks(span, room).map(({ at, text }) => {
    const mark = make("span");
    mark.style.left = `${(100 * at) / span}%`;
    mark.textContent = text;
    return mark;
  }));
}

function drawResult(element, { meter, bar, figures }, result) {
  element.classList.toggle("hl-stale", !!result?.stale);
  const level = result?.figures?.integrated ?? null, peak = result?.figures?.true_peak ?? null;
  const filled = level === null ? 0 : 100 * Math.max(0, Math.min(1, 1 - level / QUIETEST_LUFS));
  bar.style.width = `${filled}%`;
  bar.classList.toggle("hot", peak !== null && peak > -1);
  const told = (value, unit, sign = "") => (value === null || value === undefined ? `– ${unit}`
    : `${sign && value > 0 ? sign : ""}${value.toFixed(1).replace("-", "−")} ${unit}`);
  const parts = [told(level, "LUFS"), told(peak, "dBTP", "+"), `range ${told(result?.figures?.range, "LU")}`];
  if (result?.scaled_db) parts.push(`turned down by ${Math.abs(result.scaled_db).toFixed(1)} dB`);
  const text = !result ? "Run it to see waveforms and loudness." : !result.figures ? "Loudness was not measured."
    : parts.join(" · ") + (result.stale ? " (before the last change)" : "");
  if (figures.textContent !== text) figures.textContent = figures.title = text;
  meter.setAttribute("aria-valuenow", level ?? QUIETEST_LUFS);
  meter.setAttribute("aria-valuetext", text);
}

/** One track: its strip of controls and its lane. */
function makeRow(number, mixer) {
  const element = make("div", { className: "hl-row", role: "group" }), strip = make("div", { className: "hl-strip" });
  const name = make("span", { className: "hl-name" }), lane = make("div", { className: "hl-lane" });
  const switches = { mute: makeSwitch("mute", number, mixer), solo: makeSwitch("solo", number, mixer) };
  const sliders = {
    gain: makeSlider("gain", number, mixer, { min: -60, max: 24, step: 0.5 }, (value) => `${signed(value)} dB`),
    pan: makeSlider("pan", number, mixer, { min: -1, max: 1, step: 0.05 },
      (value) => (value ? `${Math.round(Math.abs(value) * 100)} ${value < 0 ? "left" : "right"}` : "middle")),
  };
  strip.append(name, switches.mute, switches.solo, sliders.gain.element, sliders.pan.element);
  const clip = makeClip(number, mixer, lane);
  lane.append(clip.element);
  element.append(strip, lane);
  dye(element, number);
  return {
    element,
    draw(track, place, taller) {
      name.textContent = name.title = track.name;
      element.setAttribute("aria-label", track.name);
      for (const [setting, button] of Object.entries(switches)) {
        button.setAttribute("aria-pressed", String(track[setting]));
        button.setAttribute("aria-label", `${track.name}: ${setting}`);
        button.disabled = track.fixed.includes(setting);
      }
      for (const slider of Object.values(sliders)) slider.draw(track);
      clip.draw(track, place, taller);
    },
  };
}

function makeSwitch(setting, number, { model, update }) {
  const button = make("button", { className: `hl-${setting}`, type: "button", title: setting });
  button.textContent = setting[0].toUpperCase();
  button.addEventListener("click", () => {
    model.set(number, setting, button.getAttribute("aria-pressed") !== "true");
    update();
    model.done();
  });
  return button;
}

function makeSlider(setting, number, { model, update }, range, say) {
  const element = make("label", { className: "hl-slide", title: `${setting} (double-click: 0)` });
  const input = make("input", { type: "range", ...range }), output = make("output");
  element.append(input, output);
  const change = (value) => {
    model.set(number, setting, value);
    update();
  };
  input.addEventListener("input", () => change(Number(input.value)));
  input.addEventListener("change", () => model.done());
  input.addEventListener("dblclick", () => {
    change(0);
    model.done();
  });
  keysStayHere(input, ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"]);
  return {
    element,
    draw(track) {
      input.value = track[setting];
      input.disabled = track.fixed.includes(setting);
      input.setAttribute("aria-label", `${track.name}: ${setting}`);
      input.setAttribute("aria-valuetext", say(track[setting]));
      output.textContent = say(track[setting]);
    },
  };
}

/** The clip in its lane: drag it, or its two fade handles; the same by arrow keys. */
function makeClip(number, mixer, lane) {
  const element = make("div", { className: "hl-clip", role: "slider", tabindex: 0, "aria-valuemin": 0 });
  const svg = document.createElementNS(SVG, "svg"), tip = make("span", { className: "hl-tip" });
  const [wave, fades] = ["wave", "fades"].map((kind) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", kind);
    svg.append(path);
    return path;
  });
  svg.setAttribute("preserveAspectRatio", "none");
  let track, place;
  const limited = (value, most) => Math.max(0, Math.min(most, value));
  const rounded = (value, grain) => Math.round(Math.round(value / grain) * grain * 1e6) / 1e6;
  const settings = {
    start: { value: () => place.start, most: () => 86400, grain: () => mixer.model.grain(),
             set: (value) => mixer.model.set(number, "start", value - place.base) },
    fade_in: { value: () => track.fade_in, most: () => place.length - track.fade_out, grain: () => 0.01,
               set: (value) => mixer.model.set(number, "fade_in", value) },
    fade_out: { value: () => track.fade_out, most: () => place.length - track.fade_in, grain: () => 0.01,
                set: (value) => mixer.model.set(number, "fade_out", value), backwards: true },
  };
  const change = (name, value) => {
    const { most, grain, set } = settings[name];
    set(limited(rounded(value, grain()), most()));
    mixer.update();
  };
  const handles = {};
  for (const name of ["fade_in", "fade_out"]) {
    handles[name] = make("div", { className: "hl-fade", role: "slider", tabindex: 0, "aria-valuemin": 0 });
    element.append(handles[name]);
    attach(handles[name], name);
  }
  attach(element, "start");
  element.prepend(svg);
  element.append(tip);

  function attach(target, name) {
    const sign = settings[name].backwards ? -1 : 1;
    dragging(target, {
      begin: () => !track.fixed.includes(name) && settings[name].value(),
      move: (from, share) => change(name, from + sign * share * mixer.scale()),
      hold: mixer.hold, lane,
    });
    target.addEventListener("keydown", (event) => {
      if (event.target !== target || track.fixed.includes(name)) return;
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (way === undefined && event.key !== "Home") return;
      event.preventDefault();
      event.stopPropagation();
      const step = (name === "start" ? mixer.model.grain(true) : 0.1) * (event.shiftKey ? 10 : 1);
      change(name, way === undefined ? 0 : settings[name].value() + sign * way * step);
      mixer.hold(false);
    });
  }

  return {
    element,
    draw(newTrack, newPlace, taller) {
      [track, place] = [newTrack, newPlace];
      const share = 100 / mixer.scale();
      element.style.left = `${place.start * share}%`;
      element.style.width = `${place.length * share}%`;
      element.classList.toggle("guess", track.seconds === null);
      svg.setAttribute("viewBox", `0 -1 ${place.length} 2`);
      wave.setAttribute("d", wavePath(track, place, track.wave, taller));
      fades.setAttribute("d", fadePath(track, place.length));
      tip.textContent = track.gain || track.loop ? [track.gain && `${signed(track.gain)} dB`, track.loop && "loop"]
        .filter(Boolean).join(", ") : "";
      for (const [name, at] of [["fade_in", track.fade_in], ["fade_out", place.length - track.fade_out]]) {
        handles[name].style.left = `clamp(5px, ${(100 * at) / place.length}%, calc(100% - 6px))`;
        say(handles[name], name, track[name], `${track[name].toFixed(2)} s`);
      }
      const length = track.seconds === null ? `length not known, drawn as ${UNKNOWN_S} s`
        : `${place.length.toFixed(2)} s long`;
      say(element, "start", place.start, `${place.start.toFixed(2)} s, ${length}`);
      element.title = `${track.name}: ${clock(place.start, 0.1)}, ${length}`;
      for (const [name, handle] of Object.entries(handles)) handle.title = name.replace("_", " ");
    },
  };

  function say(target, name, value, text) {
    target.setAttribute("aria-label", `${track.name}: ${name.replace("_", " ")}`);
    target.setAttribute("aria-valuenow", value);
    target.setAttribute("aria-valuetext", text);
  }
}

/** Follows a pointer that drags: `move` gets what `begin` gave, and the way in shares of the lane's width. */
export function dragging(target, { begin, move, hold, lane }) {
  target.addEventListener("pointerdown", (down) => {
    const from = down.button === 0 && down.target.closest("[role=slider]") === target ? begin() : false;
    if (from === false) return;
    target.setPointerCapture(down.pointerId);
    target.focus();
    target.classList.add("moving");
    hold(true);
    // As drawn on the screen: the editor's zoom is in it.
    const follow = (event) => move(from, (event.clientX - down.clientX) / lane.getBoundingClientRect().width);
    const end = () => {
      target.removeEventListener("pointermove", follow);
      for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) target.removeEventListener(kind, end);
      target.classList.remove("moving");
      hold(false);
    };
    target.addEventListener("pointermove", follow);
    for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) target.addEventListener(kind, end);
  });
}

/** Keys that a control uses are not shortcuts of the editor. */
function keysStayHere(target, keys) {
  target.addEventListener("keydown", (event) => keys.includes(event.key) && event.stopPropagation());
}

function signed(value) {
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value)}`;
}

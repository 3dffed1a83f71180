// The lines of a script on a time line, a lane for each speaker: to be moved, and trimmed at both ends. It keeps no values
// of its own but the scale: it draws what `model` says, and hands changes back to it.

import { button, make } from "../dom.js";
import { dragging } from "./lanes.js";
import { clock, rulerMarks, wavePath } from "./plan.js";
import { addLanesStyle, dye } from "./style.js";

const HEAD = 54, ROW = 48, MARGINS = 20; // pixels; the last around a widget
const FRAME_S = 0.04; // what an arrow key moves, and where lines begin
const LEAST_S = 0.04; // of a line that is trimmed
const SCALES = [1, 2, 4, 8, 16, 32, 64, 128, 256]; // pixels a second, on the node
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {object} model
 * @param {() => object[]} model.lines line (its number), speaker, text, start, seconds (of the whole take), trim_start,
 *   trim_end, moved, low, high
 * @param {() => boolean} model.fixed nothing can be changed
 * @param {(line: object, values: {start: number, trim_start: number, trim_end: number}) => void} model.set
 * @param {(line: object) => void} model.reset
 * @param {() => void} model.done a change is over: the editor may remember it for undo
 * @returns {{element: HTMLElement, update: () => void, height: () => number}}
 */
export function makeLines(model) {
  addLanesStyle();
  const element = make("div", { className: "higgs-lanes higgs-lines", role: "group", "aria-label": "Lines" });
  const figures = make("span", { className: "hl-figures", role: "status" });
  const zoom = [["−", "show more", -1], ["+", "show less, larger", 1]].map(([label, title, way]) =>
    button(label, title, () => scaleBy(way), { className: "hl-zoom" }));
  const head = make("div", { className: "hl-head" }, figures, ...zoom);
  const ruler = make("div", { className: "hl-ruler", "aria-hidden": "true" });
  const names = make("div", { className: "hl-names" }), inner = make("div", { className: "hl-inner" }, ruler);
  const scroller = make("div", { className: "hl-scroller" }, inner);
  element.append(head, make("div", { className: "hl-body" }, names, scroller));
  const lanes = new Map(), clips = new Map();
  let scale = 0, span = 1, held = false, focused = "";
  const mixer = { model, update, hold, inner, scale: () => span, told };
  scroller.addEventListener("scroll", update);
  new ResizeObserver(() => update()).observe(scroller); // nobody else says that a Vue node has another width
  scroller.addEventListener("wheel", (event) => event.shiftKey && event.stopPropagation());

  function update() {
    const lines = model.lines(), speakers = [...new Set(lines.map((line) => line.speaker))];
    if (!held) span = Math.max(1, ...lines.map(endOf)) * 1.04;
    const room = scroller.clientWidth || 300;
    if (!scale && lines.length) scale = SCALES.findLast((one) => one * span <= Math.max(room, 8 * span)) ?? 1;
    const width = Math.max(room, Math.round(span * (scale || 1)));
    inner.style.width = `${width}px`;
    const seen = [scroller.scrollLeft - room, scroller.scrollLeft + 2 * room].map((pixel) => (pixel / width) * span);
    const [begin, end] = [Math.max(0, seen[0]), Math.min(span, seen[1])];
    drawRuler(ruler, span, begin, end, Math.max(2, Math.floor(((end - begin) / span) * width / 55)));
    drawLanes(speakers);
    const drawn = new Set(lines.filter((line) => endOf(line) > seen[0] && line.start < seen[1] || isHeld(line))
      .map((line) => line.line));
    for (const [number, clip] of clips) {
      if (!drawn.has(number)) {
        clip.element.remove();
        clips.delete(number);
      }
    }
    for (const line of lines) {
      if (!drawn.has(line.line)) continue;
      if (!clips.has(line.line)) clips.set(line.line, makeLine(mixer));
      const clip = clips.get(line.line), lane = lanes.get(line.speaker).lane;
      if (clip.element.parentNode !== lane) lane.append(clip.element);
      clip.draw(line, span);
    }
    element.style.minHeight = `${height() - MARGINS}px`; // the Vue nodes look at nothing else
    const moved = lines.filter((line) => line.moved).length;
    const text = focused || `${lines.length} lines${moved ? `, ${moved} moved: run it to hear them` : ""}`;
    if (figures.textContent !== text) figures.textContent = figures.title = text;
  }

  function isHeld(line) {
    return clips.get(line.line)?.element.contains(document.activeElement) ?? false;
  }

  function told(text) {
    focused = text;
    update();
  }

  function drawLanes(speakers) {
    for (const [speaker, row] of lanes) {
      if (!speakers.includes(speaker)) {
        row.name.remove();
        row.lane.remove();
        lanes.delete(speaker);
      }
    }
    speakers.forEach((speaker, number) => {
      if (!lanes.has(speaker)) {
        const name = make("span", { className: "hl-name", title: speaker }), lane = make("div", { className: "hl-lane" });
        name.textContent = speaker;
        for (const one of [name, lane]) dye(one, number);
        lane.setAttribute("role", "group");
        lane.setAttribute("aria-label", speaker);
        lanes.set(speaker, { name, lane });
      }
      const row = lanes.get(speaker);
      if (names.children[number] !== row.name) names.insertBefore(row.name, names.children[number] ?? null);
      if (inner.children[number + 1] !== row.lane) inner.insertBefore(row.lane, inner.children[number + 1] ?? null);
    });
  }

  function scaleBy(way) {
    const middle = (scroller.scrollLeft + scroller.clientWidth / 2) / scroller.scrollWidth;
    scale = SCALES[Math.max(0, Math.min(SCALES.length - 1, SCALES.indexOf(scale) + way))];
    update();
    scroller.scrollLeft = middle * scroller.scrollWidth - scroller.clientWidth / 2;
    update();
  }

  function hold(on) {
    held = on;
    if (!on) {
      update();
      model.done();
    }
  }

  function height() {
    return HEAD + ROW * Math.max(1, Math.min(6, lanes.size));
  }

  return { element, update, height };
}

/** Marks of the stretch that is seen, at most so many. */
function drawRuler(ruler, span, begin, end, most) {
  const step = rulerMarks(end - begin, most)[1]?.at ?? end - begin, first = Math.floor(begin / step);
  const count = Math.max(1, Math.ceil((end - begin) / step));
  ruler.replaceChildren(...Array.from({ length: count }, (_, n) => {
    const at = (first + n) * step, mark = make("span");
    mark.style.left = `${(100 * at) / span}%`;
    mark.textContent = clock(at, step);
    return mark;
  }));
}

function endOf(line) {
  return line.start + lengthOf(line);
}

function lengthOf(line) {
  return Math.max(LEAST_S, line.seconds - line.trim_start - line.trim_end);
}

/** One line: drag it, or its ends; the same by arrow keys. Home puts it back where it was. */
function makeLine(mixer) {
  const element = make("div", { className: "hl-clip hl-line", role: "slider", tabindex: 0, "aria-valuemin": 0 });
  const svg = document.createElementNS(SVG, "svg"), wave = document.createElementNS(SVG, "path");
  const text = make("span", { className: "hl-text" });
  svg.setAttribute("preserveAspectRatio", "none");
  wave.setAttribute("class", "wave");
  svg.append(wave);
  let line;
  const values = () => ({ start: line.start, trim_start: line.trim_start, trim_end: line.trim_end });
  const rounded = (seconds) => Math.round(Math.round(seconds / FRAME_S) * FRAME_S * 1000) / 1000;
  const limited = (value, least, most) => Math.round(Math.max(least, Math.min(most, value)) * 1000) / 1000;
  const settings = {
    start: { value: () => line.start, to: (value) => ({ ...values(), start: limited(rounded(value), 0, 86400) }) },
    // Its sound stays where it is: what is cut off in front lets it begin later.
    trim_start: { value: () => line.trim_start, to(value) {
      const begin = line.start - line.trim_start; // of the whole take
      const trim = limited(value, Math.max(0, -begin), line.seconds - line.trim_end - LEAST_S);
      return { ...values(), trim_start: trim, start: limited(begin + trim, 0, 86400) };
    } },
    trim_end: { value: () => line.trim_end, backwards: true, to: (value) =>
      ({ ...values(), trim_end: limited(value, 0, line.seconds - line.trim_start - LEAST_S) }) },
  };
  const change = (name, value) => {
    mixer.model.set(line, settings[name].to(value));
    mixer.told(line && whole());
  };
  const handles = Object.fromEntries(["trim_start", "trim_end"].map((name) => {
    const handle = make("div", { className: `hl-edge ${name}`, role: "slider", tabindex: 0, "aria-valuemin": 0 });
    attach(handle, name);
    return [name, handle];
  }));
  element.append(svg, text, ...Object.values(handles));
  attach(element, "start");
  element.addEventListener("focusin", () => mixer.told(whole()));
  element.addEventListener("focusout", () => mixer.told(""));

  function attach(target, name) {
    const { value, backwards } = settings[name], sign = backwards ? -1 : 1;
    dragging(target, {
      begin: () => !mixer.model.fixed() && value(),
      move: (from, share) => change(name, from + sign * share * mixer.scale()),
      hold: mixer.hold, lane: mixer.inner,
    });
    target.addEventListener("keydown", (event) => {
      if (event.target !== target || mixer.model.fixed()) return;
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (way === undefined && event.key !== "Home") return;
      event.preventDefault();
      event.stopPropagation();
      if (way === undefined) mixer.model.reset(line);
      else change(name, value() + sign * way * FRAME_S * (event.shiftKey ? 10 : 1));
      mixer.hold(false);
    });
  }

  function whole() {
    return `${clock(line.start, 0.1)} to ${clock(endOf(line), 0.1)} ${line.speaker}: ${line.text}`;
  }

  return {
    element,
    draw(newLine, span) {
      line = newLine;
      const length = lengthOf(line);
      element.style.left = `${(100 * line.start) / span}%`;
      element.style.width = `${(100 * length) / span}%`;
      element.classList.toggle("moved", line.moved);
      if (text.textContent !== line.text) text.textContent = line.text;
      svg.setAttribute("viewBox", `0 -1 ${length} 2`);
      wave.setAttribute("d", wavePath({ ...line, gain: 0, fade_in: 0, fade_out: 0 }, { length, period: length }, line, 2));
      element.title = whole();
      say(element, "start", line.start);
      for (const [name, handle] of Object.entries(handles)) say(handle, name, line[name]);
    },
  };

  function say(target, name, value) {
    target.setAttribute("aria-label", `line ${line.line}, ${line.speaker}, ${name.replace("_", " ")}: ${line.text}`);
    target.setAttribute("aria-valuenow", value);
    target.setAttribute("aria-valuetext", `${value.toFixed(2)} s`);
  }
}

// A waveform with two handles that choose a part of it. By pointer: drag a handle, or the part between them. By keyboard:
// each handle is a slider: arrows 0.1 s (Shift: 1 s), Page up and down 1 s, Home and End.
import { addStyle, make } from "../dom.js";
import { drawWaveform } from "./waveform.js";

const STEP_S = 0.1, LEAP_S = 1, SHORTEST_S = 0.05, GRID = 100; // of a second
const STYLE = `
.higgs-trim { display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%; box-sizing: border-box;
  min-height: 152px; font: 12px sans-serif; color: var(--input-text, #ddd); }
.higgs-trim-wave { position: relative; flex: 1 1 56px; min-height: 56px; background: var(--comfy-input-bg, #222);
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px; touch-action: none; overflow: hidden; }
.higgs-trim-wave canvas { position: absolute; inset: 0; width: 100%; height: 100%; cursor: grab; }
.higgs-trim-handle { position: absolute; top: 0; bottom: 0; width: 12px; margin-left: -6px; padding: 0; border: 0;
  background: none; cursor: ew-resize; touch-action: none; }
.higgs-trim-handle::before { content: ""; position: absolute; left: 5px; top: 0; bottom: 0; width: 2px;
  background: var(--p-primary-color, #3b82f6); }
.higgs-trim-handle::after { content: ""; position: absolute; left: 1px; top: calc(50% - 9px); width: 10px; height: 18px;
  border-radius: 3px; background: var(--p-primary-color, #3b82f6); }
.higgs-trim-handle:focus-visible { outline: 2px solid var(--input-text, #fff); outline-offset: -2px; }
.higgs-trim-bar { display: flex; gap: 6px; align-items: center; flex-wrap: wrap; }
.higgs-trim-bar button { font: inherit; color: var(--input-text, #ddd); background: var(--comfy-input-bg, #222);
  border: 1px solid var(--border-color, #4e4e4e); border-radius: 4px; padding: 2px 8px; cursor: pointer; }
.higgs-trim-bar button:focus-visible { outline: 2px solid var(--p-primary-color, #3b82f6); }
.higgs-trim-bar button[aria-pressed="true"] { border-color: var(--error-text, #f44); color: var(--error-text, #f44); }
.higgs-trim-times { margin-left: auto; font-variant-numeric: tabular-nums; }
.higgs-trim-said { margin: 0; min-height: 1.2em; max-height: 4.8em; overflow-y: auto;
  color: color-mix(in srgb, var(--descrip-text, #999) 65%, var(--input-text, #ddd)); }
.higgs-trim-said[data-kind="error"] { color: var(--error-text, #f44); }`;

/**
 * @param {{onChoose: (startS: number, endS: number, done: boolean) => void}} events onChoose: the person moves a handle;
 *   `done` once they let go
 */
export class Trimmer {
  constructor(events) {
    addStyle("higgs-trim-style", STYLE);
    this.events = events;
    this.peaks = { low: [], high: [] };
    this.seconds = this.startS = this.endS = 0;
    this.positionS = -1;
    this.canvas = make("canvas", { role: "img", "aria-label": "Waveform of the clip" });
    this.wave = make("div", { className: "higgs-trim-wave" }, this.canvas);
    this.handles = ["start", "end"].map((edge) => this.makeHandle(edge));
    this.times = make("span", { className: "higgs-trim-times" });
    this.bar = make("div", { className: "higgs-trim-bar" }, this.times);
    this.said = make("p", { className: "higgs-trim-said", role: "status" }); // read out when it changes
    this.element = make("div", { className: "higgs-trim" }, this.wave, this.bar, this.said);
    this.onDrag(this.canvas, "both");
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.wave);
    this.themed = new MutationObserver(() => this.draw()); // another palette: other colours
    for (const root of [document.documentElement, document.body]) {
      this.themed.observe(root, { attributes: true, attributeFilter: ["class", "style"] });
    }
    this.choose(0, 0);
  }

  remove() {
    this.resized.disconnect();
    this.themed.disconnect();
  }

  /** A button in the bar, before the times. */
  addButton(label, title, onClick) {
    const button = make("button", { type: "button", textContent: label, title });
    button.addEventListener("click", onClick);
    this.bar.insertBefore(button, this.times);
    return button;
  }

  say(text, kind = "") {
    this.said.dataset.kind = kind;
    this.said.textContent = text;
  }

  /** Another sound; null: none. */
  show(peaks) {
    this.peaks = peaks ?? { low: [], high: [] };
    this.seconds = peaks?.seconds ?? 0;
    this.positionS = -1;
    this.choose(this.startS, this.endS);
  }

  /** Moves the handles; tells nobody. */
  choose(startS, endS) {
    this.startS = startS;
    this.endS = endS;
    const [from, to] = [this.share(startS), this.share(endS)];
    this.handles.forEach((handle, n) => {
      handle.style.left = `${100 * (n ? to : from)}%`;
      handle.disabled = !this.seconds;
      const value = n ? endS : startS;
      handle.setAttribute("aria-valuemin", "0");
      handle.setAttribute("aria-valuemax", this.seconds.toFixed(2));
      handle.setAttribute("aria-valuenow", value.toFixed(2));
      handle.setAttribute("aria-valuetext", `${value.toFixed(2)} seconds`);
    });
    this.times.textContent = this.seconds
      ? `${startS.toFixed(2)}–${endS.toFixed(2)} s · ${Math.max(0, endS - startS).toFixed(2)} of ${this.seconds.toFixed(2)} s`
      : "";
    this.draw();
  }

  /** Where it plays, in seconds; -1: nowhere. */
  at(positionS) {
    this.positionS = positionS;
    this.draw();
  }

  draw() {
    const colours = getComputedStyle(this.element);
    drawWaveform(this.canvas, this.peaks, {
      from: this.share(this.startS), to: this.share(this.endS),
      position: this.positionS < 0 ? -1 : this.share(this.positionS),
      chosen: colours.getPropertyValue("--p-primary-color") || "#3b82f6",
      rest: colours.getPropertyValue("--border-color") || "#4e4e4e",
      mark: colours.getPropertyValue("--input-text") || "#ddd",
    });
  }

  share(second) {
    return this.seconds ? Math.max(0, Math.min(1, second / this.seconds)) : 0;
  }

  makeHandle(edge) {
    const handle = make("button", { type: "button", className: "higgs-trim-handle", role: "slider",
      "aria-label": edge === "start" ? "Start of the part to use" : "End of the part to use" });
    this.wave.append(handle);
    handle.addEventListener("keydown", (event) => this.onKey(event, edge));
    this.onDrag(handle, edge);
    return handle;
  }

  onKey(event, edge) {
    const value = edge === "start" ? this.startS : this.endS;
    const step = event.shiftKey ? LEAP_S : STEP_S;
    const moves = { ArrowLeft: value - step, ArrowDown: value - step, ArrowRight: value + step, ArrowUp: value + step,
      PageDown: value - LEAP_S, PageUp: value + LEAP_S, Home: 0, End: this.seconds };
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // the canvas has these keys too
    this.move(edge, moves[event.key], true);
  }

  onDrag(element, edge) {
    element.addEventListener("pointerdown", (down) => {
      if (down.button !== 0 || !this.seconds) return;
      down.stopPropagation();
      element.setPointerCapture(down.pointerId);
      const width = this.wave.getBoundingClientRect().width || 1;
      const [startS, endS] = [this.startS, this.endS];
      const follow = (event, done) => {
        const movedS = ((event.clientX - down.clientX) / width) * this.seconds;
        if (edge === "both") this.slide(startS, endS, movedS, done);
        else this.move(edge, (edge === "start" ? startS : endS) + movedS, done);
      };
      const moving = (event) => follow(event, false);
      element.addEventListener("pointermove", moving);
      const end = (event) => {
        element.removeEventListener("pointermove", moving);
        element.removeEventListener("pointerup", end);
        element.removeEventListener("pointercancel", end);
        if (event.clientX !== down.clientX) follow(event, true);
      };
      element.addEventListener("pointerup", end);
      element.addEventListener("pointercancel", end);
    });
  }

  move(edge, second, done) {
    const grid = Math.round(second * GRID) / GRID;
    const startS = edge === "start" ? Math.max(0, Math.min(grid, this.endS - SHORTEST_S)) : this.startS;
    const endS = edge === "end" ? Math.min(this.seconds, Math.max(grid, this.startS + SHORTEST_S)) : this.endS;
    this.choose(startS, endS);
    this.events.onChoose(startS, endS, done);
  }

  slide(startS, endS, movedS, done) {
    const shift = Math.round(Math.max(-startS, Math.min(this.seconds - endS, movedS)) * GRID) / GRID;
    this.choose(startS + shift, Math.min(this.seconds, endS + shift));
    this.events.onChoose(this.startS, this.endS, done);
  }
}

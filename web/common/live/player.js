// The live player: waveform, position, play, volume, cancel and figures of a sound that may still be growing. A node that
// runs for each item of a list has a sound for each: they play one after another.
import { addStyle, make } from "../dom.js";
import { LiveSound } from "./sound.js";
import { Playback } from "./playback.js";

const REMEMBERED = "Higgs.live"; // {volume, muted} in the browser's storage
const STEP_S = 1; // of the arrow keys
const PAGE_S = 10;
const MOST_ITEMS = 64; // as many as the server keeps (KEPT_SOUNDS in nodes/shared/live.py)
const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 2.5h3v11H4zM9 2.5h3v11H9z",
  loud: "M2 6h2.5L8 3v10L4.5 10H2zM10 5.5q1.6 2.5 0 5M12 3.5q3 4.5 0 9",
  mute: "M2 6h2.5L8 3v10L4.5 10H2zM10.5 6l4 4M14.5 6l-4 4",
  cancel: "M4 4l8 8M12 4l-8 8",
  back: "M10 3l-5 5 5 5",
  on: "M6 3l5 5-5 5",
};
const LINES = ["loud", "mute", "cancel", "back", "on"]; // icons that are drawn, not filled
const STYLE = `
.higgs-live { box-sizing: border-box; display: flex; flex-direction: column; gap: 4px; width: 100%; height: 100%;
  min-height: 112px; padding: 6px; border: 1px solid var(--border-color); border-radius: 8px; overflow: hidden;
  background: var(--comfy-input-bg); color: var(--input-text); font: 12px/1.3 Inter, system-ui, sans-serif; }
.higgs-live canvas { flex: 1 1 0; min-height: 0; width: 100%; border-radius: 4px; cursor: pointer; touch-action: none; }
.higgs-live-row { display: flex; align-items: center; gap: 6px; }
.higgs-live button { flex: none; display: grid; place-items: center; width: 26px; height: 24px; padding: 0;
  border: 1px solid var(--border-color); border-radius: 6px; background: transparent; color: inherit; cursor: pointer; }
.higgs-live button:hover:enabled { border-color: currentColor; }
.higgs-live button:disabled { opacity: 0.4; cursor: default; }
.higgs-live button[hidden] { display: none; }
.higgs-live :focus-visible { outline: 2px solid var(--p-primary-color, #0b8ce9); outline-offset: 1px; }
.higgs-live svg { width: 14px; height: 14px; fill: currentColor; }
.higgs-live svg.line { fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linecap: round; }
.higgs-live input { flex: 0 1 64px; min-width: 24px; height: 14px; margin: 0; accent-color: var(--p-primary-color, #0b8ce9); }
.higgs-live-time { flex: 1 1 auto; white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  font-variant-numeric: tabular-nums; }
.higgs-live-items { display: flex; align-items: center; gap: 4px; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.higgs-live-items[hidden] { display: none; }
.higgs-live-items button { width: 18px; }
.higgs-live-figures { color: var(--descrip-text); font-size: 11px; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; font-variant-numeric: tabular-nums; }
.higgs-live-figures.bad { color: var(--error-text); white-space: normal; max-height: 2.6em; }
`;

export class LivePlayer {
  /** @param {{get: (path: string) => Promise<Response>, cancel: (promptId: string) => void}} server */
  constructor(server) {
    this.server = server;
    this.items = []; // of the run that is shown: {sound, playback}; one of them is `sound` and `playback`
    this.sound = this.playback = null;
    this.hint = "";
    this.element = this.#build();
    Object.assign(this, { volume: 1, muted: false, ...JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}") });
    this.#showVolume();
    new ResizeObserver(() => this.#later()).observe(this.canvas);
    this.#draw();
  }

  /**
   * The server has a sound for this player, or news of the one that is here.
   * @param {object} about `Sound.about` in nodes/shared/live.py
   * @param {boolean} aloud play it while it is rendered
   */
  show(about, aloud) {
    const known = this.items.find(({ sound }) => sound.about.number === about.number);
    if (known) {
      known.sound.settle(this.server.get, about);
      return;
    }
    if (this.items.some(({ sound }) => sound.about.number > about.number)) return; // old news, late
    if (this.sound?.about.prompt_id !== about.prompt_id) this.clear();
    const sound = new LiveSound(about);
    const playback = new Playback(sound, () => this.#heard(item));
    const item = { sound, playback };
    playback.follower = () => this.items[this.items.indexOf(item) + 1]?.playback;
    this.items.push(item);
    const idle = this.playback?.state === "paused" && !this.stopped && (aloud || about.state === "rendering");
    if (idle || !this.playback) this.#select(item);
    if (this.items.length > MOST_ITEMS) this.items.splice(this.items[0].sound === this.sound ? 1 : 0, 1).forEach(forget);
    sound.follow(this.server.get, () => {
      if (!sound.closed) playback.fed();
      this.#later();
    });
    if (aloud && !this.stopped) playback.playInTurn();
    this.#later();
  }

  /** What it says while it has no sound. */
  setHint(hint) {
    this.hint = hint;
    this.#later();
  }

  clear() {
    this.items.splice(0).forEach(forget);
    this.sound = this.playback = null;
    this.stopped = false; // by the person: then what comes later in this run is not played by itself
    this.#later();
  }

  toggle() {
    this.stopped = this.playback !== null && this.playback.state !== "paused";
    if (this.stopped) this.playback.pause();
    else this.playback?.play();
  }

  /** Shows the sound so many items on, and plays it in place of the one before if that was playing. */
  step(by) {
    const item = this.items[this.#index() + by];
    if (!item) return;
    const goesOn = this.playback.state !== "paused";
    this.#select(item);
    if (goesOn) this.playback.play();
  }

  seek(seconds) {
    this.playback?.seek(seconds * this.sound.rate);
  }

  #index() {
    return this.items.findIndex(({ sound }) => sound === this.sound);
  }

  #select(item) {
    Object.assign(this, item);
    this.#showVolume();
    this.#later();
  }

  /** What is heard is shown. */
  #heard(item) {
    if (item.playback !== this.playback && item.playback.state !== "paused") this.#select(item);
    this.#later();
  }

  #build() {
    addStyle("higgs-live-style", STYLE);
    const root = make("div", { className: "higgs-live", role: "group", "aria-label": "Live player" });
    this.canvas = make("canvas", { tabIndex: 0, role: "slider", "aria-label": "Position", "aria-valuemin": "0" });
    this.playButton = iconButton("play", "Play", () => this.toggle());
    this.time = make("span", { className: "higgs-live-time" });
    this.muteButton = iconButton("loud", "Mute", () => this.#setVolume(this.volume, !this.muted));
    this.slider = make("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "Volume" });
    this.slider.addEventListener("input", () => this.#setVolume(Number(this.slider.value), false));
    this.cancelButton = iconButton("cancel", "Cancel the render", () => this.server.cancel(this.sound.about.prompt_id));
    this.figures = make("div", { className: "higgs-live-figures" });
    this.which = make("span", {});
    this.backButton = iconButton("back", "The one before", () => this.step(-1));
    this.onButton = iconButton("on", "The next one", () => this.step(1));
    this.chooser = make("div", { className: "higgs-live-items", role: "group", "aria-label": "Sounds of the list" });
    this.chooser.append(this.backButton, this.which, this.onButton);
    const row = make("div", { className: "higgs-live-row" });
    row.append(this.playButton, this.time, this.chooser, this.muteButton, this.slider, this.cancelButton);
    root.append(this.canvas, row, this.figures);
    root.addEventListener("keydown", (event) => this.#key(event));
    for (const type of ["pointerdown", "mousedown", "dblclick"]) {
      root.addEventListener(type, (event) => event.stopPropagation()); // the canvas below would drag the node
    }
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.#seekTo(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.canvas.hasPointerCapture(event.pointerId)) this.#seekTo(event);
    });
    return root;
  }

  #key(event) {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation(); // no shortcuts of the editor
    if (event.target !== this.canvas || !this.sound) return;
    const at = this.playback.position / this.sound.rate;
    const to = {
      ArrowLeft: at - STEP_S, ArrowDown: at - STEP_S, ArrowRight: at + STEP_S, ArrowUp: at + STEP_S,
      PageDown: at - PAGE_S, PageUp: at + PAGE_S, Home: 0, End: this.sound.length / this.sound.rate,
    }[event.key];
    if (to !== undefined) this.seek(to);
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else return;
    event.preventDefault();
  }

  #seekTo(event) {
    const box = this.canvas.getBoundingClientRect(); // as zoomed
    if (this.sound) this.seek(((event.clientX - box.left) / box.width) * this.#span());
  }

  #setVolume(volume, muted) {
    Object.assign(this, { volume, muted });
    localStorage.setItem(REMEMBERED, JSON.stringify({ volume, muted }));
    this.#showVolume();
  }

  #showVolume() {
    this.slider.value = this.muted ? 0 : this.volume;
    icon(this.muteButton, this.muted ? "mute" : "loud", this.muted ? "Unmute" : "Mute");
    this.playback?.setVolume(this.muted ? 0 : this.volume);
  }

  /** Seconds that the waveform is wide: all of it, and some to grow into while it is rendered. */
  #span() {
    const { length, rate, about } = this.sound;
    const seconds = length / rate;
    if (about.state !== "rendering") return Math.max(seconds, 0.01);
    let span = 5;
    while (span < seconds) span *= 2;
    return Math.max(seconds, Math.min(span, about.most_s ?? span));
  }

  #later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.#draw();
    });
  }

  #draw() {
    const { sound, playback } = this;
    const state = playback?.state ?? "paused";
    const length = sound ? sound.length / sound.rate : 0;
    const at = sound ? playback.position / sound.rate : 0;
    this.element.dataset.state = sound?.about.state ?? "empty";
    icon(this.playButton, state === "paused" ? "play" : "pause", state === "paused" ? "Play" : "Pause");
    this.playButton.disabled = !sound;
    this.cancelButton.hidden = !this.items.some((one) => one.sound.about.state === "rendering");
    this.#drawChooser();
    this.time.textContent = sound ? `${clock(at)} / ${clock(length)}${state === "dry" ? " …" : ""}` : "";
    const said = sound ? figures(sound) : { short: this.hint };
    this.figures.textContent = said.short;
    this.figures.title = said.long ?? said.short;
    this.figures.classList.toggle("bad", said.bad === true);
    const [now, max] = [at.toFixed(1), length.toFixed(1)];
    Object.assign(this.canvas, { ariaValueMax: max, ariaValueNow: now, ariaValueText: `${now} of ${max} seconds` });
    this.#drawWave(at);
  }

  #drawChooser() {
    const [at, count] = [this.#index(), this.items.length];
    this.chooser.hidden = count < 2;
    this.which.textContent = `${at + 1}/${count}`;
    this.backButton.disabled = at <= 0;
    this.onButton.disabled = at >= count - 1;
  }

  #drawWave(at) {
    const { canvas, sound } = this;
    const width = (canvas.width = canvas.clientWidth * devicePixelRatio);
    const height = (canvas.height = canvas.clientHeight * devicePixelRatio);
    if (!width || !height) return;
    const pen = canvas.getContext("2d");
    const colors = getComputedStyle(this.element);
    const primary = colors.getPropertyValue("--p-primary-color") || "#0b8ce9";
    pen.fillStyle = colors.getPropertyValue("--border-color");
    pen.fillRect(0, height / 2 - 0.5, width, 1);
    if (!sound) return;
    const bar = 3 * devicePixelRatio; // two thirds of it are painted
    const perBar = (this.#span() * sound.rate * bar) / width;
    const head = (at / this.#span()) * width;
    for (let x = 0; x < width && (x / bar) * perBar < sound.length; x += bar) {
      const [low, high] = sound.range((x / bar) * perBar, Math.min(sound.length, (x / bar + 1) * perBar));
      const [top, bottom] = [Math.min(1, high), Math.max(-1, low)].map((one) => (1 - one) * (height / 2));
      pen.fillStyle = x < head ? primary : colors.color;
      pen.globalAlpha = x < head ? 1 : 0.55;
      pen.fillRect(x, Math.min(top, height / 2 - 1), (bar * 2) / 3, Math.max(2, bottom - top));
    }
    pen.globalAlpha = 1;
    pen.fillStyle = primary;
    pen.fillRect(Math.min(head, width - 2), 0, 2, height);
  }
}

function forget({ sound, playback }) {
  sound.closed = true;
  playback.close();
}

function figures(sound) {
  const { state, why, rendered_s, elapsed_s, frame_rate, most_s } = sound.about;
  if (state === "failed" || sound.trouble) return { short: why || sound.trouble, bad: true };
  const [short, long] = [[], []];
  const say = (one, other = one) => [short.push(one), long.push(other)];
  if (state === "cancelled") say("cancelled");
  if (state === "rendering") say(`${rendered_s.toFixed(1)} s`, `${rendered_s.toFixed(1)} s rendered`);
  else say(`${rendered_s.toFixed(1)} s in ${elapsed_s.toFixed(1)} s`);
  if (rendered_s > 0 && elapsed_s > 0) {
    const [speed, factor] = [(rendered_s * frame_rate) / elapsed_s, (elapsed_s / rendered_s).toFixed(2)];
    say(`${speed.toFixed(0)} frames/s`);
    say(`RTF ${factor}`, `real-time factor ${factor} (below 1 is faster than real time)`);
    const left = most_s ? Math.ceil(((most_s - rendered_s) * elapsed_s) / rendered_s) : 0;
    if (state === "rendering" && most_s) say(`max ${left} s to go`, `at most ${left} s to go`);
  }
  return { short: short.join(" · "), long: long.join(" · ") };
}

/** Seconds as m:ss.s */
function clock(seconds) {
  const tenths = Math.round(Math.max(0, seconds) * 10);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

function iconButton(name, label, press) {
  const made = make("button", { type: "button" });
  icon(made, name, label);
  made.addEventListener("click", press);
  return made;
}

function icon(owner, name, label) {
  if (owner.dataset.icon === name) return;
  owner.dataset.icon = name;
  owner.title = owner.ariaLabel = label;
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS(SVG, tag));
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.toggle("line", LINES.includes(name));
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  owner.replaceChildren(svg);
}

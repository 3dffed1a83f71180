// The takes of a line beside each other: to hear one in place of another in mid-word, and to lock the better one.

import { button, make } from "../dom.js";
import { addSceneStyle } from "../scene/style.js";
import { levelGains, TakePlayer } from "./player.js";

/**
 * Opens the panel.
 * @param {object[]} lines of the event higgs.lines, with a take each
 * @param {object} api ComfyUI's
 */
export function compareTakes(lines, api) {
  addSceneStyle();
  const keys = [...new Set(lines.filter((line) => line.take).map((line) => line.take.split("-")[0]))];
  const panel = new Panel(api);
  document.body.append(panel.root);
  panel.root.showModal();
  panel.open(keys, 0);
}

class Panel {
  constructor(api) {
    this.api = api;
    this.player = new TakePlayer(() => this.draw());
    this.title = make("div", { className: "title", dir: "auto" });
    this.said = make("div", { className: "said", role: "status" });
    this.list = make("div", { className: "takes-list", role: "radiogroup", "aria-label": "Takes: which is heard" });
    this.start = button("▶", "Play or stop (Space)", () => this.toggle());
    this.place = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "Second",
      oninput: () => this.seek(Number(this.place.value)) });
    this.level = make("input", { type: "checkbox", checked: true, onchange: () => this.setLevels() });
    this.lineOf = make("span");
    this.steps = [button("‹", "Line before", () => this.step(-1)), this.lineOf,
      button("›", "Next line", () => this.step(1))];
    this.root = make("dialog", { className: "higgs-scene higgs-takes", "aria-label": "Takes of a line" },
      make("div", { className: "bar" }, ...this.steps, make("span", { className: "gap" }),
        button("Close", "Close (Escape)", () => this.root.close())),
      this.title, this.list,
      make("div", { className: "bar" }, this.start, this.place,
        make("label", { title: "Louder ones are turned down to the loudness (LUFS) of the quietest" }, this.level,
          "same loudness")),
      this.said);
    const keys = (event) => this.key(event); // wherever the focus is: the page behind is still
    window.addEventListener("keydown", keys, true);
    this.root.addEventListener("close", () => {
      window.removeEventListener("keydown", keys, true);
      cancelAnimationFrame(this.frame);
      this.player.close();
      this.root.remove();
    });
  }

  open(keys, at) {
    this.show(keys, at).catch((error) => this.say(`The takes cannot be had: ${error.message}`));
  }

  /** @param {string[]} keys of lines @param {number} at which of them */
  async show(keys, at) {
    this.keys = keys;
    this.at = at;
    this.player.close();
    this.player = new TakePlayer(() => this.draw());
    this.takes = [];
    this.lufs = new Map();
    this.lineOf.textContent = `line ${at + 1} of ${keys.length}`;
    this.steps.forEach((one) => { one.hidden = keys.length < 2; });
    const asked = this.player;
    const takes = await this.ask(`/higgs/takes?line=${encodeURIComponent(keys[at] ?? "")}`);
    if (!takes || asked !== this.player) return;
    this.takes = takes;
    this.title.textContent = takes[0]?.text ? `${takes[0].speaker ?? ""}: ${takes[0].text}` : "";
    const few = takes.length ? "This line has one take: let Render Script speak more, with `takes`."
      : "This line has no stored take.";
    this.say(takes.length > 1 ? "" : few);
    this.player.heard = (takes.find((take) => take.locked) ?? takes[0])?.key ?? "";
    this.drawList();
    for (const take of takes) await this.load(take, asked);
    if (asked === this.player) this.setLevels();
  }

  async load(take, player) {
    const answer = await this.api.fetchApi(`/higgs/takes/${encodeURIComponent(take.key)}`);
    if (player !== this.player) return;
    if (!answer.ok) {
      this.say((await answer.json()).error);
      return;
    }
    const lufs = answer.headers.get("X-Loudness-LUFS");
    this.lufs.set(take.key, lufs === null ? null : Number(lufs));
    await player.add(take.key, await answer.arrayBuffer());
    this.drawList();
  }

  async ask(path, options) {
    const answer = await this.api.fetchApi(path, options), found = await answer.json();
    if (answer.ok) return found;
    this.say(found.error);
    return null;
  }

  async lock(take) {
    const done = await this.ask(`/higgs/takes/${encodeURIComponent(take.key)}/${take.locked ? "unlock" : "lock"}`,
      { method: "POST" });
    if (!done) return;
    if (done.locked) { // the better one is one
      for (const other of this.takes.filter((one) => one.locked)) {
        await this.ask(`/higgs/takes/${encodeURIComponent(other.key)}/unlock`, { method: "POST" });
        other.locked = false;
      }
    }
    take.locked = done.locked;
    this.say(done.locked ? "Locked: it is kept, and the next run uses it." : "");
    this.drawList();
  }

  step(by) {
    const next = this.at + by;
    if (this.keys[next]) this.open(this.keys, next);
  }

  setLevels() {
    this.gains = this.level.checked ? levelGains(this.lufs) : new Map();
    this.player.setGains(this.gains);
    this.drawList();
  }

  toggle() {
    if (this.player.playing) this.player.stop();
    else if (this.player.sounds.size) this.player.play();
  }

  seek(at) {
    const plays = this.player.playing;
    this.player.stop(at);
    if (plays) this.player.play();
  }

  key(event) {
    event.stopPropagation(); // the editor behind has keys of its own
    const digit = Number(/^Digit([1-9])$/.exec(event.code)?.[1]), take = this.takes[digit - 1];
    if (take) this.player.hear(take.key);
    else if (event.key === " " && event.target.type !== "checkbox" && event.target.type !== "button") this.toggle();
    else if (event.key.toLowerCase() === "x" && this.takes.length > 1) { // the next one
      const heard = this.takes.findIndex((one) => one.key === this.player.heard);
      this.player.hear(this.takes[(heard + 1) % this.takes.length].key);
    } else return;
    event.preventDefault();
  }

  drawList() {
    this.list.replaceChildren(...this.takes.map((take, number) => {
      const lufs = this.lufs.get(take.key), gain = this.gains?.get(take.key) ?? 1;
      const about = [`seed ${take.seed}`, `${take.seconds.toFixed(2)} s`,
        typeof take.wer === "number" && `WER ${Math.round(take.wer * 100)} %`,
        typeof take.similarity === "number" && `voice ${take.similarity.toFixed(2)}`,
        typeof lufs === "number" && `${lufs.toFixed(1)} LUFS`,
        gain < 0.999 && `${(20 * Math.log10(gain)).toFixed(1)} dB`];
      const radio = make("input", { type: "radio", name: "higgs-take", value: take.key,
        onchange: () => this.player.hear(take.key) });
      const name = make("b", { textContent: number < 26 ? String.fromCharCode(65 + number) : String(number + 1) });
      const title = take.locked ? "Let the next run choose again" : "Keep this take: the next run uses it";
      return make("div", { className: "take" },
        make("label", {}, radio, name, make("span", { textContent: about.filter(Boolean).join(" · ") })),
        button(take.locked ? "🔒 locked" : "lock", title, () => this.lock(take),
          { "aria-pressed": String(take.locked) }));
    }));
    this.draw();
  }

  draw() {
    const { player } = this;
    for (const radio of this.list.querySelectorAll("input[type=radio]")) radio.checked = radio.value === player.heard;
    this.start.value = player.playing ? "■" : "▶";
    this.start.disabled = !player.sounds.size;
    this.place.max = player.seconds || 1;
    this.place.value = player.position;
    cancelAnimationFrame(this.frame);
    if (player.playing) {
      this.frame = requestAnimationFrame(() => {
        this.place.value = player.position;
        this.draw();
      });
    }
  }

  say(text) {
    this.said.textContent = text;
  }
}

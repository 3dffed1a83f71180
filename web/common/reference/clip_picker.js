// The part of a clip to use as a reference: chosen on its waveform, heard, judged; or recorded from the microphone.
// All that is chosen lives in the node's own widgets.
import { addElement } from "../element.js";
import { Recorder } from "./recorder.js";
import { Trimmer } from "./trimmer.js";

export const FROM_PACK = " (from the pack)"; // as nodes/host/files.py ends their names
const KINDS = /^(.*) \[(input|output|temp)\]$/; // ComfyUI's annotated names
const POINTS = 1024, HEIGHT = 172, REST_MS = 400; // before the quality of a new choice is asked for

/**
 * @param {object} node with the widgets audio, start, duration and audioUI
 * @param {{fetchApi: Function, apiURL: Function}} api of the editor
 * @param {(widget: object, value: any, done: boolean) => void} setWidget writes a value as if the person had typed it
 */
export class ClipPicker {
  constructor(node, api, setWidget) {
    Object.assign(this, { node, api, setWidget });
    const named = (name) => node.widgets.find((widget) => widget.name === name);
    [this.audio, this.start, this.duration] = ["audio", "start", "duration"].map(named);
    this.player = named("audioUI").element;
    this.trimmer = new Trimmer({ onChoose: (startS, endS, done) => this.onChoose(startS, endS, done) });
    this.playButton = this.trimmer.addButton("▶ Play part", "Play the chosen part", () => this.playOrStop());
    this.recordButton = this.trimmer.addButton("● Record", "Record from the microphone, up to a minute",
      () => this.recordOrStop());
    this.recorder = new Recorder((seconds) => this.trimmer.say(`Recording: ${seconds.toFixed(1)} s`));
    this.widget = addElement(node, "trim", "higgs_trim", this.trimmer.element, {
      getMinHeight: () => HEIGHT, getMaxHeight: () => HEIGHT,
    });
    this.asked = 0; // requests are numbered: only the answer to the last one counts
    this.player.addEventListener("pause", () => this.stopped());
  }

  remove() {
    this.recorder.stop();
    this.player.pause();
    clearTimeout(this.waiting);
    this.asked++;
    this.trimmer.remove();
  }

  /** The widgets changed: another clip, or other times. */
  async refresh() {
    if (this.setting) return;
    const choice = this.audio.value;
    if (choice !== this.shown) {
      this.shown = choice;
      this.trimmer.show(null);
      this.trimmer.say("");
      await this.load(choice);
    }
    this.follow();
  }

  async load(choice) {
    const asked = ++this.asked;
    if (!choice) return;
    const answer = await this.ask("peaks", { points: POINTS });
    if (asked !== this.asked) return;
    if (answer.error) this.trimmer.say(answer.error, "error");
    else this.trimmer.show(answer);
  }

  /** Puts the handles where the widgets say. */
  follow() {
    const whole = this.trimmer.seconds;
    const startS = Math.min(Number(this.start.value) || 0, whole);
    const lasts = Number(this.duration.value) || 0;
    this.trimmer.choose(startS, lasts ? Math.min(whole, startS + lasts) : whole);
    clearTimeout(this.waiting);
    if (whole) this.waiting = setTimeout(() => this.judge(), REST_MS);
  }

  onChoose(startS, endS, done) {
    const toTheEnd = endS >= this.trimmer.seconds - 0.005;
    this.setting = true;
    this.setWidget(this.start, startS, false);
    this.setWidget(this.duration, toTheEnd ? 0 : Math.round((endS - startS) * 100) / 100, done);
    this.setting = false;
    if (!done) return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.judge(), REST_MS);
  }

  async judge() {
    const asked = ++this.asked;
    const { startS, endS } = this.trimmer;
    const lasts = Math.max(0.01, endS - startS);
    const found = await this.ask("quality", { start: startS.toFixed(3), duration: lasts.toFixed(3) });
    if (asked !== this.asked || this.recorder.recording) return;
    if (found.error) return this.trimmer.say(found.error, "error");
    const levels = `Speech ${found.speech_dbfs.toFixed(0)} dBFS, noise ${found.noise_dbfs.toFixed(0)} dBFS, `
      + `${found.snr_db.toFixed(0)} dB apart.`;
    this.trimmer.say([levels, ...(found.warnings.length ? found.warnings : ["Good as a reference."])].join(" "));
  }

  async ask(route, values) {
    const [, file, kind] = KINDS.exec(this.audio.value) ?? [null, this.audio.value, "input"];
    const ours = this.audio.value.endsWith(FROM_PACK);
    const query = new URLSearchParams({ kind: ours ? "clip" : kind, name: ours ? this.audio.value : file, ...values });
    try {
      const answer = await this.api.fetchApi(`/higgs/${route}?${query}`);
      return await answer.json();
    } catch {
      return { error: "The server does not answer." };
    }
  }

  // --- playing ---

  playOrStop() {
    if (this.playing) return this.player.pause();
    if (this.player.readyState < HTMLMediaElement.HAVE_METADATA) return this.trimmer.say("The clip is not loaded yet.");
    const { startS, endS } = this.trimmer;
    this.player.currentTime = startS;
    this.player.play().catch((error) => this.trimmer.say(String(error.message ?? error), "error"));
    this.playing = true;
    this.playButton.textContent = "■ Stop";
    const watch = () => {
      if (!this.playing) return;
      this.trimmer.at(this.player.currentTime);
      if (this.player.currentTime >= endS) this.player.pause();
      else requestAnimationFrame(watch);
    };
    requestAnimationFrame(watch);
  }

  stopped() {
    this.playing = false;
    this.playButton.textContent = "▶ Play part";
    this.trimmer.at(-1);
  }

  // --- recording ---

  async recordOrStop() {
    if (this.recorder.recording) return this.recorder.stop();
    this.player.pause();
    this.recordButton.textContent = "■ Stop";
    this.recordButton.setAttribute("aria-pressed", "true");
    try {
      await this.upload(await this.recorder.record());
    } catch (error) {
      this.trimmer.say(`Nothing was recorded: ${error.message ?? error}`, "error");
    } finally {
      this.recordButton.textContent = "● Record";
      this.recordButton.setAttribute("aria-pressed", "false");
    }
  }

  /** Puts a recording into ComfyUI's input folder and chooses it, whole. */
  async upload(wav) {
    const stamp = new Date().toISOString().slice(0, 19).replace(/[T:]/g, "-");
    const body = new FormData();
    body.append("image", new File([wav], `recording-${stamp}.wav`, { type: "audio/wav" })); // its name for any file
    const answer = await this.api.fetchApi("/upload/image", { method: "POST", body });
    if (!answer.ok) throw new Error(`the server refused the upload (${answer.status})`);
    const { name } = await answer.json();
    if (!this.audio.options.values.includes(name)) this.audio.options.values.push(name);
    this.setWidget(this.start, 0, false);
    this.setWidget(this.duration, 0, false);
    this.setWidget(this.audio, name, true);
  }
}

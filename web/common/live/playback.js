// Plays a sound that is still growing through Web Audio, to the sample without gaps. One plays at a time.

const AHEAD_S = 4; // that much is handed to the audio device before it is heard: timers of a hidden page are slow
const PIECE_S = 2;
const SOON_S = 0.06; // from now to the first sample
const LATE_S = 0.01; // nearer than that is too late for a piece that follows
// It starts once so much is there, or what is played while RESERVE seconds are made (they come at once), if that is
// more; twice as much each time that it has run dry.
const RESERVE_S = 0.4;
const RESERVE = 2;
const MOST_RESERVE_S = 30;
const TICK_MS = 100;

const contexts = new Map(); // by sample rate; browsers allow few
let onStage = null;
const waiting = []; // those that play when the stage is free

function contextOf(rate) {
  if (!contexts.has(rate)) contexts.set(rate, new AudioContext({ sampleRate: rate }));
  return contexts.get(rate);
}

export class Playback {
  /**
   * @param {import("./sound.js").LiveSound} sound
   * @param {() => void} onChange state or position are others
   */
  constructor(sound, onChange) {
    this.sound = sound;
    this.state = "paused"; // or "playing", or "dry": it plays on once there is enough
    this.plan = []; // {from, count, at}: samples, and when they are heard in frames of the context
    this.onChange = onChange;
    this.dried = 0;
    this.volume = 1;
    this.next = 0; // the sample that is to be planned
    this.follower = () => undefined; // the playback that goes on at the end
  }

  get context() {
    return contextOf(this.sound.rate);
  }

  /** The sample that is heard now. */
  get position() {
    if (this.state !== "playing") return this.next;
    const now = this.#now();
    const piece = this.plan.findLast((one) => one.at <= now) ?? this.plan[0];
    return piece.from + Math.min(Math.max(0, now - piece.at), piece.count);
  }

  setVolume(volume) {
    this.volume = volume;
    if (this.gain) this.gain.gain.value = volume;
  }

  /** Plays, now or (if the browser waits for a gesture of the person) when it lets us. */
  play() {
    if (onStage !== this) onStage?.pause();
    onStage = this;
    remove(waiting, this);
    if (this.state !== "paused") return;
    if (this.sound.over && this.next >= this.sound.length) this.next = 0;
    if (!this.gain) {
      this.gain = new GainNode(this.context, { gain: this.volume });
      this.gain.connect(this.context.destination);
    }
    this.state = "dry";
    this.context.resume();
    this.timer ??= setInterval(() => this.fed(), TICK_MS);
    this.fed();
  }

  /** Plays once nobody else does; not at all while the page may not make a sound. */
  playInTurn() {
    if (!navigator.userActivation?.hasBeenActive) return;
    if (onStage === null) this.play();
    else if (onStage !== this && !waiting.includes(this)) waiting.push(this);
  }

  pause() {
    waiting.length = 0;
    this.#stop();
  }

  /** @param {number} sample where to go on */
  seek(sample) {
    const goesOn = this.state !== "paused";
    this.#silence();
    this.next = Math.round(Math.min(Math.max(0, sample), this.sound.length));
    if (goesOn) this.fed();
    else this.onChange();
  }

  close() {
    remove(waiting, this);
    this.#stop();
    this.gain?.disconnect();
  }

  /** Plans what has come; called when samples come, and now and then. */
  fed() {
    if (this.state === "paused") return;
    const rate = this.sound.rate;
    if (this.context.state === "running") {
      const now = this.#now();
      if (this.state === "playing" && this.free <= now + LATE_S * rate) this.#ranOut(now);
      if (this.state === "dry") this.#begin(now);
      if (this.state === "playing") this.#plan(now);
    }
    this.onChange();
  }

  /** All that was planned is heard: the end, or the sound comes too slowly. */
  #ranOut(now) {
    if (!this.sound.over || this.next < this.sound.length) {
      this.state = "dry";
      this.dried += 1;
    } else if (this.free <= now) {
      this.#finish();
    }
  }

  #begin(now) {
    const { length, rate, over, about } = this.sound;
    if (over && this.next >= length) return this.#finish();
    const workS = about.elapsed_s / Math.max(about.rendered_s, 0.01); // for a second of sound
    const reserveS = Math.min(Math.max(RESERVE_S, RESERVE * workS) * 2 ** this.dried, MOST_RESERVE_S);
    if (!over && length - this.next < reserveS * rate) return;
    this.free = now + Math.round(SOON_S * rate); // the context's first frame without a plan
    this.state = "playing";
  }

  #plan(now) {
    const { rate, length } = this.sound;
    while (this.next < length && this.free - now < AHEAD_S * rate) {
      const count = Math.min(length - this.next, PIECE_S * rate);
      const buffer = new AudioBuffer({ length: count, sampleRate: rate });
      buffer.copyToChannel(this.sound.copy(this.next, count), 0);
      const source = new AudioBufferSourceNode(this.context, { buffer });
      source.connect(this.gain);
      source.start(this.free / rate);
      this.plan.push({ from: this.next, count, at: this.free, source });
      this.next += count;
      this.free += count;
    }
    while (this.plan.length > 1 && this.plan[1].at <= now) this.plan.shift();
  }

  #silence() {
    if (this.state === "paused") return;
    this.next = this.position;
    for (const { source } of this.plan) source.stop();
    this.plan = [];
    this.state = "dry";
  }

  #finish() {
    this.#stop();
    (this.follower() ?? waiting.shift())?.play();
  }

  #stop() {
    if (onStage === this) onStage = null;
    clearInterval(this.timer);
    this.timer = undefined;
    this.#silence();
    this.next = Math.round(this.next);
    this.state = "paused";
    this.onChange();
  }

  #now() {
    return Math.round(this.context.currentTime * this.sound.rate);
  }
}

function remove(list, item) {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}

// Two or more takes that run together, of which one is heard: a change in the middle is no jump in time.

const FADE_S = 0.015;

export class TakePlayer {
  /** @param {() => void} changed called when it starts, ends or another one is heard */
  constructor(changed) {
    this.changed = changed;
    this.sounds = new Map(); // key -> {buffer, gain}
    this.playing = null; // {start, from, voices: Map of key -> {source, volume}}
    this.heard = "";
    this.at = 0; // seconds, where it starts
  }

  get seconds() {
    return Math.max(0, ...[...this.sounds.values()].map(({ buffer }) => buffer.duration));
  }

  get position() {
    return this.playing ? Math.min(this.seconds, this.playing.from + this.context.currentTime - this.playing.start)
      : this.at;
  }

  /** @param {ArrayBuffer} file a FLAC */
  async add(key, file) {
    this.context ??= new AudioContext();
    this.sounds.set(key, { buffer: await this.context.decodeAudioData(file), gain: 1 });
  }

  /** How loud each is played, as a factor. */
  setGains(gains) {
    for (const [key, sound] of this.sounds) {
      sound.gain = gains.get(key) ?? 1;
      this.turn(key);
    }
  }

  /** Lets one be heard in place of the others. */
  hear(key) {
    this.heard = key;
    for (const one of this.sounds.keys()) this.turn(one);
    this.changed();
  }

  turn(key) {
    const volume = this.playing?.voices.get(key)?.volume;
    if (!volume) return;
    const wanted = key === this.heard ? this.sounds.get(key).gain : 0;
    volume.gain.setTargetAtTime(wanted, this.context.currentTime, FADE_S / 3);
  }

  play() {
    this.stop();
    this.context.resume();
    if (this.at >= this.seconds) this.at = 0;
    const start = this.context.currentTime + 0.02, voices = new Map();
    this.playing = { start, from: this.at, voices };
    for (const [key, { buffer, gain }] of this.sounds) {
      const source = new AudioBufferSourceNode(this.context, { buffer });
      const volume = new GainNode(this.context, { gain: key === this.heard ? gain : 0 });
      source.connect(volume).connect(this.context.destination);
      if (this.at < buffer.duration) source.start(start, this.at);
      voices.set(key, { source, volume });
    }
    const longest = [...voices.entries()].sort(([one], [other]) => (
      this.sounds.get(other).buffer.duration - this.sounds.get(one).buffer.duration))[0];
    if (longest) longest[1].source.onended = () => this.playing?.voices === voices && this.stop(0);
    this.changed();
  }

  stop(at = this.position) {
    const voices = this.playing?.voices;
    this.at = at;
    this.playing = null;
    for (const { source } of voices?.values() ?? []) {
      source.onended = null;
      try {
        source.stop();
      } catch (error) {
        if (error.name !== "InvalidStateError") throw error; // it never started: the take is shorter
      }
    }
    this.changed();
  }

  close() {
    if (this.context) this.stop();
    this.context?.close();
    this.context = null;
  }
}

/**
 * How loud to play each so that all are as loud as the quietest: nothing is turned up, so nothing clips.
 * @param {Map<string, number|null>} lufs null: not known, left as it is
 */
export function levelGains(lufs) {
  const known = [...lufs.values()].filter((one) => typeof one === "number" && Number.isFinite(one));
  const quietest = Math.min(...known);
  return new Map([...lufs].map(([key, one]) => [key, typeof one === "number" ? 10 ** ((quietest - one) / 20) : 1]));
}

// A recording from the microphone as a WAV file, which every reader knows the length of.

export const LONGEST_S = 60;

export class Recorder {
  /** @param {(seconds: number) => void} onTime called while it records */
  constructor(onTime) {
    this.onTime = onTime;
    this.media = null;
  }

  get recording() {
    return this.media !== null;
  }

  /**
   * Records until `stop`, or a minute.
   * @returns {Promise<Blob>} audio/wav, mono
   */
  async record() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This page may not use a microphone: open ComfyUI by https, or on this computer.");
    }
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }; // the voice as it is
    const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    const parts = [];
    this.media = new MediaRecorder(stream);
    const begun = performance.now();
    const ticking = setInterval(() => {
      const seconds = (performance.now() - begun) / 1000;
      this.onTime(seconds);
      if (seconds >= LONGEST_S) this.stop();
    }, 200);
    try {
      await new Promise((done, failed) => {
        this.media.ondataavailable = (event) => parts.push(event.data);
        this.media.onstop = done;
        this.media.onerror = (event) => failed(event.error ?? new Error("The recording broke off."));
        this.media.start();
      });
    } finally {
      clearInterval(ticking);
      this.media = null;
      for (const track of stream.getTracks()) track.stop(); // the browser takes its red dot away
    }
    return toWav(new Blob(parts));
  }

  stop() {
    if (this.media?.state === "recording") this.media.stop();
  }
}

async function toWav(blob) {
  const context = new AudioContext();
  try {
    const sound = await context.decodeAudioData(await blob.arrayBuffer());
    return encodeWav(mono(sound), sound.sampleRate);
  } finally {
    await context.close();
  }
}

function mono(sound) {
  const mixed = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    const samples = sound.getChannelData(channel);
    for (let n = 0; n < mixed.length; n++) mixed[n] += samples[n] / sound.numberOfChannels;
  }
  return mixed;
}

/** RIFF WAVE, PCM of 16 bits. */
export function encodeWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((one, n) => view.setUint8(at + n, one.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, n) => view.setInt16(44 + 2 * n, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true));
  return new Blob([view], { type: "audio/wav" });
}

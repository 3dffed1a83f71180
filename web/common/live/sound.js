// A sound that grows: samples as the server has them, fetched from any sample on while they are rendered.

const BLOCK = 2 ** 18; // samples of one piece of memory
const BIN = 512; // samples of one bar of the waveform, at its finest
const RETRY_MS = [200, 1000, 2000, 5000]; // after an answer that did not come

export class LiveSound {
  /** @param {object} about what the server says of it (`Sound.about` in nodes/shared/live.py) */
  constructor(about) {
    this.about = about;
    this.closed = false;
    this.trouble = ""; // why nothing comes
    this.finished = null; // what the server says of the finished audio, once it has it
    this.clear();
  }

  clear() {
    this.length = 0; // samples that are here
    this.exact = true; // all of them came after Decode Codes had put its own in their place
    this.blocks = [];
    this.peaks = []; // lowest and highest sample of each bin, one after the other
  }

  get rate() {
    return this.about.sample_rate;
  }

  /** Whether all of it is here. */
  get whole() {
    return this.about.state !== "rendering" && this.length >= this.about.samples;
  }

  /** Whether no more is coming. */
  get over() {
    return this.whole || this.closed;
  }

  append(samples) {
    for (let done = 0; done < samples.length; ) {
      const inside = this.length % BLOCK;
      if (inside === 0) this.blocks.push(new Float32Array(BLOCK));
      const part = samples.subarray(done, done + BLOCK - inside);
      this.blocks[this.blocks.length - 1].set(part, inside);
      this.#measure(part);
      this.length += part.length;
      done += part.length;
    }
  }

  /** A copy of `count` samples from number `first` on; they have to be there. */
  copy(first, count) {
    const samples = new Float32Array(count);
    for (let done = 0; done < count; ) {
      const inside = (first + done) % BLOCK;
      const part = this.blocks[Math.floor((first + done) / BLOCK)].subarray(inside, inside + count - done);
      samples.set(part, done);
      done += part.length;
    }
    return samples;
  }

  /** The lowest and the highest sample of a stretch, to within a bin. */
  range(first, end) {
    let [low, high] = [0, 0];
    const last = Math.min(this.peaks.length, 2 * Math.ceil(end / BIN));
    for (let bin = 2 * Math.floor(first / BIN); bin < last; bin += 2) {
      low = Math.min(low, this.peaks[bin]);
      high = Math.max(high, this.peaks[bin + 1]);
    }
    return [low, high];
  }

  /**
   * Fetches what there is and what comes, until all is here or it is closed. A server that does not answer is asked
   * again from the same sample on.
   * @param {(path: string) => Promise<Response>} get
   * @param {() => void} onNews samples came, or the server said something else
   */
  async follow(get, onNews) {
    for (let failures = 0; !this.closed && !this.whole; ) {
      try {
        const answer = await this.#ask(get, this.length);
        if (answer === null) return;
        failures = 0;
        this.trouble = "";
        this.append(answer.samples);
        this.about = answer.about;
        this.exact &&= answer.about.exact;
      } catch (error) {
        this.trouble = "The server does not answer; asking again.";
        console.warn("Higgs live player:", error);
        await new Promise((done) => setTimeout(done, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]));
      }
      if (!this.closed) onNews();
    }
    await this.settle(get, this.about);
  }

  /** Takes the finished audio, once the server has it, in place of what was heard while it was made. */
  async settle(get, about) {
    if (about.exact) this.finished = about; // an answer that is still on its way may know less
    if (!this.finished || !this.whole || this.exact || this.closed) return;
    const finished = new LiveSound(this.finished);
    await finished.follow(get, () => (finished.closed ||= this.closed));
    if (finished.whole && finished.exact) {
      const { blocks, peaks, length, exact } = finished;
      Object.assign(this, { blocks, peaks, length, exact, about: finished.about });
    }
  }

  async #ask(get, after) {
    const { prompt_id, node, item, number } = this.about;
    const path = [prompt_id, node].map(encodeURIComponent).join("/");
    const answer = await get(`/higgs/live/${path}?after=${after}&item=${item ?? 0}`);
    const about = answer.ok ? JSON.parse(answer.headers.get("Higgs-Live")) : null;
    if (answer.status === 404 || (about && about.number !== number)) {
      this.closed = true; // the server has let go of it, or the node runs anew
      return null;
    }
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    const samples = new Float32Array(await answer.arrayBuffer()); // little-endian, as all that browsers run on
    return { about, samples };
  }

  #measure(part) {
    for (let index = 0; index < part.length; index++) {
      const bin = 2 * Math.floor((this.length + index) / BIN);
      const sample = part[index];
      if (bin >= this.peaks.length) this.peaks.push(sample, sample);
      else if (sample < this.peaks[bin]) this.peaks[bin] = sample;
      else if (sample > this.peaks[bin + 1]) this.peaks[bin + 1] = sample;
    }
  }
}

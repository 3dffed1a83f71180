// Where the tracks of a mix lie, as nodes/mix_audio.py and the mixer place them; and the shape of what is heard.

export const UNKNOWN_S = 4; // drawn for a clip of which nothing is known yet
const MOST_COLUMNS = 2000; // of all repetitions of a clip together

/**
 * @param {{number: number, seconds: number|null, start: number, after: number, trim_start: number, trim_end: number,
 *   loop: number}[]} tracks times in seconds; `after` is the number of another track, or -1
 * @returns {Map<number, {start: number, base: number, length: number, period: number}>} by number; `base` is what
 *   start counts from. What cannot be placed (a circle) begins at 0.
 */
export function placeTracks(tracks) {
  const byNumber = new Map(tracks.map((track) => [track.number, track]));
  const places = new Map();
  const periodOf = (track) => Math.max(0.01, (track.seconds ?? UNKNOWN_S) - track.trim_start - track.trim_end);
  const place = (track, waiting = []) => {
    if (places.has(track.number)) return places.get(track.number);
    const before = byNumber.get(track.after);
    const fits = before && before !== track && before.loop >= 0 && !waiting.includes(before.number);
    const base = fits ? endOf(place(before, [...waiting, track.number])) : 0;
    const period = periodOf(track);
    const start = Math.max(0, base + track.start), length = track.loop > 0 ? track.loop : period;
    const found = { start, base, period, length };
    places.set(track.number, found);
    return found;
  };
  for (const track of tracks) if (track.loop >= 0) place(track);
  const end = Math.max(0, ...[...places.values()].map(endOf));
  for (const track of tracks.filter((one) => one.loop < 0)) {
    const found = place(track);
    found.length = Math.max(0.01, end - found.start);
  }
  return places;
}

export function endOf(place) {
  return place.start + place.length;
}

const FADES = {
  linear: (x) => x,
  equal_power: (x) => Math.sin((x * Math.PI) / 2),
  s_curve: (x) => (1 - Math.cos(x * Math.PI)) / 2,
};

/** The gain of a track's fades at a second of it. */
export function fadeAt(second, track, length) {
  const curve = FADES[track.fade_shape] ?? FADES.linear;
  let gain = 1;
  if (track.fade_in > 0 && second < track.fade_in) gain *= curve(Math.max(0, second / track.fade_in));
  if (track.fade_out > 0 && second > length - track.fade_out) {
    gain *= curve(Math.max(0, (length - second) / track.fade_out));
  }
  return gain;
}

/**
 * How much taller than full scale the waves are drawn, so that the loudest track fills its lane; 1 to 8.
 * @param {{gain: number, wave: {low: number[], high: number[]}|undefined}[]} tracks
 */
export function waveScale(tracks) {
  const peaks = tracks.map(({ gain, wave }) => (wave ? Math.max(...wave.high, ...wave.low.map((low) => -low)) : 0)
    * 10 ** (gain / 20) / 127);
  return Math.max(1, Math.min(8, 0.95 / Math.max(0.01, ...peaks)));
}

/**
 * The outline of a track's wave with its gain and fades, as an SVG path: seconds to the right, 1 up is -1.
 * @param {{low: number[], high: number[]}|undefined} wave in 1/127 of full scale
 */
export function wavePath(track, place, wave, taller) {
  if (!wave?.low.length) return "";
  const gain = (taller * 10 ** (track.gain / 20)) / 127;
  const step = track.seconds / wave.low.length;
  const first = Math.floor(track.trim_start / step);
  const count = Math.max(1, Math.round(place.period / step));
  const total = Math.max(1, Math.round(place.length / step));
  const skip = Math.ceil(total / MOST_COLUMNS);
  const upper = [], lower = [];
  for (let column = 0; column < total; column += skip) {
    const from = first + (column % count);
    const at = (column + 0.5) * step;
    const scale = gain * fadeAt(at, track, place.length);
    const rim = (values, pick) => pick(...values.slice(from, from + skip), 0) * scale;
    upper.push(`${at.toFixed(3)} ${(-Math.min(1, rim(wave.high, Math.max)) - 0.01).toFixed(3)}`);
    lower.push(`${at.toFixed(3)} ${(-Math.max(-1, rim(wave.low, Math.min)) + 0.01).toFixed(3)}`);
  }
  return `M${upper.join("L")}L${lower.reverse().join("L")}Z`;
}

/** The lines of a track's fades, as an SVG path in the same coordinates. */
export function fadePath(track, length) {
  const points = (from, span) => Array.from({ length: 13 }, (_, n) => {
    const at = from + (span * n) / 12;
    return `${at.toFixed(3)} ${(1 - 2 * fadeAt(at, track, length)).toFixed(3)}`;
  });
  const lines = [];
  if (track.fade_in > 0) lines.push(`M${points(0, track.fade_in).join("L")}`);
  if (track.fade_out > 0) lines.push(`M${points(length - track.fade_out, track.fade_out).join("L")}`);
  return lines.join("");
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200];

/** The marks of a ruler over so many seconds: at most `most` of them. */
export function rulerMarks(seconds, most) {
  const step = STEPS.find((one) => seconds / one <= most) ?? seconds;
  const marks = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, n) => n * step);
  return marks.map((at) => ({ at, text: clock(at, step) }));
}

export function clock(seconds, step = 1) {
  const minutes = Math.floor(seconds / 60);
  const rest = (seconds - 60 * minutes).toFixed(step < 1 ? 1 : 0);
  return `${minutes}:${rest.padStart(step < 1 ? 4 : 2, "0")}`;
}

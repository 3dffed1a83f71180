// The picture of a waveform: bars from the lowest to the highest sample of each stretch of a sound.

/**
 * Draws into the whole canvas, at the screen's own resolution.
 * @param {HTMLCanvasElement} canvas
 * @param {{low: number[], high: number[]}} peaks from -1 to 1, as GET /higgs/peaks gives them
 * @param {{from?: number, to?: number, position?: number, chosen?: string, rest?: string, mark?: string}} [look]
 *   from, to: shares of the length (0 to 1) that are chosen; position: a line; colours: of the chosen part, of the rest
 *   and of the line
 */
export function drawWaveform(canvas, peaks, look = {}) {
  const { from = 0, to = 1, position = -1, chosen = "#4a9", rest = "#888", mark = "#fff" } = look;
  const scale = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * scale));
  const height = Math.max(1, Math.round(canvas.clientHeight * scale));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, width, height);
  const count = peaks.low.length, bar = Math.max(1, Math.round(scale)), middle = height / 2;
  for (let x = 0; count && x < width; x += 2 * bar) {
    const first = Math.min(count - 1, Math.floor((x / width) * count));
    const last = Math.max(first + 1, Math.min(count, Math.floor(((x + 2 * bar) / width) * count)));
    let low = peaks.low[first], high = peaks.high[first];
    for (let n = first + 1; n < last; n++) {
      low = Math.min(low, peaks.low[n]);
      high = Math.max(high, peaks.high[n]);
    }
    const top = middle - clip(high) * middle, bottom = middle - clip(low) * middle;
    pen.fillStyle = x / width >= from && x / width < to ? chosen : rest;
    pen.fillRect(x, top, bar, Math.max(bar, bottom - top));
  }
  if (position >= 0) {
    pen.fillStyle = mark;
    pen.fillRect(Math.round(position * width), 0, bar, height);
  }
}

function clip(value) {
  return Math.max(-1, Math.min(1, value));
}

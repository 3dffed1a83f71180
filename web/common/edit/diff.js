// What of a text is kept, struck out and new, word by word.

const MOST = 4e6; // pairs of words that are compared

/**
 * The steps from one text to another: {kind: "kept" | "old" | "new", words, at}.
 *
 * Case and punctuation are not heard and count as kept. `at` is the place in the new text, in words.
 */
export function wordSteps(before, after) {
  const old = words(before), now = words(after);
  const oldKeys = old.map(key), nowKeys = now.map(key);
  let start = 0, end = 0;
  while (start < old.length && start < now.length && oldKeys[start] === nowKeys[start]) start += 1;
  const room = Math.min(old.length, now.length) - start;
  while (end < room && oldKeys[old.length - 1 - end] === nowKeys[now.length - 1 - end]) end += 1;
  const steps = [];
  const add = (kind, list, at) => {
    if (!list.length) return;
    const last = steps.at(-1);
    if (last?.kind === kind) last.words.push(...list);
    else steps.push({ kind, words: [...list], at });
  };
  add("kept", now.slice(0, start), 0);
  const oldStop = old.length - end, nowStop = now.length - end;
  const table = longest(oldKeys.slice(start, oldStop), nowKeys.slice(start, nowStop));
  let a = start, b = start;
  while (a < oldStop || b < nowStop) {
    if (table && a < oldStop && b < nowStop && oldKeys[a] === nowKeys[b]) {
      add("kept", [now[b]], b);
      a += 1;
      b += 1;
    } else if (b >= nowStop || (a < oldStop && (!table || table(a - start + 1, b - start) >= table(a - start, b - start + 1)))) {
      add("old", [old[a]], b);
      a += 1;
    } else {
      add("new", [now[b]], b);
      b += 1;
    }
  }
  add("kept", now.slice(nowStop), nowStop);
  return steps;
}

/** The new text without one of its changes: what is new there goes, what was struck out comes back. */
export function withoutChange(steps, number) {
  const change = new Set([number]);
  for (const beside of [number - 1, number + 1]) {
    if (steps[beside] && steps[beside].kind !== "kept") change.add(beside);
  }
  return steps.filter((step, n) => (change.has(n) ? step.kind !== "new" : step.kind !== "old"))
    .flatMap((step) => step.words).join(" ");
}

/** How many places of the text are changed. */
export function changesIn(steps) {
  return steps.filter((step, n) => step.kind !== "kept" && (n === 0 || steps[n - 1].kind === "kept")).length;
}

function words(text) {
  return text.split(/\s+/).filter(Boolean);
}

function key(word) {
  return word.normalize("NFKC").toLowerCase().replace(/[^\p{L}\p{M}\p{N}]/gu, "") || word;
}

/** (a, b) → length of the longest common subsequence of what follows; null where there are too many words. */
function longest(one, other) {
  const width = other.length + 1;
  if ((one.length + 1) * width > MOST) return null;
  const table = new Uint16Array((one.length + 1) * width);
  for (let a = one.length - 1; a >= 0; a -= 1) {
    for (let b = other.length - 1; b >= 0; b -= 1) {
      const same = one[a] === other[b] ? 1 + table[(a + 1) * width + b + 1] : 0;
      table[a * width + b] = same || Math.max(table[(a + 1) * width + b], table[a * width + b + 1]);
    }
  }
  return (a, b) => table[a * width + b] ?? 0;
}

// What a line of a script is, as far as rows need it. The grammar itself is docs/script.md and higgs_runtime/script,
// which stays the authority: a test compares both.

const BLANK = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]"; // Python's \s
const ONE_BLANK = new RegExp(BLANK, "u");
const SKIP = new RegExp(`${BLANK}*`, "uy");
const TAG = new RegExp(`\\[([^\\[\\]]*)\\](?:${BLANK}*[:：])?${BLANK}*`, "uy");
const COLON = new RegExp(`([^:：\\[\\]{}\\\\#][^:：\\[\\]{}\\\\]{0,47})(?::(?=${BLANK}|$)|：)${BLANK}*`, "uy");
// What people put around a name: a list's mark or number, and bold, italic or quotation marks.
const LISTED = new RegExp(`(?:(?:[-–—*+•‣▪]|\\p{Nd}{1,3}[.)])${BLANK}+)?`, "uy");
const OPEN = "(?:[*_]{1,3}|[\"“”„«‹「『'‘])", CLOSE = "(?:[*_]{1,3}|[\"”“»›」』'’])";
const NAME = `((?!${BLANK})[^:：\\[\\]{}\\\\#*_"“”„«»‹›「」『』][^:：\\[\\]{}\\\\*_"“”„«»‹›「」『』]{0,47})`;
const ADORNED = new RegExp(
  `${OPEN}(?:\\[([^\\[\\]]{1,48})\\]${BLANK}*(?:[:：]${BLANK}*${CLOSE}|${CLOSE}${BLANK}*[:：]?)${BLANK}*`
  + `|${NAME}${BLANK}*(?:[:：]${BLANK}*${CLOSE}${BLANK}*|${CLOSE}${BLANK}*(?::(?=${BLANK}|$)|：)${BLANK}*))`, "uy");
const ASIDE = new RegExp(`${BLANK}*[(（]([^()（）]{1,40})[)）]$`, "u"); // behind a name: "Anna (whispering)"
const NUMBER = "(?:\\p{Nd}+(?:[.,]\\p{Nd}*)?|[.,]\\p{Nd}+)";
const UNIT = "(?:ms|msecs?|milliseconds?|s|secs?|seconds?|)";
const CUE = new RegExp(
  `\\[${BLANK}*((?:pause|overlap)(?![\\p{L}\\p{N}_])|slot(?=${BLANK}*\\p{Nd})|(?:sfx|music|fit)(?=${BLANK}*[:：])`
  + `|/${BLANK}*music(?![\\p{L}\\p{N}_]))((?:"[^"]*"|[^"\\[\\]]+)*)(\\]?)`
  // pauses as other tools write them
  + `|<(?:break|pause)(?:(?:${BLANK}|[:=/])[^<>]*)?>(?:${BLANK}*</(?:break|pause)>)?`
  + `|\\(${BLANK}*pause(?:(?:${BLANK}|[:=,])+${NUMBER}${BLANK}*${UNIT}|)${BLANK}*\\)`
  + `|<#${BLANK}*${NUMBER}${BLANK}*#>`, "giu");
const SCENE = new RegExp(`^(#+${BLANK}*scene${BLANK}*[:：]${BLANK}*)(.*)$`, "isu");
const BRACES = new RegExp(`\\{[^{}]*\\}${BLANK}*`, "uy");
const NOT_A_NAME = new RegExp(`^(?:(?:pause|overlap)(?![\\p{L}\\p{N}_])|slot${BLANK}*\\p{Nd}|(?:sfx|music)$)`, "iu");
const ORDINARY = new Set(`answer attention caution chapter conclusion date day edit episode example fact figure finally
  first hence hint however i important line note part ps question remember result rule scene second section source
  step summary table therefore third thus time tip title today tomorrow update verse volume warning`.split(/\s+/));
// As FIRST_WORDS and _ALSO_MADE of higgs_runtime/text/sound_tags.py: a test compares both.
const SOUNDS = new Set(`
  applause breath breathes breathing breaths burp burping burps cheer cheering cheers chuckle chuckles clap
  clapping claps cough coughed coughing coughs cries cry crying gasp gasping gasps giggle giggles hum humming hums
  laugh laughed laughing laughs laughter music scream screaming screams shout shouting shouts sigh sighed sighing
  sighs sing singing sings sneeze sneezed sneezes sneezing sniff sniffing sniffs sob sobbing sobs whisper
  whispering whispers`.trim().split(/\s+/));
const PARTICLES = new Set("al bin da de der di du la of the van von y".split(" "));
const SAYING = [..."说道问答想喊叫曰說問"]; // "他说：" introduces a quotation, not a turn

/** Without blanks at both ends, as Python's strip. */
export function strip(text) {
  let start = 0, end = text.length;
  while (start < end && isBlank(text, start)) start++;
  while (end > start && isBlank(text, end - 1)) end--;
  return text.slice(start, end);
}

function isBlank(text, at) {
  const code = text.charCodeAt(at);
  return code <= 32 ? ONE_BLANK.test(text[at]) : code >= 127 && ONE_BLANK.test(text[at]);
}

/** How many blanks a line begins with. */
export function indentOf(line) {
  return at(SKIP, line, 0)[0].length;
}

/** Whether `[name]` is a speaker. */
export function fitsTag(name) {
  const starts = /^\p{L}/u.test(name) && !/^\p{Lowercase}/u.test(name);
  const fits = starts && name === strip(name) && !/[[\]:：\r\n]/.test(name) && !NOT_A_NAME.test(name);
  return fits && !isSoundWord(name);
}

/** Whether the words of a bracket are a sound that a model makes: "Laughs", and not "Music Teacher". */
function isSoundWord(said) {
  const [first, ...rest] = said.split(new RegExp(`${BLANK}+`, "u"));
  const shouted = /\p{Lu}/u.test(said) && !/\p{Ll}/u.test(said);
  if (!shouted && rest.some((one) => /^\p{Lu}/u.test(one))) {
    return /^(?:humming|music|sing) (?:start|end)$/i.test(said);
  }
  return SOUNDS.has(first.toLowerCase().replace(/^[.,!…]+|[.,!…]+$/g, ""));
}

/** Whether `words:` at the start of a line is a speaker. */
export function fitsColon(words) {
  const parts = strip(words).split(new RegExp(`${BLANK}+`, "u"));
  const first = parts[0].toLowerCase().replace(/^\.+|\.+$/g, "");
  if (!parts[0] || parts.length > 4 || ORDINARY.has(first) || !fitsTag(words)) return false;
  if (!/^\p{Uppercase}/u.test(parts[0])) {
    const letters = [...words];
    return parts.length === 1 && letters.length <= 6 && !SAYING.includes(letters.at(-1)) && words !== "注意";
  }
  return parts.every((part) => /^#?[\p{L}\p{N}_.'’-]+$/u.test(part))
    && parts.slice(1).every((part) => /^(?:\p{Uppercase}|#*\p{N})/u.test(part) || PARTICLES.has(part));
}

/** {name, end, colon} of the tag at the start of a line without indent; null without one. */
export function speakerOf(line) {
  const start = at(LISTED, line, 0)[0].length, tag = line[start] === "[" ? at(TAG, line, start) : null;
  if (tag && fitsTag(strip(tag[1]))) return { name: strip(tag[1]), end: start + tag[0].length, colon: false };
  const adorned = at(ADORNED, line, start), end = start + (adorned?.[0].length ?? 0);
  if (adorned?.[1] && fitsTag(strip(adorned[1]))) return { name: strip(adorned[1]), end, colon: false };
  const named = adorned?.[2] ? colonName(adorned[2]) : "";
  if (named) return { name: named, end, colon: true };
  if (!/[:：]/.test(line)) return null;
  const colon = at(COLON, line, start), name = colon ? colonName(colon[1]) : "";
  return name ? { name, end: start + colon[0].length, colon: true } : null;
}

/** The name before a colon, without what stands in round brackets behind it; "" for none. */
function colonName(words) {
  const numbered = (_, aside) => (/^\p{Nd}+$/u.test(strip(aside)) ? ` ${strip(aside)}` : ""); // "Host (2)" is Host 2
  const name = strip(strip(words).replace(ASIDE, numbered));
  return fitsColon(name) ? name : "";
}

/** The length of what stands before the title in a scene header; -1 for any other line. */
export function sceneHead(line) {
  return line[0] === "#" ? SCENE.exec(line)?.[1].length ?? -1 : -1;
}

/**
 * What follows the tag in a line: [{kind, start, end, inner?, closed?}].
 * kind: "text" (also all behind a backslash), "settings", "pause", "overlap", "slot", "fit", "sfx", "music" or "/music".
 * @param {boolean} begins a turn begins here, so that braces are settings
 */
export function piecesOf(line, position, begins) {
  const pieces = [];
  for (;;) {
    position += at(SKIP, line, position)[0].length;
    if (position >= line.length) return pieces;
    const said = pieces.some((piece) => piece.kind === "text");
    if (line[position] === "\\") return [...pieces, { kind: "text", start: position, end: line.length }];
    if (line[position] === "{" && begins && !said && pieces.every((piece) => piece.kind !== "settings")) {
      const braces = at(BRACES, line, position);
      const end = braces ? position + braces[0].length : line.length;
      pieces.push({ kind: "settings", start: position, end });
      position = end;
      continue;
    }
    CUE.lastIndex = position;
    const cue = /[[<(]/.test(line) ? CUE.exec(line) : null;
    const until = cue ? cue.index : line.length;
    if (strip(line.slice(position, until))) pieces.push({ kind: "text", start: position, end: until });
    if (!cue) return pieces;
    const kind = (cue[1] ?? "pause").toLowerCase().replace("ſ", "s");
    position = until + cue[0].length;
    pieces.push({ kind: kind[0] === "/" ? "/music" : kind, start: until, end: position, inner: cue[2] ?? cue[0],
      closed: cue[1] === undefined || !!cue[3] });
  }
}

/** Seconds of "0.8s", "800ms" or "0.8"; null for anything else. */
export function readTime(text) {
  const time = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|)\s*$/i.exec(text);
  return time ? Number(time[1]) / (time[2].toLowerCase() === "ms" ? 1000 : 1) : null;
}

function at(pattern, text, position) {
  pattern.lastIndex = position;
  return pattern.exec(text);
}

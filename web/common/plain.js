// LiteGraph's menu sets what stands in it as HTML; the canvas and the Vue nodes show the same labels as text.

const BEGINS = /[<&]/g; // a tag or an entity, before a letter

/** A label that looks the same as text and as HTML: a word joiner, which has no width, keeps tags from beginning. */
export function plain(label) {
  return String(label).replace(BEGINS, "$&\u2060");
}

/** Makes the labels of a list plain that need it. The menu of a list with labels has no filter: others stay as they are. */
export function plainChoices(widget) {
  const { options } = widget;
  if (options.getOptionLabel) return; // see notes.js
  Object.defineProperty(options, "getOptionLabel", {
    configurable: true,
    enumerable: true,
    get: () => ([...options.values].some((value) => plain(value) !== value) ? (value) => plain(value ?? "") : undefined),
    set: (value) => Object.defineProperty(options, "getOptionLabel", { value, writable: true }),
  });
}

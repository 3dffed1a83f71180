// Lists that grow: of `count` numbered inputs a node shows those up to the last connected one, and one more.
import { after, hide, mapAgain } from "./node.js";

const HOLLOW_CIRCLE = 7; // litegraph's shape of an optional input

/**
 * @param {object} node a node with the inputs prefix0, prefix1, …
 * @param {{prefix: string, type: string, count: number, settings?: string[],
 *   more?: {toggle: string, settings: string[], shared: string[]}, onArrange?: (items: number[]) => void}} list
 *   settings: prefixes of widgets that belong to an item; they show once the item is connected.
 *   more: settings that show only while the widget `toggle` is on: `settings` as above, `shared` by their whole names.
 *   onArrange: is told of the connected items (their numbers, rising) before the node gets its height.
 */
export function growList(node, list) {
  let waiting = false;
  let restored = false; // a saved node has the size that its person gave it
  const later = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      arrange(node, list, restored);
      waiting = restored = false;
    });
  };
  after(node, "onConnectionsChange", later);
  after(node, "onConfigure", () => {
    restored = true;
    later();
  });
  const texts = new Map(node.inputs.map(({ name, label, localized_name }) => [name, { label, localized_name }]));
  list = { ...list, texts }; // of all inputs, before some go
  const toggle = node.widgets?.find((widget) => widget.name === list.more?.toggle);
  if (toggle) after(toggle, "callback", later);
  arrange(node, list);
}

function arrange(node, list, keepSize = false) {
  const heightBefore = node.computeSize()[1];
  const items = connectedItems(node, list.prefix), connected = Math.max(-1, ...items);
  const shown = Math.min(list.count, connected + 2);
  for (let slot = node.inputs.length - 1; slot >= 0; slot--) {
    if (itemNumber(node.inputs[slot].name, list.prefix) >= shown) node.removeInput(slot);
  }
  for (let item = 0; item < shown; item++) {
    const name = list.prefix + item;
    if (node.inputs.every((input) => input.name !== name)) node.addInput(name, list.type, { shape: HOLLOW_CIRCLE });
    const input = node.inputs.find((one) => one.name === name), { label, localized_name } = list.texts.get(name) ?? {};
    if (label && !input.label) input.label = label; // a saved one has none
    if (localized_name && !input.localized_name) input.localized_name = localized_name;
  }
  const folded = !node.widgets?.find((widget) => widget.name === list.more?.toggle)?.value;
  for (const widget of node.widgets ?? []) {
    for (const setting of list.settings ?? []) {
      const item = itemNumber(widget.name, setting);
      if (item >= 0) hide(widget, item > connected);
    }
    for (const setting of list.more?.settings ?? []) {
      const item = itemNumber(widget.name, setting);
      if (item >= 0) hide(widget, folded || item > connected);
    }
    if (list.more?.shared.includes(widget.name)) hide(widget, folded);
  }
  list.onArrange?.(items);
  mapAgain(node);
  const height = node.computeSize()[1];
  node.setSize([node.size[0], Math.max(height, node.size[1] + (keepSize ? 0 : height - heightBefore))]);
  node.setDirtyCanvas(true, true);
}

/** Numbers of the inputs prefixn that have a link, rising. */
export function connectedItems(node, prefix) {
  const numbers = node.inputs.filter((_, slot) => node.isInputConnected(slot)).map((input) => itemNumber(input.name, prefix));
  return numbers.filter((number) => number >= 0).sort((one, other) => one - other);
}

/** The n of prefixn, or -1. */
function itemNumber(name, prefix) {
  const rest = name.startsWith(prefix) ? name.slice(prefix.length) : "";
  return /^\d+$/.test(rest) ? Number(rest) : -1;
}

// The tags of Higgs Audio v3 in the menu of a node with a text: inserted at the cursor, and mended.
import { app } from "../../../scripts/app.js";
import { ask } from "./ask.js";
import { connected, rememberStep } from "./node.js";

export const GROUPS = { emotion: "Emotion", style: "Style", prosody: "Speed, pitch, pauses", sfx: "Sounds" };

let known; // group -> [{name, does, letters}], once the server has told

/** Asks the server for the tags, once; {} where it does not know. */
export async function loadTags() {
  known ??= await ask("/higgs/script/tags");
  return known;
}

/** What a tag is called in a menu. */
export function titleOf(tag) {
  return `${tag.name.slice(2, -2).split(":")[1]} – ${tag.does}`;
}

/** The items for the menu of a node, whose widget `name` holds the text. */
export function tagItems(node, name) {
  const text = node.widgets?.find((one) => one.name === name);
  if (!text || connected(node, name) || !known || known.error) return [];
  const groups = Object.entries(GROUPS).map(([group, content]) => branch(content, (known[group] ?? []).map((tag) => (
    { content: titleOf(tag), callback: () => insert(node, text, tag.name + tag.letters) }))));
  return [branch("Insert a tag of Higgs Audio v3", groups),
    { content: "Mend the tags in the text", callback: () => mend(text) }];
}

function branch(content, options) {
  return { content, has_submenu: true, submenu: { options } };
}

function insert(node, text, tag) {
  // Vue draws a field of its own, and keeps the widget's where nobody sees it
  const areas = [...document.querySelectorAll(`[data-node-id="${node.id}"] textarea`), text.element, text.inputEl];
  const area = areas.find((one) => one?.selectionStart !== undefined && one.value === text.value);
  const at = area?.selectionStart ?? text.value.length;
  put(text, text.value.slice(0, at) + tag + text.value.slice(area?.selectionEnd ?? at));
  if (!area) return;
  area.value = text.value; // Vue would write it later, and the cursor would go to the end
  area.setSelectionRange(at + tag.length, at + tag.length);
}

async function mend(text) {
  const before = text.value, found = await ask("/higgs/script/mend", before);
  if (!found.error && text.value === before && found.text !== before) put(text, found.text);
}

/** A new text, as a step that the graph's undo can go back to. */
function put(text, value) {
  text.value = value;
  text.callback?.(value);
  rememberStep(app);
}

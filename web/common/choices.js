// Lists whose choices are explained where they are chosen, or only shown as they are written: the value of each stays
// its plain name.
import { api } from "../../../scripts/api.js";
import { after, mapAgain } from "./node.js";

// LiteGraph's menu sets what stands in it as HTML; the canvas and the Vue nodes show the same labels as text.
const BEGINS = /[<&]/g; // a tag or an entity, before a letter

/**
 * Shows the server's notes behind the choices of a list, on the node and in its menu. They are fetched anew when the
 * node appears, when a workflow is opened, when the lists are read again (R), and when what they depend on is changed.
 * @param {object} node
 * @param {string} name of the list's widget
 * @param {string} list as /higgs/choices/<list> knows it
 * @param {string[]} how names of the widgets that the notes depend on
 */
export function noteChoices(node, name, list, how = []) {
  const widget = node.widgets.find((one) => one.name === name);
  let notes = {}, question = 0;
  const others = node.widgets.filter((one) => how.includes(one.name));
  const chosen = () => others.map((one) => [one.name, one.value]);
  const fetchNotes = async () => {
    const asked = (question += 1);
    const answer = await api.fetchApi(`/higgs/choices/${list}?${new URLSearchParams(chosen())}`);
    const found = answer.ok ? await answer.json() : notes;
    if (asked !== question) return; // a later answer counts
    notes = found;
    node.setDirtyCanvas(true, true);
    if (widget.visibility) widget.options = { ...widget.options }; // Vue looks again at what is new,
    else mapAgain(node); // or, in older frontends, where the list of widgets is
  };
  widget.options.getOptionLabel = (value) => plain(notes[value] ? `${value} · ${notes[value]}` : (value ?? ""));
  after(node, "refreshComboInNode", fetchNotes);
  after(node, "onConfigure", fetchNotes);
  for (const one of others) after(one, "callback", fetchNotes);
  fetchNotes();
}

/** A label that looks the same as text and as HTML: a word joiner, which has no width, keeps tags from beginning. */
export function plain(label) {
  return String(label).replace(BEGINS, "$&\u2060");
}

/** Makes the labels of a list plain that need it. The menu of a list with labels has no filter: others stay as they are. */
export function plainChoices(widget) {
  const { options } = widget;
  if (options.getOptionLabel) return; // it has notes
  Object.defineProperty(options, "getOptionLabel", {
    configurable: true,
    enumerable: true,
    get: () => ([...options.values].some((value) => plain(value) !== value) ? (value) => plain(value ?? "") : undefined),
    set: (value) => Object.defineProperty(options, "getOptionLabel", { value, writable: true }),
  });
}

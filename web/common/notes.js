// Lists whose choices are explained where they are chosen: the value of each stays its plain name.
import { api } from "../../../scripts/api.js";
import { plain } from "./plain.js";

/**
 * Shows the server's notes behind the choices of a list, on the node and in its menu. They are fetched anew when the
 * node appears, when a workflow is opened, and when the lists are read again (R).
 * @param {object} node
 * @param {string} name of the list's widget
 * @param {string} list as /higgs/choices/<list> knows it
 */
export function noteChoices(node, name, list) {
  const widget = node.widgets.find((one) => one.name === name);
  let notes = {};
  const fetchNotes = async () => {
    const answer = await api.fetchApi(`/higgs/choices/${list}`);
    if (answer.ok) notes = await answer.json();
    node.setDirtyCanvas(true, true);
  };
  widget.options.getOptionLabel = (value) => plain(notes[value] ? `${value} · ${notes[value]}` : (value ?? ""));
  const before = node.refreshComboInNode;
  node.refreshComboInNode = function (...args) {
    fetchNotes();
    return before?.apply(this, args);
  };
  fetchNotes();
}

// The tags of Higgs Audio v3 in the scene editor: a menu that inserts them at the cursor, and a click that mends them.

import { button, make } from "../dom.js";
import { GROUPS, titleOf } from "../tags.js";
import * as edits from "./edits.js";

export class SceneTags {
  /** @param {object} editor whose host has tags(): {group: [{name, does, letters}]}, and mend(text): {text} */
  constructor(editor) {
    this.editor = editor;
    this.menu = make("select", { className: "tags", title: "A tag of Higgs Audio v3, at the cursor" },
      make("option", { value: "", textContent: "Tag…" }));
    this.menu.setAttribute("aria-label", "Insert a tag of Higgs Audio v3");
    this.menu.addEventListener("change", () => this.insert());
    this.menu.addEventListener("keydown", (event) => event.stopPropagation()); // arrows choose
    this.mending = button("Mend tags", "Tags that are misspelt, out of place or without their sound (Ctrl+Z undoes it)",
      () => this.mend(), { hidden: true });
    editor.host.tags?.().then((found) => this.fill(found));
  }

  fill(found) {
    if (found.error) return;
    for (const [group, title] of Object.entries(GROUPS)) {
      this.menu.append(make("optgroup", { label: title }, ...(found[group] ?? []).map((tag) => make("option", {
        value: tag.name + tag.letters, textContent: titleOf(tag) }))));
    }
  }

  /** What a check found: whether there is something to mend. */
  show(problems) {
    this.mending.hidden = this.editor.linked || !problems.some((one) => one.kind === "warning" && /<\|/.test(one.message));
  }

  insert() {
    const { editor } = this, { value } = this.menu;
    this.menu.value = "";
    if (!value || editor.linked) return;
    const area = editor.raw ? editor.area : editor.field;
    if (!area) return;
    const at = area.selectionStart, text = area.value.slice(0, at) + value + area.value.slice(area.selectionEnd);
    if (editor.raw) editor.change({ text });
    else editor.change(edits.setBody(editor.script, editor.active, text, at + value.length));
    const now = editor.raw ? editor.area : editor.field;
    now.focus({ preventScroll: true });
    if (editor.raw) now.setSelectionRange(at + value.length, at + value.length);
  }

  async mend() {
    const { editor } = this, asked = editor.text, found = await editor.host.mend(asked);
    if (found.error) return editor.say(found.error, "errors");
    if (editor.text !== asked) return editor.say("The text has changed meanwhile: mend again.", "errors");
    return editor.change({ text: found.text, caret: editor.caret() });
  }
}

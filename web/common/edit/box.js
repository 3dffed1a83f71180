// The box in which the words of a recording are changed: what was said is struck through above what is typed.
import { addStyle, button, make } from "../dom.js";
import { changesIn, withoutChange, wordSteps } from "./diff.js";

const STYLE = `.higgs-edit {
  box-sizing: border-box; display: flex; flex-direction: column; gap: 6px; height: 100%; min-height: 200px; padding: 8px;
  font: 14px/1.5 sans-serif; color: var(--input-text, #ddd); background: var(--comfy-input-bg, #222); border-radius: 6px;
}
.higgs-edit-head { display: flex; gap: 8px; align-items: center; font-size: 12px; opacity: .9; }
.higgs-edit-head [role=status] { flex: 1; }
.higgs-edit input[type=button] {
  font: inherit; color: inherit; background: none; border: 1px solid var(--border-color, #555); border-radius: 4px;
  padding: 1px 8px; cursor: pointer;
}
.higgs-edit input[type=button]:disabled { opacity: .4; cursor: default; }
.higgs-edit-view { flex: 1 1 40%; overflow-y: auto; overflow-wrap: anywhere; user-select: text; }
.higgs-edit-view del, .higgs-edit-view ins { border-radius: 3px; padding: 0 2px; cursor: pointer; }
.higgs-edit-view del { color: #f08a80; text-decoration: line-through; }
.higgs-edit-view ins { color: #7fce93; text-decoration: underline; }
.higgs-edit-view :is(del, ins):focus-visible { outline: 2px solid currentColor; }
.higgs-edit textarea {
  flex: 1 1 40%; min-height: 48px; box-sizing: border-box; width: 100%; resize: none; padding: 6px; border-radius: 4px;
  font: inherit; color: inherit; background: var(--bg-color, #161616); border: 1px solid var(--border-color, #555);
}`;

const NOTHING = "Type what the recording says into transcript, or leave it empty and run once to have it heard.";
const HINT = "Click what is marked to undo it.";

/**
 * @param {object} node what it stands on: getTranscript(), getText(), setText(text), done() after a change is over
 */
export class EditBox {
  constructor(node) {
    addStyle("higgs-edit-style", STYLE);
    this.node = node;
    this.status = make("span", { role: "status" });
    this.back = button("All as it was", "Put all words back", () => this.change(this.node.getTranscript()));
    this.view = make("div", { className: "higgs-edit-view", role: "group", "aria-label": "What changes", dir: "auto" });
    this.field = make("textarea", {
      "aria-label": "What the recording shall say", dir: "auto", spellcheck: true, placeholder: "What it shall say",
      oninput: () => { this.node.setText(this.field.value); this.show(); },
      onchange: () => this.node.done(),
    });
    const head = make("div", { className: "higgs-edit-head" }, this.status, this.back);
    this.root = make("div", { className: "higgs-edit" }, head, this.view, this.field);
    for (const type of ["pointerdown", "wheel", "keydown"]) {
      this.root.addEventListener(type, (event) => event.stopPropagation());
    }
    this.load();
  }

  /** Shows what the node has now. */
  load() {
    if (this.field.value !== this.node.getText()) this.field.value = this.node.getText();
    this.show();
  }

  /** Another node gives the text: it can only be read here. */
  linkTo(title) {
    this.linked = title;
    this.field.disabled = Boolean(title);
    this.show();
  }

  change(text) {
    if (this.linked) return;
    this.node.setText(text);
    this.load();
    this.node.done();
  }

  show() {
    const before = this.node.getTranscript(), steps = wordSteps(before, this.field.value);
    const count = changesIn(steps), known = Boolean(before.trim()) && !this.linked;
    this.back.disabled = !known || !count;
    this.status.textContent = this.linked ? `The text comes from ${this.linked}.` : !known ? NOTHING
      : !this.field.value.trim() ? "No word is left." : count ? `${count} ${count === 1 ? "change" : "changes"}. ${HINT}`
        : "Nothing is changed.";
    this.view.replaceChildren(...(known ? steps.flatMap((step, n) => [this.part(steps, step, n), " "]) : []));
  }

  part(steps, step, number) {
    const text = step.words.join(" ");
    if (step.kind === "kept") return make("span", { textContent: text });
    const undo = () => this.change(withoutChange(steps, number));
    const title = step.kind === "old" ? `No longer said: ${text}. Put it back` : `New: ${text}. Take it out`;
    return make(step.kind === "old" ? "del" : "ins", {
      textContent: text, title, role: "button", tabIndex: 0, "aria-label": title, onclick: undo,
      onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); undo(); } },
    });
  }
}

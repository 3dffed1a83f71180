// Elements and style sheets.

/** An element with these properties; what it has no property for, and all of aria-, becomes an attribute. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && !name.startsWith("aria")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** An <input type="button">: the editor's own undo keeps its hands off keys that are pressed in an <input>. */
export function button(label, title, onclick, more = {}) {
  return make("input", { type: "button", value: label, title, "aria-label": title, onclick, ...more });
}

/** Adds a style sheet to the page, once. */
export function addStyle(id, css) {
  if (!document.getElementById(id)) document.head.append(make("style", { id, textContent: css }));
}

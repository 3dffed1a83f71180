// Rows of the scene editor by mouse, pen or finger to another place.

import { moveRow } from "./edits.js";

const EDGE = 28, STEP = 12; // pixels: near an edge the list scrolls, so far each time

export function dragRows(editor) {
  const { list } = editor;
  let drag = null;
  const clear = () => list.querySelectorAll(".drop-before, .drop-after, .dragged").forEach((one) => (
    one.classList.remove("drop-before", "drop-after", "dragged")));
  const numberOf = (element) => editor.script.rows.findIndex((row) => String(row.id) === element.dataset.id);

  list.addEventListener("pointerdown", (event) => {
    if (event.button || !event.target.classList.contains("grip")) return;
    event.preventDefault();
    event.stopPropagation();
    drag = { element: event.target.closest(".row"), from: numberOf(event.target.closest(".row")), to: null };
    list.setPointerCapture(event.pointerId);
    drag.element.classList.add("dragged");
  });
  list.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const box = list.getBoundingClientRect();
    if (event.clientY < box.top + EDGE) list.scrollBy(0, -STEP);
    else if (event.clientY > box.bottom - EDGE) list.scrollBy(0, STEP);
    const over = document.elementFromPoint(event.clientX, event.clientY)?.closest?.(".row");
    if (!over || !list.contains(over)) return;
    clear();
    drag.element.classList.add("dragged");
    const { top, height } = over.getBoundingClientRect(), below = event.clientY > top + height / 2;
    over.classList.add(below ? "drop-after" : "drop-before");
    const place = numberOf(over) + (below ? 1 : 0);
    drag.to = place > drag.from ? place - 1 : place;
  });
  const end = (event) => {
    if (!drag) return;
    const { from, to } = drag;
    drag = null;
    clear();
    list.releasePointerCapture(event.pointerId);
    if (event.type === "pointerup" && to !== null && to !== from) editor.change(moveRow(editor.script, from, to));
  };
  list.addEventListener("pointerup", end);
  list.addEventListener("pointercancel", end);
}

// What mixers on nodes need of the editor around them.
import { api } from "../../../../scripts/api.js";
import { app } from "../../../../scripts/app.js";

/** What an earlier run told of a node that did not have to run again: older ComfyUIs tell a new page nothing of it.
 * @param {string} what name of it in the node's output
 */
export async function toldBefore(node, promptId, what) {
  await new Promise((done) => setTimeout(done, 500)); // the history is written after the message
  const answer = await api.fetchApi("/history?max_items=16");
  if (!answer.ok) return undefined;
  const history = await answer.json();
  const inputs = (run) => JSON.stringify(run?.prompt[2][node.id] ?? null);
  const same = Object.values(history).filter((run) => inputs(run) === inputs(history[promptId]));
  return same.map((run) => run.outputs[node.id]).findLast((output) => output?.[what]);
}

/** Zooming with the wheel and moving the canvas with the middle button go on above the mixer; what else is done there
 * does not move the node. */
export function passToCanvas(element) {
  element.addEventListener("wheel", (event) => app.canvas.processMouseWheel(event));
  element.addEventListener("pointerdown", (event) => {
    if (event.button === 1) app.canvas.processMouseDown(event);
    else if (event.button === 0) event.stopPropagation();
  });
  element.addEventListener("pointermove", (event) => event.buttons & 4 && app.canvas.processMouseMove(event));
  element.addEventListener("pointerup", (event) => event.button === 1 && app.canvas.processMouseUp(event));
}

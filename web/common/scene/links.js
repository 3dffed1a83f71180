// From the node that renders back to the Script nodes whose text it speaks.
import { nodeOf } from "../node.js";

const PASSES = new Set(["HIGGS_SCRIPT", "*"]); // types of inputs that a script may come through

/** @param {string} id of the node, with those of the subgraphs around it: "12:5" */
export function scriptsAbove(graph, id) {
  const node = nodeOf(graph, id);
  const found = new Set(), seen = new Set(), waiting = node ? [node] : [];
  while (waiting.length) {
    const next = waiting.pop();
    if (seen.has(next)) continue;
    seen.add(next);
    if (next.comfyClass === "HiggsScript") found.add(next);
    (next.inputs ?? []).forEach((input, slot) => {
      const above = PASSES.has(input.type) && next.isInputConnected(slot) ? next.getInputNode(slot) : null;
      if (above) waiting.push(above);
    });
  }
  return [...found];
}

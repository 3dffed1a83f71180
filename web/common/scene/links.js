// From the node that renders back to the Script nodes whose text it speaks.

const PASSES = new Set(["HIGGS_SCRIPT", "*"]); // types of inputs that a script may come through

/** @param {string} id of the node, with those of the subgraphs around it: "12:5" */
export function scriptsAbove(graph, id) {
  const path = String(id ?? "").split(":");
  let node = null;
  for (const one of path) {
    node = graph?.getNodeById(Number(one)) ?? graph?.getNodeById(one);
    if (one !== path.at(-1)) graph = node?.subgraph;
  }
  const found = new Set(), seen = new Set(), waiting = node ? [node] : [];
  while (waiting.length) {
    const next = waiting.pop();
    if (seen.has(next)) continue;
    seen.add(next);
    if (next.comfyClass === "HiggsScript") found.add(next);
    (next.inputs ?? []).forEach((input, slot) => {
      const above = PASSES.has(input.type) && input.link != null ? next.getInputNode(slot) : null;
      if (above) waiting.push(above);
    });
  }
  return [...found];
}

// Nodes of the canvas and their widgets.

/** Calls `then` with the arguments of an event or callback after what its owner does itself. */
export function after(owner, event, then) {
  const before = owner[event];
  owner[event] = function (...args) {
    const result = before?.apply(this, args);
    then(...args);
    return result;
  };
}

/** Hides a widget, or shows it again; the node keeps its size. */
export function hide(widget, hidden) {
  widget.hidden = hidden;
  hideInVue(widget, hidden);
  if (hidden) widget.computeSize = noSpace; // litegraph leaves room for hidden widgets too
  else if (widget.computeSize === noSpace) delete widget.computeSize;
}

/** Hides a widget, or shows it again, where Vue draws nodes: it looks at the options that it saw first. Frontend 1.49
 * keeps those of the first widget that had this name in a node of this number, also when undo has made another one. */
export function hideInVue(widget, hidden) {
  widget.options.hidden = hidden;
  if (widget._state?.options) widget._state.options.hidden = hidden;
}

/** Lets the Vue nodes look at a node's widgets again. Newer ones do so by themselves: there a widget has `visibility`. */
export function mapAgain(node) {
  if (!node.widgets?.length || node.widgets[0].visibility) return;
  const widgets = [...node.widgets];
  node.widgets = [];
  node.widgets = widgets;
}

/** Takes back the 4 pixels that litegraph adds between widgets. */
function noSpace() {
  return [0, -4];
}

/** What a person changed is done: from here on it is a step that the graph's undo can go back to. */
export function rememberStep(app) {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker); // the second of older frontends
}

/** The graph that holds all others. */
export function rootGraph(app) {
  return app.rootGraph ?? app.graph;
}

/** The node with an id of the prompt; "12:5" is node 5 in the subgraph of node 12. */
export function nodeOf(graph, id) {
  let node = null;
  for (const part of String(id ?? "").split(":")) {
    node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part);
    graph = node?.subgraph;
  }
  return node;
}

/** Whether an input of this name has a link. */
export function connected(node, name) {
  const slot = node.inputs.findIndex((input) => input.name === name);
  return slot >= 0 && node.isInputConnected(slot);
}

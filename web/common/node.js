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
  widget.options.hidden = hidden; // what the Vue nodes look at: in the object that they saw first
  if (hidden) widget.computeSize = noSpace; // litegraph leaves room for hidden widgets too
  else if (widget.computeSize === noSpace) delete widget.computeSize;
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
  app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.();
}

/** The node of an id as the server knows it: within subgraphs it has their nodes' ids before its own. */
export function nodeOf(app, id) {
  let graph = app.rootGraph ?? app.graph, node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part) ?? graph?.getNodeById(Number(part));
    graph = node?.subgraph;
  }
  return node;
}

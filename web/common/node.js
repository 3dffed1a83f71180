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
  widget.options = { ...widget.options, hidden }; // what the Vue nodes look at
  if (hidden) widget.computeSize = noSpace; // litegraph leaves room for hidden widgets too
  else if (widget.computeSize === noSpace) delete widget.computeSize;
}

/** Takes back the 4 pixels that litegraph adds between widgets. */
function noSpace() {
  return [0, -4];
}

/** What a person changed is done: from here on it is a step that the graph's undo can go back to. */
export function rememberStep(app) {
  app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.();
}

// The editor's own player on a node (AUDIO_UI).

/** Gives it a sound: on the canvas the widget's element plays, where Vue draws nodes the widget's value is played. */
export function playOnNode(widget, url) {
  widget.element.src = url;
  widget.value = url;
  widget.callback?.(url);
}

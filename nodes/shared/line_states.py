"""What happens to the lines of a script, for the editor: a progress bar, and a message with those that changed."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from ...higgs_runtime.rendering import Events, Line, SpokenLine, State
from ..host import messages
from ..host.progress import Progress, cancelled

EVENT = "higgs.lines"
INTERVAL_S = 0.1  # between two messages
MOST_RENDERS = 20  # whose lines a page that was opened again can ask for

_renders: OrderedDict[str, LineStates] = OrderedDict()  # by the script's text; the last one last


class LineStates(Events):
    """The first message lists all lines as queued.

    A message is {"node", "prompt_id", "item", "lines": [{"line", "turn", "speaker", "state", "seconds", "wer",
    "passed", "take"}]}; `item` is that of a list, lines and turns count from 1, `take` is the key in the store.

    Args:
        text: of the script; `last_lines` finds the lines by it.
        hear: given each take as well.
    """

    def __init__(self, text: str, hear: Callable[[SpokenLine], None] = lambda _: None):
        self._hear = hear
        self.prompt_id = messages.running_node()[0]
        self._lines: dict[int, dict] = {}
        self._changed: set[int] = set()
        self._spoken: set[int] = set()
        self._bar: Progress | None = None
        self._told_at = 0.0
        _renders.pop(text, None)
        _renders[text] = self
        while len(_renders) > MOST_RENDERS:
            _renders.popitem(last=False)

    def lines(self) -> list[dict]:
        return [dict(line) for line in list(self._lines.values())]

    def on_line(self, line: Line, state: State, seconds: float) -> None:
        if state == "queued":
            self._lines[line.number] = {
                "line": line.number + 1,
                "turn": line.turn + 1,
                "speaker": line.speaker,
                "state": state,
                "seconds": 0.0,
                "wer": None,
                "passed": None,
                "take": "",
            }
            self._changed.add(line.number)
            return
        if self._bar is None:
            self._bar = Progress(len(self._lines))
            self._tell()
        self._note(line.number, state=state, seconds=round(seconds, 2))
        if state in ("spoken", "stored"):
            self._spoken.add(line.number)
            self._bar.update(len(self._spoken))

    def on_take(self, spoken: SpokenLine) -> None:
        self._note_take(spoken)
        self._hear(spoken)

    def on_workers(self, status) -> None:
        messages.show_text(f"Cluster: {status}", None)

    def should_stop(self) -> bool:
        return cancelled()

    def finish(self, performance) -> None:
        """What became of the lines in the end: the take that is used, and those that did not pass."""
        for spoken in performance.lines:
            if spoken.take is not None:
                self._note_take(spoken)
                if self._lines[spoken.line.number]["state"] == "speaking":  # the end of it was not told any more
                    self._note(spoken.line.number, state="spoken", seconds=round(spoken.take.codes.seconds, 2))
                if spoken.verdict is not None and not spoken.verdict.passed:
                    self._note(spoken.line.number, state="failed")
        self._tell()

    def _note_take(self, spoken: SpokenLine) -> None:
        verdict = spoken.verdict
        self._note(spoken.line.number, take=spoken.key, wer=verdict and verdict.wer, passed=verdict and verdict.passed)

    def _note(self, number: int, **changes) -> None:
        self._lines[number].update(changes)
        self._changed.add(number)
        if time.monotonic() - self._told_at >= INTERVAL_S:
            self._tell()

    def _tell(self) -> None:
        if self._changed:
            lines = [dict(self._lines[number]) for number in sorted(self._changed)]
            messages.send_event(EVENT, item=messages.running_item(), lines=lines)
        self._changed.clear()
        self._told_at = time.monotonic()


def last_lines(text: str) -> dict:
    """{"prompt_id", "lines"} of the last render of a script with this text since the server began; else no lines."""
    states = _renders.get(text)
    if states is None:
        return {"prompt_id": "", "lines": []}
    return {"prompt_id": states.prompt_id, "lines": states.lines()}

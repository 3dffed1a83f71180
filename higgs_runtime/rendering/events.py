"""What a render tells while it runs."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from .lines import Line
from .performance import SpokenLine

State = Literal["queued", "speaking", "spoken", "stored", "again", "elsewhere"]


class Events(Protocol):
    """Told what happens, in the thread that called `render`, and asked whether to go on. Subclasses replace what they
    need; the rest does nothing."""

    def on_line(self, line: Line, state: State, seconds: float) -> None:
        """What happens to a line, and the seconds that there are of it; first that each is queued."""

    def on_take(self, spoken: SpokenLine) -> None:
        """A take that is considered, once it was verified."""

    def on_workers(self, status: Any) -> None:
        """A `PoolStatus`: how many workers a cluster has, when that changes and every half second."""

    def should_stop(self) -> bool:
        """Asked before every step; what is spoken until then is kept."""
        return False


class Silent(Events):
    """Nobody is told, and nobody stops it."""

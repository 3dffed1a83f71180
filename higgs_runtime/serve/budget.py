"""What all requests together may hold in memory: bodies, reference clips, and sound that was not taken yet."""

from __future__ import annotations

import threading

from ..errors import HiggsError

RATE = 24_000  # of the sound of Higgs' codecs
BODY_COPIES = 3  # as it came, as its text, and as the bytes of the clip in it
RETRY_AFTER_S = 5


class BusyError(HiggsError):
    """There are too many requests, or they hold too much.

    Attributes:
        retry_after_s: when there is room again, about.
    """

    def __init__(self, what: str, expected: str, retry_after_s: int = RETRY_AFTER_S):
        self.retry_after_s = retry_after_s
        super().__init__(what, expected=expected, got="more", remedy=f"Try again in {retry_after_s} s.")


class Budget:
    """Bytes that may be held. Safe on any thread.

    Attributes:
        held: by all shares.
    """

    def __init__(self, size: int):
        self.size, self.held = size, 0
        self._lock = threading.Lock()

    def share(self) -> Share:
        return Share(self)

    def _add(self, count: int, whatever: bool) -> None:
        with self._lock:
            if count > 0 and not whatever and self.held + count > self.size:
                raise BusyError("The waiting requests hold all the memory allowed.", f"{self.size} bytes together")
            self.held += count


class Share:
    """What one request holds; given back when the with-block ends."""

    def __init__(self, budget: Budget):
        self._budget, self._held, self._lock = budget, 0, threading.Lock()

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *_) -> None:
        with self._lock:
            self._budget._add(-self._held, True)
            self._held, self._budget = 0, Budget(0)  # what an engine still tells is told to nobody

    def take(self, count: int, *, whatever: bool = False) -> None:
        """Hold more; fewer than none: give back.

        Args:
            whatever: also beyond the budget, as sound of a line that was accepted; new requests wait for it.

        Raises:
            BusyError: there is no room.
        """
        with self._lock:
            self._budget._add(count, whatever)
            self._held += count

"""A script in parts that workers fetch one after the other: large ones first, small ones towards the end.

Guided self-scheduling (Polychronopoulos, Kuck 1987, IEEE Transactions on Computers C-36): each part is a share of what
is left, so few are fetched, and all workers end at about the same time however uneven the lines are.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import groupby

from ..script import Script
from ..text.vocabulary import has_words

SHARE = 2  # a part is what is left, over the workers, over this


@dataclass(eq=False)
class Part:
    """Some turns in a row.

    Attributes:
        first: index of its first turn in the whole script.
        script: the turns alone; their cues belong to the whole.
        losses: workers that ended while they spoke it.
    """

    first: int
    script: Script
    losses: int = 0


class Parts:
    """What of a script nobody speaks yet.

    Args:
        by_scene: scenes stay whole; else turns do.
        batch: turns or scenes that a worker speaks side by side.
    """

    def __init__(self, script: Script, *, by_scene: bool, batch: int):
        turns = range(len(script.turns))
        scenes = groupby(turns, key=lambda turn: script.turns[turn].scene) if by_scene else ((n, [n]) for n in turns)
        self._script, self._batch = script, batch
        self._pieces = deque(_spoken(script, [tuple(piece) for _, piece in scenes]))  # each stays whole
        self._chars = sum(len(turn.text) for turn in script.turns)
        self._back: deque[Part] = deque()

    def __len__(self) -> int:
        """Pieces left: turns or scenes, and parts that came back."""
        return len(self._pieces) + len(self._back)

    def fetch(self, workers: int) -> Part | None:
        """The next part for one of so many workers; None if there is none."""
        if self._back:
            return self._back.popleft()
        if not self._pieces:
            return None
        least = min(self._batch, math.ceil(len(self._pieces) / workers))  # as many as speak side by side
        wanted, turns, count, chars = self._chars / (SHARE * workers), [], 0, 0
        while self._pieces and (count < least or chars < wanted):
            piece = self._pieces.popleft()
            turns += piece
            count, chars = count + 1, chars + sum(len(self._script.turns[turn].text) for turn in piece)
        self._chars -= chars
        return Part(turns[0], Script([self._script.turns[turn] for turn in turns]))

    def give_back(self, part: Part) -> None:
        """A part whose worker ended; it is the next one."""
        part.losses += 1
        self._back.append(part)


def _spoken(script: Script, pieces: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Pieces that all have words: turns without any go with those that follow, at the end with those before."""
    found: list[tuple[int, ...]] = []
    waiting: tuple[int, ...] = ()
    for piece in pieces:
        waiting += piece
        if any(has_words(script.turns[turn].text) for turn in piece):
            found.append(waiting)
            waiting = ()
    return [*found[:-1], found[-1] + waiting] if found else [waiting]

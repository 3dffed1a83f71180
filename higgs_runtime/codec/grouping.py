"""Frames as they come, joined to pieces that decode well: small at first, for an early sound, then larger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, repeat

import torch

from ..types import Codes


@dataclass(frozen=True)
class PieceSizes:
    """Frames of the first pieces, and of all that follow."""

    first: tuple[int, ...]
    later: int

    def __iter__(self) -> Iterator[int]:
        return chain(self.first, repeat(self.later))


# The codec looks 10 frames ahead. Each piece is decoded with some frames around it: the longer, the cheaper.
STREAMED = PieceSizes((12, 12), 25)  # to who waits for the next second
BESIDE_GENERATION = PieceSizes((12, 12, 25, 25), 50)  # in a thread that takes time from the model


@dataclass(eq=False)
class FrameGroups:
    """Chunks of codes in, pieces of at least the next size out."""

    sizes: PieceSizes
    _waiting: list[Codes] = field(default_factory=list)

    def __post_init__(self):
        self._sizes = iter(self.sizes)
        self._size = next(self._sizes)

    def add(self, codes: Codes, *, more: bool = False) -> Codes | None:
        """The piece that is whole with these, if one is.

        Args:
            more: others wait already: the piece becomes larger, for a codec that is behind.
        """
        self._waiting.append(codes)
        if more or sum(one.frames for one in self._waiting) < self._size:
            return None
        self._size = next(self._sizes)
        return self.rest()

    def rest(self) -> Codes | None:
        """All that waits, whatever its size; None if nothing does."""
        waiting, self._waiting = self._waiting, []
        return replace(waiting[0], ids=torch.cat([one.ids for one in waiting], dim=1)) if waiting else None

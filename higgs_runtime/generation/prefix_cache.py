"""What the slots of a KV cache hold: a prompt that begins like an earlier one is read from where they part.

Letters in shapes: K codebooks, S positions.
"""

from __future__ import annotations

from collections.abc import Container

import torch
from torch import Tensor

from ..errors import MemoryShortError
from ..model import HiggsModel, KVCache, ModelConfig, new_cache
from ..types import Prompt

LEAST_SHIFTED = 32  # positions that are worth moving up


class PrefixCache:
    """A KV cache with the keys of what each slot holds.

    Args:
        codebooks: K.
        rolling: where a prompt goes on like an earlier one after a gap, what follows is moved up; see `Session`.
        asked: slots that were asked for; the cache has fewer where memory is short.
    """

    def __init__(self, cache: KVCache, codebooks: int, rolling: bool, asked: int):
        self.cache, self.codebooks, self.rolling, self.asked = cache, codebooks, rolling, asked
        self.clear()

    def insert(self, slot: int, keys: Tensor) -> None:
        """The slot holds the positions with these keys [S, 1 + K], and no others."""
        self._held[slot] = keys

    def clear(self) -> None:
        nothing = torch.empty((0, 1 + self.codebooks), dtype=torch.long)
        self._held = [nothing] * self.cache.batch

    def swap(self, a: int, b: int) -> None:
        """Two slots change places."""
        self.cache.swap(a, b)
        self._held[a], self._held[b] = self._held[b], self._held[a]

    def look_up(self, slot: int, keys: Tensor, busy: Container[int]) -> int:
        """Have a slot hold as much of a prompt's beginning as any slot does.

        Args:
            keys: of the prompt, [S, 1 + K].
            busy: slots that still need what they hold.

        Returns:
            How many positions it holds then.
        """
        shared = [common_start(held, keys) for held in self._held]
        best = max(range(len(shared)), key=lambda one: (shared[one], one == slot))
        if best != slot and best in busy:
            self.cache.copy(best, slot, shared[slot], shared[best])
            return shared[best]
        if best != slot:  # nobody needs it there, and what this slot holds may serve another prompt
            self.swap(best, slot)
        return self._shift(slot, keys, shared[best]) if self.rolling else shared[best]

    def _shift(self, slot: int, keys: Tensor, start: int) -> int:
        """Move up what the slot holds of a prompt after a gap; how many positions it holds then."""
        held, end, source = self._held[slot], start, start
        while True:
            gap, count = continued(held[source:], keys[end:])
            if count < LEAST_SHIFTED:
                return end
            self.cache.move_up(slot, source + gap, end, count)
            source, end = source + gap + count, end + count

    def has_room(self, capacity: int, batch: int) -> bool:
        """Whether it serves so many slots of so many positions; fewer slots where there was no memory for more."""
        return self.cache.capacity >= capacity and self.asked >= batch

    def grown(self, model: HiggsModel, capacity: int, batch: int) -> PrefixCache | None:
        """A larger one that holds the same; None where there is no memory for both."""
        try:
            cache = new_cache(model, capacity, batch, self.cache.keys.dtype)
        except MemoryShortError:
            return None
        if cache.batch < self.cache.batch:
            return None
        cache.take_over(self.cache)
        larger = PrefixCache(cache, self.codebooks, self.rolling, batch)
        larger._held[: self.cache.batch] = self._held
        return larger


def position_keys(prompt: Prompt, config: ModelConfig) -> Tensor:
    """What tells the positions of a prompt apart [S, 1 + K]: a token id, or -1 and a row of ids."""
    ids, rows = prompt.token_ids, prompt.audio_rows
    audio = config.is_audio(ids)
    keys = torch.full((len(ids), 1 + config.num_codebooks), -1)
    keys[:, 0] = torch.where(audio, -1, ids)
    keys[audio, 1:] = rows
    return keys


def common_start(a: Tensor, b: Tensor) -> int:
    """How many rows two tables [*, n] share from the top."""
    length = min(len(a), len(b))
    different = (a[:length] != b[:length]).any(dim=1)
    return int(different.int().argmax()) if bool(different.any()) else length


def continued(held: Tensor, keys: Tensor) -> tuple[int, int]:
    """(gap, count): behind how many rows a table [*, n] goes on like another one, and how long; the longest."""
    if not len(keys):
        return 0, 0
    places = (held == keys[0]).all(dim=1).nonzero().flatten().tolist()
    found = [(gap, common_start(held[gap:], keys)) for gap in places]
    return max(found, default=(0, 0), key=lambda one: one[1])

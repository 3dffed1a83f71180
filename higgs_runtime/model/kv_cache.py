"""Keys and values of the positions read so far, in buffers of fixed size, written in place.

A `Place` tells the model where the positions of one call stand: which rows of the cache, how they are rotated, and
what each may see. Rows of different length run together; each reads its own filled part and no other.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import SettingError
from .config import ModelConfig
from .rope import rotate


class Place:
    """A sequence of its own, without a cache.

    Args:
        shape: (B, S) of the call.
        rope: rotation of its positions [B or 1, S, 2, D].

    Attributes:
        cos, sin: [B or 1, S, 1, D].
        mask: what is added to the scores [B, 1, 1, T], or None where every key before a query is its own.
    """

    mask: Tensor | None = None

    def __init__(self, shape: tuple[int, int], rope: Tensor):
        self.shape = shape
        self.cos, self.sin = rope.split(1, dim=2)

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keep keys and values [B, kv_heads, S, D] of a layer; return those that the call attends to."""
        return keys, values


class OneRow(Place):
    """S positions of one row of a cache, from `start` on."""

    def __init__(self, cache: KVCache, row: int, start: int, count: int):
        super().__init__((1, count), cache.rope[None, start : start + count])
        self.keys, self.values, self.row, self.start, self.end = cache.keys, cache.values, row, start, start + count

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        own_keys, own_values = self.keys[layer, self.row, :, : self.end], self.values[layer, self.row, :, : self.end]
        own_keys[:, self.start :] = keys[0]
        own_values[:, self.start :] = values[0]
        return own_keys[None].to(keys.dtype), own_values[None].to(values.dtype)


class NextPosition(Place):
    """One position of each of the first B rows of a cache, read from the device: nothing here waits for it.

    Args:
        positions: LongTensor [B], where each row writes.
        span: keys that are looked at, at least max(positions) + 1.
    """

    def __init__(self, cache: KVCache, positions: Tensor, span: int):
        count = len(positions)
        super().__init__((count, 1), cache.rope[positions][:, None])
        self.keys, self.values, self.positions, self.span = cache.keys, cache.values, positions, span
        self.rows = cache.row_numbers[:count]
        self.mask = cache.rope.new_zeros(count, 1, 1, span)
        self.mask.masked_fill_((cache.position_numbers[:span] > positions[:, None])[:, None, None], -torch.inf)

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        found = []
        for store, new in ((self.keys[layer], keys), (self.values[layer], values)):
            store.transpose(1, 2)[self.rows, self.positions] = new[:, :, 0].to(store.dtype)
            found.append(store[: len(self.rows), :, : self.span].to(new.dtype))
        return found[0], found[1]


class KVCache:
    """Static key/value cache of B rows.

    Args:
        config: gives layers, key/value heads and head size.
        capacity: positions that fit into a row.
        rope: rotation of every position [capacity, 2, D].

    Attributes:
        keys, values: [layers, B, kv_heads, capacity, D].
        lengths: positions filled in each row, a list of int [B].
    """

    def __init__(self, config: ModelConfig, capacity: int, rope: Tensor, *, batch: int = 1, device=None, dtype=None):
        shape = (config.num_layers, batch, config.num_kv_heads, capacity, config.head_dim)
        # A row also meets what stands behind its end, masked: 0 times NaN is NaN, so it must be numbers.
        self.keys, self.values = (torch.zeros(shape, device=device, dtype=dtype) for _ in range(2))
        self.rope = rope
        self.row_numbers = torch.arange(batch, device=device)
        self.position_numbers = torch.arange(capacity, device=device)
        self.lengths = [0] * batch

    @staticmethod
    def bytes_per_position(config: ModelConfig, dtype: torch.dtype) -> int:
        """Bytes of one position of one row."""
        return 2 * config.num_layers * config.num_kv_heads * config.head_dim * dtype.itemsize

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    @property
    def batch(self) -> int:
        return self.keys.shape[1]

    def extend(self, row: int, count: int) -> Place:
        """The place of the next `count` positions of a row; `add` makes them count once they are written.

        Raises:
            SettingError: the positions do not fit.
        """
        self.check(self.lengths[row] + count)
        return OneRow(self, row, self.lengths[row], count)

    def next(self, positions: Tensor, span: int) -> Place:
        """The place of the next position of each of the first B rows; `add` makes them count.

        Args:
            positions: LongTensor [B] on the device, the rows' lengths.
            span: keys to look at, at least one more than the longest of these rows has.

        Raises:
            SettingError: a row is full.
        """
        self.check(max(self.lengths[: len(positions)]) + 1)
        return NextPosition(self, positions, span)

    def add(self, row: int, count: int = 1) -> None:
        """A row has read so many positions more."""
        self.lengths[row] += count

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Copy the positions start..end of a row to another one."""
        for store in (self.keys, self.values):
            store[:, target, :, start:end] = store[:, source, :, start:end]

    def move_up(self, row: int, start: int, target: int, count: int) -> None:
        """Bring `count` positions of a row from `start` to the earlier `target`; keys are turned back as far."""
        cos, sin = self.rope[start - target].to(self.keys.dtype)
        keys = rotate(self.keys[:, row, :, start : start + count], cos, -sin)
        self.keys[:, row, :, target : target + count] = keys
        self.values[:, row, :, target : target + count] = self.values[:, row, :, start : start + count].clone()

    def swap(self, a: int, b: int) -> None:
        """Two rows change places."""
        end = max(self.lengths[a], self.lengths[b])
        for store in (self.keys, self.values):
            kept = store[:, a, :, :end].clone()
            store[:, a, :, :end] = store[:, b, :, :end]
            store[:, b, :, :end] = kept
        self.lengths[a], self.lengths[b] = self.lengths[b], self.lengths[a]

    def take_over(self, other: KVCache) -> None:
        """Start with what another, smaller cache holds."""
        for row, length in enumerate(other.lengths):
            self.keys[:, row, :, :length] = other.keys[:, row, :, :length]
            self.values[:, row, :, :length] = other.values[:, row, :, :length]
            self.lengths[row] = length

    def check(self, end: int) -> None:
        """Raises:
        SettingError: a row has no room for so many positions.
        """
        if end > self.capacity:
            raise SettingError(
                "The key/value cache is full.",
                expected=f"at most {self.capacity} positions",
                got=str(end),
                remedy="Make the cache as long as prompt and max_frames together.",
            )

"""Keys and values of the positions read so far, in buffers of fixed size."""

from __future__ import annotations

import torch

from .config import ModelConfig
from .errors import SettingError


class KVCache:
    """Static key/value cache: written in place, read up to the filled part.

    Args:
        config: gives layers, key/value heads and head size.
        capacity: positions that fit.
        batch: rows B.

    Attributes:
        keys, values: [layers, B, kv_heads, capacity, head_dim].
        length: positions filled.
    """

    def __init__(self, config: ModelConfig, capacity: int, *, batch: int = 1, device=None, dtype=None):
        shape = (config.num_layers, batch, config.num_kv_heads, capacity, config.head_dim)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0

    @property
    def capacity(self) -> int:
        return self.keys.shape[3]

    def write(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Store [B, kv_heads, S, head_dim] behind the filled part; return both up to and including it.

        `advance` makes the positions count once every layer has written.

        Raises:
            SettingError: the positions do not fit.
        """
        end = self.length + keys.shape[2]
        if end > self.capacity:
            raise SettingError(
                "The key/value cache is full.", expected=f"at most {self.capacity} positions", got=str(end),
                remedy="Make the cache as long as prompt and max_frames together.",
            )
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, positions: int) -> None:
        self.length += positions

"""Rotary position embedding (Su et al. 2021): a position is a rotation of channel pairs, so only distances matter.

Letters in shapes: B batch, S positions, D of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .config import RopeConfig


def inverse_frequencies(rope: RopeConfig, head_dim: int) -> Tensor:
    """Rotation per position of each pair of channels, float32 [head_dim / 2], Llama-3 scaling applied."""
    exponents = torch.arange(0, head_dim, 2, device="cpu").float() / head_dim
    frequencies = 1.0 / rope.theta**exponents
    if rope.factor == 1.0:
        return frequencies
    turns = rope.original_context * frequencies / (2 * math.pi)  # full turns within the trained context
    keep = ((turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)).clamp(0, 1)
    return frequencies * (keep + (1 - keep) / rope.factor)


def rope_table(positions: Tensor, frequencies: Tensor, dtype: torch.dtype) -> Tensor:
    """Rotation at each position [S, 2, D]: its cosines, and its sines with the sign that `rotate` expects."""
    angles = torch.outer(positions.float(), frequencies.to(positions.device).float())
    sines = angles.sin()
    return torch.stack((angles.cos().repeat(1, 2), torch.cat((-sines, sines), dim=1)), dim=1).to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the channel pairs (i, i + D/2) of x [B, S, heads, D] by cos and sin [B or 1, S, 1, D] of `rope_table`."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)

"""Matrices in 8 or 4 bits with a scale each row or group: weight-only quantization, round to nearest.

Activations stay in floating point. Only the matrices of the layers are quantized; embeddings, norms and audio heads
are not.

Letters in shapes: N positions, I features in, O features out, G features that share a scale.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import SettingError

GROUP = 64  # features in that share a scale, of 4-bit weights
AT_ONCE = 2**20  # weights that are packed or unpacked


class Int8Linear(nn.Module):
    """x W^T with W = weight * scale, weight int8 [O, I], scale [O]."""

    def __init__(self, weight, bias: Tensor | None):
        super().__init__()
        packed, scale = _by_rows(_pack_int8, weight)
        self.register_buffer("weight", packed)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        if _has_int8_kernel(x.device.type):  # of bfloat16 activations; the weights are coarser than these
            out = torch._weight_int8pack_mm(flat.bfloat16(), self.weight, self.scale.bfloat16()).to(x.dtype)
        else:
            out = F.linear(flat, self.weight.to(x.dtype) * self.scale.to(x.dtype)[:, None])
        out = out if self.bias is None else out + self.bias
        return out.view(*x.shape[:-1], -1)

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """residual + self(x)."""
        return residual + self(x)


class Int4Linear(nn.Module):
    """x W^T with W = (nibble - 8) * scale, weight uint8 [O, I / 2] of two nibbles each, scale [O, I / G]."""

    def __init__(self, weight, bias: Tensor | None):
        super().__init__()
        packed, scale = _by_rows(_pack_int4, weight)
        self.register_buffer("weight", packed)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        step = max(1, AT_ONCE // x.shape[-1]) if x.device.type == "cpu" else len(self.weight)
        parts = [F.linear(x, self._unpacked(slice(start, start + step), x.dtype))
                 for start in range(0, len(self.weight), step)]
        out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        return out if self.bias is None else out + self.bias

    def _unpacked(self, rows: slice, dtype: torch.dtype) -> Tensor:
        """[some of O, I]."""
        packed, scale = self.weight[rows], self.scale[rows].to(dtype)
        weight = scale.new_empty((*packed.shape, 2))
        weight[..., 0], weight[..., 1] = packed & 15, packed >> 4
        return weight.view(*scale.shape, -1).sub_(8).mul_(scale[:, :, None]).flatten(1)

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """residual + self(x)."""
        return residual + self(x)


def _pack_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    scale = weight.abs().amax(dim=1).float().clamp_(min=1e-12) / 127
    steps = torch.div(weight, scale[:, None]).round_().clamp_(-127, 127)  # in float32
    return steps.to(torch.int8), scale.to(weight.dtype)


def _pack_int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    groups = weight.float().unflatten(1, (-1, _group(weight.shape[1])))
    furthest = groups.gather(2, groups.abs().argmax(dim=2, keepdim=True))  # it becomes -8, the longest reach
    scale = (furthest / -8).where(furthest != 0, torch.ones_like(furthest))
    nibbles = ((groups / scale).round_().clamp_(-8, 7) + 8).to(torch.uint8).flatten(1)
    return nibbles[:, ::2] | nibbles[:, 1::2] << 4, scale.squeeze(2).to(weight.dtype)


def _by_rows(pack: Callable[[Tensor], tuple[Tensor, Tensor]], weight) -> tuple[Tensor, Tensor]:
    """Packed some rows at a time, which is all that is there of the matrix in floating point.

    Args:
        weight: [O, I], a tensor or what is read when it is sliced.
    """
    step = max(1, AT_ONCE // weight.shape[1])
    packed, scale = (one.new_empty((len(weight), *one.shape[1:])) for one in pack(weight[:1]))
    for start in range(0, len(weight), step):
        packed[start : start + step], scale[start : start + step] = pack(weight[start : start + step])
    return packed, scale


KINDS = {"int8": Int8Linear, "int4": Int4Linear}


def check_quantization(name: str | None) -> None:
    """Raises:
        SettingError: there is no such quantization.
    """
    if name is not None and name not in KINDS:
        raise SettingError("There is no such quantization.", expected=" or ".join(map(repr, KINDS)) + ", or None",
                           got=repr(name), remedy="Choose one of these; int8 loses least.")


def bytes_per_weight(name: str | None, dtype: torch.dtype) -> float:
    """Bytes of a matrix's element; of 4-bit weights also its share of the scale."""
    return {None: dtype.itemsize, "int8": 1.0, "int4": 0.5 + dtype.itemsize / GROUP}[name]


def _group(features: int) -> int:
    return next(size for size in range(min(GROUP, features), 0, -1) if features % size == 0)


@cache
def _has_int8_kernel(device: str) -> bool:
    """Whether torch multiplies by int8 weights there without unpacking them first."""
    try:
        x = torch.ones((1, 32), dtype=torch.bfloat16, device=device)
        torch._weight_int8pack_mm(x, torch.ones((32, 32), dtype=torch.int8, device=device), x[0])
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    return True

"""Matrices of the language model: plain, or packed from several of a checkpoint.

Letters in shapes: N positions, I features in, O features out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

FEW = 16  # positions: as many as a step has


class Linear(nn.Linear):
    """nn.Linear that is fast for few positions on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[:-1].numel() <= FEW and _shared_out(self.weight) > 1:
            out = few_rows(x.reshape(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)
            return out if self.bias is None else out + self.bias
        return super().forward(x)


class PackedLinear(Linear):
    """Several matrices on the same input, stored as one.

    Attributes:
        parts: name → output features, in the order of the rows.
    """

    def __init__(self, in_features: int, parts: Mapping[str, int], bias: bool):
        super().__init__(in_features, sum(parts.values()), bias=bias)
        self.parts = dict(parts)


def few_rows(x: Tensor, weight: Tensor) -> Tensor:
    """x W^T for x [N, I] and W [O, I], each core with rows of W of its own.

    BLAS libraries give such a slim product to one core, which cannot read W as fast as the memory allows.
    """
    cores = _shared_out(weight)
    parts = weight.view(cores, -1, weight.shape[1]).transpose(1, 2)
    out = torch.bmm(x.expand(cores, *x.shape), parts)
    return out.view(1, -1) if len(x) == 1 else out.transpose(0, 1).reshape(len(x), -1)


def _shared_out(weight: Tensor) -> int:
    """Among how many cores the rows of a matrix are shared out; 1 where that would not help."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or weight.requires_grad:
        return 1
    cores = torch.get_num_threads()
    while weight.shape[0] % cores:
        cores -= 1
    return cores

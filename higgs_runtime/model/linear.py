"""Matrices of the language model: plain, or packed from several of a checkpoint.

Letters in shapes: N positions, I features in, O features out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

FEW = 16  # positions: as many as a step has
ROWS = 1026  # of a matrix that are there in float32 at a time: one codebook's


class Linear(nn.Linear):
    """nn.Linear that is fast for few positions on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[:-1].numel() <= FEW and _shared_out(self.weight) > 1:
            out = few_rows(x.reshape(-1, x.shape[-1]), self.weight).view(*x.shape[:-1], -1)
            return out if self.bias is None else out + self.bias
        return super().forward(x)


class AudioHead(Linear):
    """Hidden states [..., I] → float32 logits [..., O], by default without the rounding of the weights' dtype.

    Logits of the released v3 are 43 to 119, where bfloat16 knows steps of 0.25 and 0.5: at a low temperature one step
    changes a probability several times.
    """

    def forward(self, x: Tensor, exact: bool = True, in_float32: Tensor | None = None) -> Tensor:
        """
        Args:
            exact: multiply in float32, whatever the weights are. False: in their dtype, as Boson AI's own code does.
            in_float32: the weights, for a device that is slow to turn them each time; see `kept_in_float32`.
        """
        if not exact or self.weight.dtype == torch.float32:
            return super().forward(x).float()
        x = x.float()
        if in_float32 is not None:
            return nn.functional.linear(x, in_float32)
        return torch.cat([nn.functional.linear(x, rows.float()) for rows in self.weight.split(ROWS)], dim=-1)

    def kept_in_float32(self) -> Tensor | None:
        """The weights in float32 on a CPU, where that is not what they are: 0.1 GB for a released model."""
        on_cpu = self.weight.device.type == "cpu" and self.weight.dtype != torch.float32
        return self.weight.detach().float() if on_cpu else None


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

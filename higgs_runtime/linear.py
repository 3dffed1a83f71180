"""Matrices of the language model: plain, packed from several of a checkpoint, each able to add to a residual."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """nn.Linear that can add its result to something in the same call."""

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """residual + self(x), both [N, features]."""
        if self.bias is not None:
            return residual + self(x)
        return torch.addmm(residual, x, self.weight.t())


class PackedLinear(Linear):
    """Several matrices on the same input, stored as one.

    Attributes:
        parts: name → output features, in the order of the rows.
    """

    def __init__(self, in_features: int, parts: Mapping[str, int], bias: bool):
        super().__init__(in_features, sum(parts.values()), bias=bias)
        self.parts = dict(parts)

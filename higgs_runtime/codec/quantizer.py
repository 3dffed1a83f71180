"""Residual vector quantization: each codebook describes what the ones before it left over.

Source: Zeghidour et al. 2021, "SoundStream" (arXiv:2107.03312), algorithm 1, with a projection into and out of each
codebook. Letters in shapes: B batch, D width, F frames, K codebooks, N entries.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ..typed_modules import ModulesOf


class Codebook(nn.Module):
    """N entries [N, width], in a dtype of their own. Distances are computed in float32 whatever it is."""

    embed: torch.Tensor

    def __init__(self, size: int, width: int):
        super().__init__()
        self.register_buffer("embed", torch.zeros(size, width))

    def nearest(self, vectors: torch.Tensor) -> torch.Tensor:
        """[B, F, width] -> ids [B, F] of the entries at the smallest Euclidean distance."""
        flat, entries = vectors.flatten(0, 1).float(), self.embed.float()
        distances = (
            flat.square().sum(1, keepdim=True) - 2 * flat @ entries.t() + entries.square().sum(1, keepdim=True).t()
        )
        return distances.argmin(1).view(vectors.shape[:-1])


class VectorQuantizer(nn.Module):
    """One codebook with its projections, on channels-last vectors [B, F, D]."""

    def __init__(self, width: int, codebook_size: int, codebook_width: int):
        super().__init__()
        self.codebook = Codebook(codebook_size, codebook_width)
        self.project_in = nn.Linear(width, codebook_width)
        self.project_out = nn.Linear(codebook_width, width)

    def encode(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.codebook.nearest(self.project_in(vectors))

    def decode(self, ids: torch.Tensor) -> torch.Tensor:
        return self.project_out(functional.embedding(ids, self.codebook.embed).to(self.project_out.weight.dtype))


class ResidualQuantizer(nn.Module):
    """K codebooks in a row."""

    def __init__(self, codebooks: int, width: int, codebook_size: int, codebook_width: int):
        super().__init__()
        self.quantizers = ModulesOf(VectorQuantizer(width, codebook_size, codebook_width) for _ in range(codebooks))

    def encode(self, vectors: torch.Tensor) -> torch.Tensor:
        """[B, F, D] -> ids [B, K, F]."""
        residual, ids = vectors, []
        for quantizer in self.quantizers:
            ids.append(quantizer.encode(residual))
            residual = residual - quantizer.decode(ids[-1])
        return torch.stack(ids, dim=1)

    def decode(self, ids: torch.Tensor) -> torch.Tensor:
        """ids [B, K, F] -> [B, F, D]."""
        total = self.quantizers[0].decode(ids[:, 0])
        for level in range(1, len(self.quantizers)):
            total = total + self.quantizers[level].decode(ids[:, level])
        return total

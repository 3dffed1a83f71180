"""Choosing the next id of every codebook: temperature, top-k, top-p and repetition-aware sampling. Pure functions."""

from __future__ import annotations

import torch
from torch import Tensor

from .types import Sampling


def probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """Tempered and filtered distribution [..., V] of float32 logits [..., V].

    Temperature first, then top-k (ties with the k-th stay), then nucleus sampling (Holtzman et al. 2019): the least
    likely ids whose probabilities sum to at most 1 - top_p go. Temperature 0 puts everything on the most likely id.
    """
    if sampling.temperature == 0.0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits).scatter(-1, best, 1.0)
    logits = logits / sampling.temperature
    if 0 < sampling.top_k < logits.shape[-1]:
        kth = logits.topk(sampling.top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if sampling.top_p < 1.0:
        ascending, order = logits.sort(dim=-1)
        drop = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1.0 - sampling.top_p
        drop[..., -1] = False
        logits = logits.masked_fill(drop.scatter(-1, order, drop), -torch.inf)
    return logits.softmax(dim=-1)


def sample(logits: Tensor, history: Tensor, sampling: Sampling, generator: torch.Generator, entries: int) -> Tensor:
    """Draw one id per codebook.

    Repetition-aware sampling (VALL-E 2, Chen et al. 2024): an id that already stands `ras_max_repeats` times or more
    among its codebook's last `ras_window` ids is drawn again from the distribution before temperature and filters.
    Stream ids do not count as repetitions. At temperature 0 the most likely id stays, repeated or not.

    Args:
        logits: float32 [K, V].
        history: LongTensor [W, K], the rows drawn so far; only the last `ras_window` matter.
        generator: on the device of the logits; every call takes the same number of random values from it.
        entries: codebook entries; ids from there on are stream ids.

    Returns:
        LongTensor [K].
    """
    # argmax(p / exponential noise) draws from p: the exponential race, row by row independent.
    uniform = torch.rand((2, *logits.shape), device=logits.device, generator=generator)
    noise = uniform.clamp_(min=1e-8).log_().neg_()  # rand can be 0, and an infinite noise would rule an id out
    ids = (probabilities(logits, sampling) / noise[0]).argmax(dim=-1)
    if sampling.ras_window == 0 or sampling.temperature == 0.0:
        return ids
    window = history[-sampling.ras_window :]
    repeats = ((window == ids) & (window < entries)).sum(dim=0)
    again = (logits.softmax(dim=-1) / noise[1]).argmax(dim=-1)
    return torch.where(repeats >= sampling.ras_max_repeats, again, ids)

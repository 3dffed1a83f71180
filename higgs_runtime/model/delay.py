"""The delay pattern: codebook k of a frame is read and written k positions later (MusicGen, Copet et al. 2023)."""

from __future__ import annotations

import torch
from torch import Tensor


def delayed_rows(codes: Tensor, bos_id: int, eos_id: int) -> Tensor:
    """A whole clip as the language model reads it.

    A stream-begin column, the codes and a stream-end column, each codebook shifted by its index; the corners are
    filled with begin ids on the left and end ids on the right.

    Args:
        codes: LongTensor [K, F].

    Returns:
        LongTensor [F + 2 + K - 1, K].
    """
    num_codebooks, frames = codes.shape
    rows = torch.full((frames + num_codebooks + 1, num_codebooks), eos_id, dtype=torch.long, device=codes.device)
    for k in range(num_codebooks):
        rows[: k + 1, k] = bos_id
        rows[k + 1 : k + 1 + frames, k] = codes[k]
    return rows


def undelay(rows: Tensor) -> Tensor:
    """Delayed rows [F + K - 1, K], without begin and end columns, back to codes [K, F]."""
    num_codebooks = rows.shape[1]
    frames = max(rows.shape[0] - num_codebooks + 1, 0)
    return torch.stack([rows[k : k + frames, k] for k in range(num_codebooks)])

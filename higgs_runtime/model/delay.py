"""The delay pattern: codebook k of a frame is read and written k positions later (MusicGen, Copet et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """How a stream of K codebooks ends once one of them draws stream-end (see generation/schedule.py).

    Attributes:
        holds: any free codebook's draw counts, and the others are held at stream-end in their turn; else only that of
            codebook 0 counts, and nothing is held.
        counts_from_drawer: as if codebook 0 had drawn it, as many steps before as the drawing codebook's index says.
        further_rows: that follow from the end step on, beside K.
    """

    holds: bool = True
    counts_from_drawer: bool = False
    further_rows: int = 1


NATIVE_STOP = StopRule()
ORIGINAL_STOP = StopRule(counts_from_drawer=True, further_rows=0)
V3_STOP = StopRule(holds=False, further_rows=-1)


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


def begun_rows(codes: Tensor, bos_id: int) -> tuple[Tensor, Tensor]:
    """What a take that begins with given frames has written by then, and what is settled of the rows to come.

    Args:
        codes: LongTensor [K, F], F at least 1.

    Returns:
        LongTensor [F + 1, K], the delayed rows in which no codebook is free; and LongTensor [K - 1, K], the rows that
        follow: the given ids of codebooks that lag behind, -1 where the model chooses.
    """
    num_codebooks, frames = codes.shape
    whole = delayed_rows(codes, bos_id, -1)
    return whole[: frames + 1], whole[frames + 1 : frames + num_codebooks]


def undelay(rows: Tensor) -> Tensor:
    """Delayed rows [F + K - 1, K], without begin and end columns, back to codes [K, F]."""
    num_codebooks = rows.shape[1]
    frames = max(rows.shape[0] - num_codebooks + 1, 0)
    return torch.stack([rows[k : k + frames, k] for k in range(num_codebooks)])

"""Choosing the next id of every codebook: temperature, top-k, top-p and repetition-aware sampling. Pure functions.

Letters in shapes: B rows, K codebooks, V ids, W rows of history. All rows are drawn at once, each by its own settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..types import Sampling

BELOW_ONE = 1 - 2**-20  # a uniform number nearer to 1 could round up to the whole of a distribution


@dataclass(frozen=True)
class Settings:
    """`Sampling` of B rows as tensors. What no row asks for is None, and is not computed.

    Attributes:
        temperature: [B, 1, 1], 1 where a row takes the most likely id.
        greedy: bool [B, 1], rows at temperature 0.
        top_k: [B, 1, 1], at least 1, where a row uses top-k or top-p; `widest` is its largest.
        top_p: [B, 1, 1].
        window: bool [W, B, 1], the rows of the history in which repetitions count.
        max_repeats: [B, 1].
    """

    temperature: Tensor
    greedy: Tensor | None
    top_k: Tensor | None
    widest: int
    top_p: Tensor | None
    window: Tensor | None
    max_repeats: Tensor

    @classmethod
    def of(cls, rows: Sequence[Sampling], ids: int, history: int, device: torch.device | str = "cpu") -> Settings:
        """Settings for V = `ids` ids and a history of W = `history` rows."""

        def column(values: list, *shape: int) -> Tensor:
            return torch.tensor(values, device=device).view(-1, *shape)

        top_k = [kept_ids(row, ids) for row in rows]
        top_p = [float(row.top_p) for row in rows]
        wanted = [0 if row.temperature == 0 else row.ras_window for row in rows]
        age = torch.arange(history, 0, -1, device=device)[:, None, None]
        return cls(
            temperature=column([float(row.temperature) or 1.0 for row in rows], 1, 1),
            greedy=column([row.temperature == 0 for row in rows], 1) if any(r.temperature == 0 for r in rows) else None,
            top_k=column(top_k, 1, 1) if min(top_k) < ids or min(top_p) < 1 else None,
            widest=max(top_k),
            top_p=column(top_p, 1, 1) if min(top_p) < 1 else None,
            window=age <= column(wanted, 1) if max(wanted) else None,
            max_repeats=column([row.ras_max_repeats for row in rows], 1),
        )

    def __len__(self) -> int:
        return len(self.temperature)

    @property
    def form(self) -> tuple:
        """What is computed: the same for settings that differ only in the values of their tensors."""
        return tuple(None if isinstance(value, Tensor) else value or 0 for value in vars(self).values())

    def become(self, other: Settings) -> None:
        """Take over the values of another one of the same form and as many rows, in place."""
        theirs = vars(other)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                value.copy_(theirs[name])


def kept_ids(sampling: Sampling, ids: int) -> int:
    """Its top_k among V = `ids` ids, where 0 keeps all."""
    return min(sampling.top_k, ids) or ids


def probabilities(logits: Tensor, settings: Settings) -> Tensor:
    """Tempered and filtered distribution [B, K, V] of float32 logits [B, K, V].

    Temperature first, then top-k, then nucleus sampling (Holtzman et al. 2019): the most likely ids that together
    reach top_p stay. Ids as likely as the last one that stays stay too.
    """
    logits = logits / settings.temperature
    if settings.top_k is not None:
        best = logits.topk(settings.widest, dim=-1).values
        last = best.gather(-1, _kept(best, settings.top_k, settings.top_p) - 1)
        logits = logits.masked_fill(logits < last, -torch.inf)
    return logits.softmax(dim=-1)


def _kept(best: Tensor, top_k: Tensor, top_p: Tensor | None) -> Tensor:
    """How many of the most likely logits [B, K, widest], in falling order, stay: [B, K, 1]."""
    if top_p is None:
        return top_k.expand(*best.shape[:2], 1)
    within = torch.arange(best.shape[-1], device=best.device) < top_k
    chances = best.masked_fill(~within, -torch.inf).softmax(dim=-1)
    before = chances.cumsum(dim=-1) - chances  # what the more likely ones reach together
    return (within & (before < top_p)).sum(dim=-1, keepdim=True).clamp_(min=1)


def draw(chances: Tensor, uniform: Tensor) -> Tensor:
    """The id [B, K] in whose part of the distribution [B, K, V] the number [B, K] from 0 to 1 falls."""
    reached = chances.cumsum(dim=-1)
    wanted = uniform.clamp(max=BELOW_ONE)[..., None] * reached[..., -1:]
    ids = torch.searchsorted(reached, wanted, right=True).squeeze(-1)
    return ids.clamp_(max=chances.shape[-1] - 1)  # where the distribution is NaN: an id all the same


def sample(
    logits: Tensor, history: Tensor, settings: Settings, uniform: Tensor, entries: int, *, look: bool = False
) -> Tensor:
    """Draw one id per row and codebook.

    Repetition-aware sampling (VALL-E 2, Chen et al. 2024): an id that already stands `ras_max_repeats` times or more
    among its codebook's last `ras_window` ids is drawn again from the distribution before temperature and filters.
    Stream ids do not count as repetitions. At temperature 0 the most likely id stays, repeated or not.

    Args:
        logits: float32 [B, K, V].
        history: LongTensor [W, B, K], the last ids, as many as the longest window has.
        uniform: from 0 to 1, [2, B, K]: for the first draw, and for drawing again.
        entries: codebook entries; ids from there on are stream ids.
        look: whether anything is repeated, and draw again only then. Free on a CPU; elsewhere the host would wait, and
            a recording cannot.

    Returns:
        LongTensor [B, K].
    """
    ids = draw(probabilities(logits, settings), uniform[0])
    if settings.window is not None:
        repeats = ((history == ids) & settings.window & (history < entries)).sum(dim=0)
        repeated = repeats >= settings.max_repeats
        if not look or bool(repeated.any()):
            ids = torch.where(repeated, draw(logits.softmax(dim=-1), uniform[1]), ids)
    if settings.greedy is not None:
        ids = torch.where(settings.greedy, logits.argmax(dim=-1), ids)
    return ids

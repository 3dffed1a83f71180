"""One prompt on its way through a session, and what tells its positions apart.

Letters in shapes: K codebooks, S positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import PromptError
from ..model.config import ModelConfig
from ..types import Prompt, Sampling
from .schedule import Take

ShouldEnd = Callable[[int, Tensor], bool]


@dataclass(eq=False)
class Job:
    """One prompt on its way.

    Attributes:
        keys: LongTensor [S, 1 + K] that tells positions apart: a token id, or -1 and a row of ids.
        frames: [K, n] each, in order.
        row: of the cache, while it speaks.
    """

    index: int
    prompt: Prompt
    sampling: Sampling
    keys: Tensor
    take: Take
    random: torch.Generator
    should_end: ShouldEnd | None
    frames: list[Tensor] = field(default_factory=list)
    started: float | None = None
    seconds: float = 0.0
    reused: int | None = None
    speaks: bool = False


def position_keys(prompt: Prompt, config: ModelConfig) -> Tensor:
    """What tells the positions of a prompt apart [S, 1 + K]: a token id, or -1 and a row of ids."""
    ids, rows = prompt.token_ids, prompt.audio_rows
    audio = config.is_audio(ids)
    keys = torch.full((len(ids), 1 + config.num_codebooks), -1)
    keys[:, 0] = torch.where(audio, -1, ids)
    keys[audio, 1:] = rows
    return keys


def common_start(a: Tensor, b: Tensor) -> int:
    """How many rows two tables [*, n] share from the top."""
    length = min(len(a), len(b))
    different = (a[:length] != b[:length]).any(dim=1)
    return int(different.int().argmax()) if bool(different.any()) else length


def continued(known: Tensor, keys: Tensor) -> tuple[int, int]:
    """(gap, count): behind how many rows a table [*, n] goes on like another one, and how long; the longest."""
    if not len(keys):
        return 0, 0
    places = (known == keys[0]).all(dim=1).nonzero().flatten().tolist()
    found = [(gap, common_start(known[gap:], keys)) for gap in places]
    return max(found, default=(0, 0), key=lambda one: one[1])


def positions_of(prompt: Prompt, sampling: Sampling, config: ModelConfig) -> int:
    """Positions of a prompt and its take: one stream-begin row and max_frames + K - 1 delayed rows."""
    return len(prompt) + sampling.max_frames + config.num_codebooks


def check_length(prompt: Prompt, sampling: Sampling, config: ModelConfig) -> None:
    """Raises:
        PromptError: a prompt and its longest take do not fit the model's positions.
    """
    needed, limit = positions_of(prompt, sampling, config), config.max_positions
    if needed > limit:
        raise PromptError(
            "Prompt and audio are longer than the model can read.", expected=f"at most {limit} positions",
            got=f"{len(prompt)} of prompt + {needed - len(prompt)} for the audio",
            remedy="Use shorter reference clips or text, or a smaller maximum length.",
        )

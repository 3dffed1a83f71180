"""One prompt on its way through a session.

Letters in shapes: K codebooks, S positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..errors import PromptError
from ..model import ModelConfig
from ..types import Prompt, Sampling
from .repetition import RepetitionGuard
from .schedule import WrittenRows

ShouldEnd = Callable[[int, Tensor], bool]


@dataclass(eq=False)
class GenerationRequest:
    """One prompt on its way.

    Attributes:
        keys: LongTensor [S, 1 + K] that tells positions apart: a token id, or -1 and a row of ids.
        frames: [K, n] each, in order.
        reused: positions of the prompt that were not read again; None before it is admitted.
        speaks: its prompt was read.
        guard: ends it where it repeats itself; None: nothing does.
    """

    index: int
    prompt: Prompt
    sampling: Sampling
    keys: Tensor
    written: WrittenRows
    random: torch.Generator
    should_end: ShouldEnd | None
    frames: list[Tensor] = field(default_factory=list)
    started: float = 0.0
    seconds: float = 0.0
    reused: int | None = None
    speaks: bool = False
    guard: RepetitionGuard | None = None


def positions_of(prompt: Prompt, sampling: Sampling, config: ModelConfig) -> int:
    """Positions of a prompt and its take: one stream-begin row and max_frames + K - 1 delayed rows."""
    return len(prompt) + sampling.max_frames + config.num_codebooks


def with_length_warning(prompt: Prompt, sampling: Sampling, config: ModelConfig) -> Prompt:
    """The prompt, with a warning where it and its longest take go beyond what the model was trained on."""
    needed, trained = positions_of(prompt, sampling, config), config.trained_positions
    if needed <= trained:
        return prompt
    room_s = max(0, trained - len(prompt) - config.num_codebooks) // config.frame_rate
    warning = (
        f"Prompt ({len(prompt)}) and take (up to {needed - len(prompt)}) may come to {needed} positions; the model was "
        f"trained on {trained}, and drifts or falls silent beyond. Use shorter references, fewer turns of context or "
        f"shorter texts, or takes of at most {room_s:.0f} s."
    )
    return replace(prompt, warnings=(*prompt.warnings, warning))


def check_length(prompt: Prompt, sampling: Sampling, config: ModelConfig) -> None:
    """Raises:
    PromptError: a prompt and its longest take do not fit the model's positions.
    """
    needed, limit = positions_of(prompt, sampling, config), config.max_positions
    if needed > limit:
        raise PromptError(
            "Prompt and audio are longer than the model can read.",
            expected=f"at most {limit} positions",
            got=f"{len(prompt)} of prompt + {needed - len(prompt)} for the audio",
            remedy="Use shorter reference clips or text, or a smaller maximum length.",
        )

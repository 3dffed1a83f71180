"""What rendering a script takes of a device's memory beside the weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..model import ModelConfig, working_bytes
from ..types import Sampling, Voice
from .job import RenderSettings

TEMPLATE = 200  # positions of a prompt that are no line and no voice


def rendering_bytes(
    config: ModelConfig, dtype: torch.dtype, voices: Mapping[str, Voice], sampling: Sampling, settings: RenderSettings
) -> int:
    """About what it takes at most, for `settings.batch` rows: in continuous mode each reads all voices and turns."""
    references = [
        sum(codes.frames + len(words) // 2 for codes, words in voice.references) + len(voice.description)
        for voice in voices.values()
    ] or [0]
    spoken = min(sampling.max_frames, settings.max_chars * config.frame_rate / 10)  # slow speech: ten letters a second
    line = settings.max_chars // 2 + spoken
    if settings.mode == "independent":
        positions = max(references) + line
    else:
        positions = sum(references) + line * 2 * settings.context_turns
    return working_bytes(config, TEMPLATE + positions, dtype, settings.batch)

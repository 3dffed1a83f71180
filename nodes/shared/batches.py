"""ComfyUI's AUDIO with several clips in it, for nodes that work on each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..host.audio import clips_from_audio
from ..host.progress import raise_if_cancelled


def audio_from_clips(clips: list) -> dict[str, Any]:
    """AudioClips as one AUDIO.

    Raises:
        AudioError: a clip differs from the first in rate, channels or length.
    """
    from ...higgs_runtime import AudioError

    for number, clip in enumerate(clips):
        if _kind(clip) != _kind(clips[0]):
            raise AudioError(
                f"Clip {number} does not fit into one batch with clip 0.",
                expected=_kind(clips[0]),
                got=_kind(clip),
                remedy="Send them through one by one, or make them alike first.",
            )
    return {
        "waveform": torch.stack([clip.samples.detach().cpu() for clip in clips]),
        "sample_rate": clips[0].sample_rate,
    }


def each(function: Callable[..., Any], **audios: Any) -> dict[str, Any] | None:
    """What a function makes of the clips of each place in the batches, as one AUDIO. An input with one clip goes with
    every clip of the others.

    None, as from a film without sound, stays None where it is the first input; another that is None is left out.

    Raises:
        AudioError: see `clips_from_audio`; batches of different sizes, or results that do not fit into one; see
            `audio_from_clips`.
    """
    if next(iter(audios.values())) is None:
        return None
    batches = {name: clips_from_audio(audio) for name, audio in audios.items() if audio is not None}
    size = max(len(clips) for clips in batches.values())
    for name, clips in batches.items():
        if len(clips) not in (1, size):
            from ...higgs_runtime import AudioError

            raise AudioError(
                "The batches do not fit each other.",
                expected=f"1 or {size} clips in {name}",
                got=str(len(clips)),
                remedy="Give every input the same number of clips, or one.",
            )
    made = []
    for place in range(size):
        raise_if_cancelled()
        made.append(function(**{name: clips[place % len(clips)] for name, clips in batches.items()}))
    return audio_from_clips(made)


def _kind(clip) -> str:
    return f"{clip.channels} channels of {clip.length} samples at {clip.sample_rate} Hz"

"""ComfyUI's AUDIO with several clips in it, for nodes that work on each of them."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch

from ..host.audio import clip_from_audio, present
from ..host.progress import raise_if_cancelled


def clips_from_audio(audio: dict[str, Any] | None) -> list:
    """The AudioClips of a batch (waveform [B, C, T]).

    Raises:
        AudioError: another shape, no clips, no samples, or samples that are not finite.
    """
    audio = present(audio)
    waveform = audio["waveform"]
    if waveform.ndim != 3 or len(waveform) == 0:
        from ...higgs_runtime import AudioError

        raise AudioError(
            "This is not a batch of clips.",
            expected="a waveform [batch, channels, samples]",
            got=f"shape {list(waveform.shape)}",
            remedy="Check the node before.",
        )
    return [clip_from_audio({**audio, "waveform": one[None]}) for one in waveform]


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


def each(function: Callable[..., Any], **audios: dict[str, Any] | None) -> dict[str, Any]:
    """What a function makes of the clips of each place in the batches, as one AUDIO. An input with one clip goes with
    every clip of the others; an input that is None is left out where the function can do without it.

    Raises:
        AudioError: batches of different sizes, or results that do not fit into one; see `audio_from_clips`.
    """
    needed = {name for name, one in signature(function).parameters.items() if one.default is one.empty}
    batches = {name: clips_from_audio(audio) for name, audio in audios.items() if audio is not None or name in needed}
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

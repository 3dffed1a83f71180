"""ComfyUI's AUDIO and the runtime's AudioClip."""

from __future__ import annotations

from typing import Any

import torch

from ...higgs_runtime.errors import AudioError


def clip_from_audio(audio: dict[str, Any] | None):
    """ComfyUI's AUDIO (waveform [B, C, T]) as one AudioClip.

    Raises:
        AudioError: a batch of several clips, no samples, or samples that are not finite.
    """
    from ...higgs_runtime import AudioClip

    audio = present(audio)
    waveform, rate = audio["waveform"], int(audio["sample_rate"])
    if waveform.ndim != 3 or waveform.shape[0] != 1:
        raise AudioError(
            "This input takes one clip.",
            expected="a waveform [1, channels, samples]",
            got=f"shape {list(waveform.shape)}",
            remedy="Send the clips of a batch through one by one.",
        )
    if waveform.shape[-1] == 0:
        raise AudioError(
            "The clip is empty.",
            expected="at least one sample",
            got="0 samples",
            remedy="Check the node before: the file may be empty, or all of it was trimmed away.",
        )
    return AudioClip(waveform[0].detach().to("cpu", torch.float32).contiguous(), rate)


def present(audio: dict[str, Any] | None) -> dict[str, Any]:
    """The audio, unless there is none: some nodes of ComfyUI and of other packs hand on None.

    Raises:
        AudioError: it is None.
    """
    if audio is None:
        raise AudioError(
            "There is no audio at this input.",
            expected="AUDIO",
            got="None",
            remedy="The node before has none to give, as a video without sound: choose another file, or another node.",
        )
    return audio


def audio_from_clip(clip) -> dict[str, Any]:
    """An AudioClip as ComfyUI's AUDIO."""
    return {"waveform": clip.samples.detach().cpu().unsqueeze(0), "sample_rate": clip.sample_rate}

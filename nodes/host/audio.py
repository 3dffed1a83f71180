"""ComfyUI's AUDIO and the runtime's AudioClip. What other packs send as AUDIO is read as what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ...higgs_runtime.errors import AudioError

WITHIN = "higgs_within"  # a key beside ComfyUI's own
MOST_CHANNELS = 64  # as many rows of samples are no channels
FORM = "waveform [batch, channels, samples] with its sample_rate"


def clip_from_audio(audio: Any):
    """ComfyUI's AUDIO with one clip in it as an AudioClip.

    Raises:
        AudioError: a batch of several clips, or see `clips_from_audio`.
    """
    clips = clips_from_audio(audio)
    if len(clips) != 1:
        raise AudioError(
            "This input takes one clip.",
            expected="a waveform [1, channels, samples]",
            got=f"a batch of {len(clips)}",
            remedy="Send the clips of a batch through one by one.",
        )
    return clips[0]


def clips_from_audio(audio: Any) -> list:
    """The AudioClips of an AUDIO.

    Beside ComfyUI's own form (float [B, C, T]) are read: [C, T] and [T]; arrays; whole numbers, whose full scale is
    that of their type; a list of clips; mappings that make their sound when they are asked.

    Raises:
        AudioError: no sound, no rate, another form, no clips, no samples, or samples that are not finite.
    """
    if isinstance(audio, Sequence) and not isinstance(audio, (str, bytes)):
        if found := [clip for one in audio for clip in clips_from_audio(one)]:
            return found
    if audio is None:
        raise AudioError(
            "There is no sound at this input.",
            expected="a clip",
            got="nothing, as from a film without sound",
            remedy="Check the node before: the film may have no audio track.",
        )
    if not isinstance(audio, Mapping):
        raise _no_audio(f"a {type(audio).__name__}")
    rate = _rate(_part(audio, "sample_rate"))
    return [_clip(one, rate) for wave in _waves(_part(audio, "waveform")) for one in wave]


def audio_from_clip(clip, within: str = "") -> dict[str, Any]:
    """An AudioClip as ComfyUI's AUDIO.

    Args:
        within: which parts of a recording are synthetic, see `spans_of`.
    """
    audio = {"waveform": clip.samples.detach().cpu().unsqueeze(0), "sample_rate": clip.sample_rate}
    return {**audio, WITHIN: within} if within else audio


def spans_of(audio: Any) -> str:
    """Which parts of a recording are synthetic, as the node says that made this AUDIO; empty where it says nothing. It
    does not pass through other nodes, which may move them."""
    found = audio.get(WITHIN) if isinstance(audio, dict) else None
    return found if isinstance(found, str) else ""


class LazyAudio(Mapping):
    """ComfyUI's AUDIO of a clip that is made when a node first asks for it: one that nobody uses costs nothing."""

    def __init__(self, make: Callable[[], Any]):
        self._make, self._made = make, None

    def __getitem__(self, name: str) -> Any:
        if self._made is None:
            self._made = audio_from_clip(self._make())
        return self._made[name]

    def __iter__(self):
        return iter(("waveform", "sample_rate"))

    def __len__(self) -> int:
        return 2


def _part(audio: Mapping, name: str) -> Any:
    try:
        found = audio[name]
    except KeyError:
        found = None
    except Exception as error:  # whatever a pack raises that reads its file only now
        raise AudioError(
            "The sound at this input could not be made.",
            expected="a clip from the node before",
            got=str(error).split("\n")[0][:200] or type(error).__name__,
            remedy="Check the node before: the file may be gone, or have no audio track.",
        ) from error
    if found is None:
        raise _no_audio(f"no {name}" if audio else "an empty one")
    return found


def _rate(rate: Any) -> int:
    try:
        value = float(rate)
        whole = int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_audio(f"a sample_rate of {rate!r}"[:80]) from error
    if whole != value:
        raise _no_audio(f"a sample_rate of {value:g}")
    return whole


def _waves(waveform: Any) -> list[torch.Tensor]:
    """[B, C, T] each."""
    if isinstance(waveform, (list, tuple)):
        if waveform and all(isinstance(one, (int, float)) for one in waveform):
            return _waves(torch.tensor(waveform))
        return [wave for one in waveform for wave in _waves(one)] or _waves(torch.zeros(0, 1, 1))
    try:
        wave = torch.as_tensor(waveform)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _no_audio(f"a waveform that is a {type(waveform).__name__}") from error
    if not 1 <= wave.ndim <= 3 or (wave.ndim == 3 and len(wave) == 0):
        raise _no_audio(f"shape {list(wave.shape)}")
    wave = wave.reshape(*[1] * (3 - wave.ndim), *wave.shape)
    if wave.shape[1] > MOST_CHANNELS:
        raise _no_audio(f"shape {list(wave.shape)}: {wave.shape[1]} channels", "Turn it: channels come before samples.")
    return [_in_full_scale(wave)]


def _in_full_scale(wave: torch.Tensor) -> torch.Tensor:
    """float32, ±1."""
    wave = wave.detach().cpu()
    if wave.is_complex() or wave.dtype == torch.bool:
        raise _no_audio(f"samples of {wave.dtype}")
    if wave.is_floating_point():
        return wave.to(torch.float32)
    limits = torch.iinfo(wave.dtype)
    middle = 0 if limits.min < 0 else (limits.max + 1) // 2  # WAV's eight bits have no sign
    return ((wave.to(torch.float64) - middle) / (limits.max + 1 - middle)).to(torch.float32)


def _clip(wave: torch.Tensor, rate: int):
    from ...higgs_runtime import AudioClip

    if wave.shape[-1] == 0:
        raise AudioError(
            "The clip is empty.",
            expected="at least one sample",
            got="0 samples",
            remedy="Check the node before: the file may be empty, or all of it was trimmed away.",
        )
    return AudioClip(wave.contiguous(), rate)


def _no_audio(got: str, remedy: str = "Check the node before.") -> AudioError:
    return AudioError("This is no AUDIO.", expected=FORM, got=got, remedy=remedy)

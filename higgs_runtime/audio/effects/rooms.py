"""Rooms, by convolution."""

from __future__ import annotations

import torch

from ...errors import AudioError, check_range
from ..clip import AudioClip, resample
from .filters import TOP, low_pass


def synthetic_room(seconds: float = 0.6, sample_rate: int = 48_000, channels: int = 2) -> AudioClip:
    """An impulse for `room`: noise that falls by 60 dB in this time (0.05 to 10 s), and faster where it is high.

    Channels differ, which makes it wide. The same settings give the same samples.
    """
    check_range("seconds", seconds, 0.05, 10.0, "0.3 s is a living room, 2 s a church.")
    generator = torch.Generator().manual_seed(0)
    length = round(seconds * sample_rate)
    time = torch.arange(length) / sample_rate
    noise = [torch.randn(channels, length, generator=generator) for _ in range(2)]
    full, dull = (
        AudioClip(one * 1000 ** (-time / reach), sample_rate)
        for one, reach in zip(noise, (seconds * 0.4, seconds), strict=True)
    )
    dull = low_pass(dull, min(3000.0, TOP * sample_rate))
    return AudioClip(full.samples + 2 * dull.samples, sample_rate)


def room(clip: AudioClip, impulse: AudioClip, wet: float = 0.2) -> AudioClip:
    """The clip as it sounds in a room.

    Args:
        clip: any kind. A mono clip in a stereo room becomes stereo.
        impulse: what a clap in that room sounds like; mono, or as many channels as the clip. It is resampled, and
            scaled to unit energy, so that its level does not matter.
        wet: share of the room, 0 (the clip as it is) to 1 (the room alone).

    Returns:
        The clip with its tail, [C, T + samples of the impulse - 1].

    Raises:
        SettingError: wet out of its range.
        AudioError: an impulse that is silent, or whose channels do not fit.
    """
    from scipy.signal import oaconvolve

    check_range("wet", wet, 0.0, 1.0, "0.1 to 0.3 suits speech.")
    if not bool(impulse.samples.any()):
        raise AudioError(
            "There is no sound in the impulse.",
            expected="the echo of a room",
            got="silence",
            remedy="Give another recording.",
        )
    if clip.channels != 1 and impulse.channels not in (1, clip.channels):
        raise AudioError(
            "The impulse does not fit the clip.",
            expected=f"1 or {clip.channels} channels",
            got=f"{impulse.channels}",
            remedy="Mix the impulse down to mono.",
        )
    if clip.length == 0 or wet == 0:
        return clip
    echo = resample(impulse, clip.sample_rate).samples.detach().cpu().double()
    echo = echo / echo.square().sum(1).mean().sqrt()
    dry = clip.samples.detach().cpu().double()
    both = [(dry[number % len(dry)], echo[number % len(echo)]) for number in range(max(len(dry), len(echo)))]
    tail = echo.shape[1] - 1
    out = [
        (1 - wet) * torch.nn.functional.pad(one, (0, tail)) + wet * torch.from_numpy(oaconvolve(one, other))
        for one, other in both
    ]
    return AudioClip(torch.stack(out).float(), clip.sample_rate)

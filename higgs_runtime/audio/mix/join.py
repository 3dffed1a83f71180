"""Clips one after another."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...errors import AudioError, SettingError, check_range
from ..clip import EASE_S, AudioClip
from .mixer import Mixdown
from .track import Track


def join(clips: Sequence[AudioClip], crossfade_s: float = 0.02, gap_s: float = 0.0) -> AudioClip:
    """Lays clips end to end, without clicks.

    Args:
        clips: one or more. They are resampled to the highest rate; a mono clip goes to all channels of the others.
        crossfade_s: seconds, 0 or more, in which the end of a clip and the beginning of the next overlap, with equal
            power: what they have in common becomes up to 3 dB louder. 0 lays them edge to edge.
        gap_s: seconds of silence between them, 0 to 3600; then the ends fade for crossfade_s (5 ms where that
            is 0), without overlapping.

    Raises:
        SettingError: a setting out of range, or a crossfade longer than a clip has room for.
        AudioError: no clips, one without samples, or clips with different numbers of channels, of which none is mono.
    """
    if not clips:
        raise AudioError("There is nothing to join.", expected="one clip or more", got="none", remedy="Connect a clip.")
    check_range("crossfade_s", crossfade_s, 0.0, 3600.0, "Seconds in which two clips overlap.")
    check_range("gap_s", gap_s, 0.0, 3600.0, "Seconds of silence between two clips.")
    channels = max(clip.channels for clip in clips)
    fade_s = crossfade_s
    if gap_s and not crossfade_s:  # an end in silence would click
        fade_s = min(EASE_S, min(clip.seconds for clip in clips) / 2)
    tracks = []
    for number, clip in enumerate(clips):
        if clip.channels not in (1, channels):
            raise AudioError(
                f"Clip {number} does not fit the others.",
                expected=f"1 or {channels} channels",
                got=f"{clip.channels}",
                remedy="Mix it down first.",
            )
        fade_in, fade_out = fade_s * (number > 0), fade_s * (number < len(clips) - 1)
        if 0 < clip.seconds < fade_in + fade_out:
            raise SettingError(
                f"Clip {number} is too short for this crossfade.",
                got=f"{crossfade_s:g} s",
                expected=f"at most {clip.seconds / ((fade_in > 0) + (fade_out > 0)):g} s",
                remedy="Shorten the crossfade.",
            )
        wide = AudioClip(clip.samples.detach().cpu().expand(channels, -1), clip.sample_rate)
        tracks.append(
            Track(
                wide,
                0.0 if number == 0 else gap_s or -crossfade_s,
                fade_in_s=fade_in,
                fade_out_s=fade_out,
                fade_shape="equal_power",
                after=number - 1 if number else None,
            )
        )
    mixdown = Mixdown(tracks, channels=channels)
    return AudioClip(torch.cat(list(mixdown), 1), mixdown.sample_rate)

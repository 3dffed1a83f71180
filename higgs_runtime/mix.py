"""Tracks into one clip.

Letters in shapes: C channels, T samples.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from .audio import AudioClip, resample, to_mono
from .errors import AudioError, SettingError, check_range
from .levels import decibels

CEILING_DBFS = -0.1  # where the peak of a mix lands that would have clipped
_LONGEST_S = 86_400.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Track:
    """A clip with its place in a mix.

    Attributes:
        clip: any rate and channel count.
        start_s: seconds from the start of the mix, 0 to 86400.
        gain_db: -120 to 120.
        pan: -1 left, 0 centre, 1 right.
        fade_in_s, fade_out_s: seconds, linear in amplitude; together not longer than the clip.

    Raises:
        SettingError: a value out of its range.
        AudioError: the clip has no samples.
    """

    clip: AudioClip
    start_s: float = 0.0
    gain_db: float = 0.0
    pan: float = 0.0
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0

    def __post_init__(self):
        if self.clip.length == 0:
            raise AudioError("A track of the mix is empty.", expected="a clip with samples", got="0 samples",
                             remedy="Check the step that made the clip.")
        check_range("start_s", self.start_s, 0.0, _LONGEST_S, "Seconds count from the start of the mix.")
        check_range("gain_db", self.gain_db, -120.0, 120.0, "0 dB leaves the level as it is.")
        check_range("pan", self.pan, -1.0, 1.0, "-1 is left, 0 the centre, 1 right.")
        for name in ("fade_in_s", "fade_out_s"):
            check_range(name, getattr(self, name), 0.0, self.clip.seconds, "A fade fits inside its clip.")
        if self.fade_in_s + self.fade_out_s > self.clip.seconds:
            raise SettingError("The fades of a track overlap.", expected=f"{self.clip.seconds:g} s or less together",
                               got=f"{self.fade_in_s:g} s + {self.fade_out_s:g} s", remedy="Shorten one of them.")


class MixReport(NamedTuple):
    """A mix, and what was done to keep it inside full scale.

    Attributes:
        clip: the mix.
        peak_dbfs: the peak of the plain sum, before anything was done; -inf for silence.
        scaled_db: the gain applied to the whole mix: 0, or negative where the sum exceeded full scale.
    """

    clip: AudioClip
    peak_dbfs: float
    scaled_db: float


def mix(tracks: Sequence[Track], sample_rate: int | None = None, *, allow_clipping: bool = False) -> AudioClip:
    """Adds tracks up; see `mix_with_report`, of which this is the clip."""
    return mix_with_report(tracks, sample_rate, allow_clipping=allow_clipping).clip


def mix_with_report(
    tracks: Sequence[Track], sample_rate: int | None = None, *, allow_clipping: bool = False
) -> MixReport:
    """Adds tracks up, each resampled, faded, amplified and panned.

    The result is stereo as soon as a track is stereo or off centre, else mono. Pan has constant power: a mono track
    gets cos and sin of the angle, so it stands 3 dB lower on each side in the centre of a stereo mix; a stereo track
    is balanced by the same curve with unity in the centre. A track with more than two channels is first averaged to
    mono, all channels weighing the same.

    Args:
        tracks: one or more.
        sample_rate: of the mix; None takes the highest of the tracks.
        allow_clipping: cut what exceeds full scale off. Otherwise a sum that exceeds it is turned down as a whole, to
            a peak of -0.1 dBFS; the report and a log line say so.

    Returns:
        The mix [1 or 2, T], T reaching to the end of the last track.

    Raises:
        AudioError: no tracks, a rate out of range, NaN or infinity in the sum.
    """
    if not tracks:
        raise AudioError("There is nothing to mix.", expected="one track or more", got="none",
                         remedy="Connect a clip.")
    rate = max(track.clip.sample_rate for track in tracks) if sample_rate is None else sample_rate
    channels = 2 if any(track.clip.channels == 2 or track.pan != 0 for track in tracks) else 1
    placed = [(round(track.start_s * rate), _render(track, rate, channels)) for track in tracks]
    total = torch.zeros(channels, max(start + wave.shape[1] for start, wave in placed))
    for start, wave in placed:
        total[:, start : start + wave.shape[1]] += wave
    total = AudioClip(total, rate).samples  # NaN and infinity end here
    peak, scaled_db = float(total.abs().max()), 0.0
    if peak > 1 and allow_clipping:
        total = total.clamp(-1, 1)
    elif peak > 1:
        scaled_db = CEILING_DBFS - decibels(peak)
        total = total * 10 ** (scaled_db / 20)
        _log.warning("The mix peaked at %+.1f dBFS and was turned down by %.1f dB.", decibels(peak), -scaled_db)
    return MixReport(AudioClip(total, rate), decibels(peak), scaled_db)


def _render(track: Track, rate: int, channels: int) -> torch.Tensor:
    """One track as it enters the sum: [channels, T] at the rate of the mix."""
    clip = resample(to_mono(track.clip) if track.clip.channels > 2 else track.clip, rate)
    wave = clip.samples.detach().cpu() * 10 ** (track.gain_db / 20)
    if channels == 2 and (track.pan != 0 or wave.shape[0] == 1):
        angle = (track.pan + 1) * math.pi / 4
        unity = math.sqrt(wave.shape[0])  # a stereo track keeps its level in the centre
        wave = wave * torch.tensor([[math.cos(angle)], [math.sin(angle)]]) * unity
    length = wave.shape[1]
    rising, falling = (min(length, round(seconds * rate)) for seconds in (track.fade_in_s, track.fade_out_s))
    wave[:, :rising] *= torch.arange(rising) / max(1, rising)
    wave[:, length - falling :] *= torch.arange(falling).flip(0) / max(1, falling)
    return wave

"""The join: where sound of a model and a recording meet, so that nobody hears it.

Cut between two frames of the codec, in silence if there is any, else where it is least audible; bring the new sound to
the level of the old one; cross over in a margin of 20 ms; touch nothing else. How smooth a join is, is measured in dB:
by how much the spectrum changes across it.

Letters in shapes: C channels, T samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..audio.clip import AudioClip, resample, to_mono
from ..audio.loudness.decibels import amplitude
from ..audio.quality import decibels

MARGIN_S = 0.02  # in which recording and new sound cross over, at either side
SLACK_S, EDGE_S = 0.05, 0.3  # words are placed so well; silence around speech that a cut may lie in
LOOK_S = 0.03  # of sound that is compared or measured around a cut
QUIET_DB = 3.0  # as quiet as the quietest
HUSH_DBFS = -60.0  # silence
BANDS, FLOOR_DB = 12, 50.0  # of a spectrum; what lies further below the speech is not heard
MOST_GAIN_DB, LIVELY_DB = 6.0, 3.0  # that new sound is changed by to fit; by which words of a sentence differ
SPEECH_DB = 25.0  # what lies further below the loudest moment is a pause


def quiet_cut(clip: AudioClip, low_s: float, high_s: float, frame_rate: float, *, late: bool) -> int:
    """The number of the frame to cut before, between two moments: where it is quietest, or as quiet as that to
    QUIET_DB.

    Args:
        low_s, high_s: seconds; where no frame begins between them, the nearest one is taken.
        late: of several such moments the last one, so that a pause before stays as it is; else the first one.
    """
    last = math.floor(clip.seconds * frame_rate + 1e-6)
    low, high = (min(max(0, place), last) for place in (math.ceil(low_s * frame_rate), math.floor(high_s * frame_rate)))
    if high < low:
        return min(max(0, round((low_s + high_s) / 2 * frame_rate)), last)
    found = torch.tensor([level_at(clip, place / frame_rate) for place in range(low, high + 1)])
    quiet = (found <= found.min().clamp(min=HUSH_DBFS) + QUIET_DB).nonzero()[:, 0]
    return low + int(quiet[-1 if late else 0])


def level_at(clip: AudioClip, at_s: float) -> float:
    """dBFS (RMS) of LOOK_S around a moment."""
    return level(part(clip, at_s - LOOK_S / 2, at_s + LOOK_S / 2))


def level(clip: AudioClip) -> float:
    """dBFS (RMS) of the mono sum; of no samples that of silence."""
    return float(decibels(to_mono(clip).samples.square().mean())) if clip.length else -100.0


def speech_level(clip: AudioClip) -> float:
    """dBFS (RMS) of what is no pause."""
    size = max(1, round(LOOK_S * clip.sample_rate))
    if clip.length < size:
        return level(clip)
    power = torch.nn.functional.avg_pool1d(to_mono(clip).samples.square()[None], size, size)[0, 0]
    return float(decibels(power[power >= power.max() * 10 ** (-SPEECH_DB / 10)].mean()))


def part(clip: AudioClip, start_s: float, end_s: float) -> AudioClip:
    """Between two moments, as far as the clip goes; may be without samples."""
    start, end = (min(max(0, round(at * clip.sample_rate)), clip.length) for at in (start_s, end_s))
    return AudioClip(clip.samples[:, start : max(start, end)], clip.sample_rate)


def roughness(before: AudioClip, after: AudioClip, speech_dbfs: float) -> float:
    """How much a join shows: the mean change of the spectrum in dB from the last LOOK_S of one clip to the first of the
    other, of which FLOOR_DB below the speech and less counts as silence.

    Args:
        before, after: of one rate.
        speech_dbfs: level of the speech around.
    """
    left, right = part(before, before.seconds - LOOK_S, before.seconds), part(after, 0.0, LOOK_S)
    if not left.length or not right.length:
        return 0.0
    return float((_spectrum(left, speech_dbfs) - _spectrum(right, speech_dbfs)).abs().mean())


def _spectrum(clip: AudioClip, speech_dbfs: float) -> torch.Tensor:
    """[BANDS] dBFS; bands grow with frequency as hearing has them, from 100 Hz."""
    wave = to_mono(clip).samples[0]
    power = torch.fft.rfft(wave * torch.hann_window(len(wave))).abs().square() / (0.375 * len(wave) ** 2 / 2)
    edges = torch.logspace(2, math.log10(clip.sample_rate / 2), BANDS + 1) / clip.sample_rate * len(wave)
    places = edges.round().long().clamp(max=len(power) - 1)
    bands = [power[low : max(low + 1, high)].sum() for low, high in zip(places[:-1], places[1:], strict=True)]
    return decibels(torch.stack(bands)).clamp(min=speech_dbfs - FLOOR_DB)


def fitting_gain(sound: AudioClip, around: AudioClip) -> float:
    """dB that bring the speech of new sound near to the level of that around it: words differ by LIVELY_DB, and more
    than MOST_GAIN_DB is not mended; 0 where either is silent."""
    ours, theirs = speech_level(sound), speech_level(around)
    if min(ours, theirs) < HUSH_DBFS:
        return 0.0
    missing = theirs - ours
    return math.copysign(min(max(abs(missing) - LIVELY_DB, 0.0), MOST_GAIN_DB), missing)


def spread(sound: AudioClip, like: AudioClip, length: int) -> torch.Tensor:
    """Mono sound as samples [C, length] of a recording: at its rate, in its channels as they share its level.

    Args:
        like: a part of the recording.
    """
    wave = resample(to_mono(sound), like.sample_rate).samples
    wave = torch.nn.functional.pad(wave, (0, max(0, length - wave.shape[1])))[:, :length]
    if like.channels == 1:
        return wave
    power = like.samples.square().mean(1, keepdim=True)
    middle = to_mono(like).samples.square().mean()
    return wave * ((power / middle).sqrt() if middle > 0 else torch.ones_like(power)).clamp(max=2.0)


@dataclass(frozen=True, eq=False)
class Patch:
    """New sound for a stretch of a recording.

    Attributes:
        start, stop: the samples of the recording that it takes the place of, [start, stop).
        sound: FloatTensor [C, left + n + right]: what crosses over before `start`, the new sound, what crosses over
            after `stop`.
        left, right: the margins, samples.
    """

    start: int
    stop: int
    sound: torch.Tensor
    left: int
    right: int

    @property
    def length(self) -> int:
        """Samples of the new sound, n."""
        return self.sound.shape[1] - self.left - self.right


def patched(clip: AudioClip, patches: Sequence[Patch]) -> AudioClip:
    """The clip with these patches, in order and further apart than their margins. All else is the clip's own, sample by
    sample."""
    samples, parts, done = clip.samples, [], 0
    for one in patches:
        rise = torch.linspace(0, 1, one.left + 2)[1:-1]
        fall = torch.linspace(1, 0, one.right + 2)[1:-1]
        before = samples[:, one.start - one.left : one.start] * (1 - rise) + one.sound[:, : one.left] * rise
        new = one.sound[:, one.left : one.left + one.length]
        after = one.sound[:, one.left + one.length :] * fall
        after = after + samples[:, one.stop : one.stop + one.right] * (1 - fall)
        parts += [samples[:, done : one.start - one.left], before, new, after]
        done = one.stop + one.right
    return AudioClip(torch.cat((*parts, samples[:, done:]), dim=1), clip.sample_rate)


def at_most(sound: torch.Tensor, peak: float) -> torch.Tensor:
    """Sound, turned down as a whole where it is higher than this."""
    highest = float(sound.abs().max()) if sound.numel() else 0.0
    return sound * (peak / highest) if highest > peak else sound


def with_gain(clip: AudioClip, gain_db: float) -> AudioClip:
    return AudioClip(clip.samples * amplitude(gain_db), clip.sample_rate)

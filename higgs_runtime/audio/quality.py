"""How good a recording of speech is, from its levels alone: noise under the speech, clipping, pauses, hum or music.

Letters in shapes: N hops of 10 ms, T samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from .clip import AudioClip

HOPS_PER_S = 100
BLOCK_HOPS = 60 * HOPS_PER_S  # a long recording is gone through in pieces of a minute
FLOOR_DB = -100.0
SMOOTH_HOPS = 5  # 50 ms: longer than a period of the voice, shorter than a syllable
DYNAMIC_DB = 40.0  # what lies further below the loudest moment is not speech
CLIPPED_FROM = 0.999  # of the highest sample; clipping leaves several such samples in a row
FRAME_S = 0.064
BAND_BINS = 16  # 250 Hz: narrow enough that noise of any colour is even in it


@dataclass(frozen=True, eq=False)
class Profile:
    """A recording in steps of 10 ms.

    Attributes:
        db: FloatTensor [N], level of the mono sum in dBFS (RMS over 50 ms).
        clipped: FloatTensor [N], samples in each step that are cut off at the top.
        hop: samples of one step.
        peak: highest sample of all channels, 1 being full scale.
    """

    db: torch.Tensor
    clipped: torch.Tensor
    hop: int
    peak: float
    sample_rate: int

    @property
    def hop_s(self) -> float:
        """Seconds of one step: 0.01, as nearly as whole samples allow."""
        return self.hop / self.sample_rate


def profile(clip: AudioClip, on_block: Callable[[int, int], None] | None = None) -> Profile:
    """Go through a clip once, a minute at a time, so that memory does not grow with it (720,000 hops for two hours).

    Args:
        clip: with at least one sample.
        on_block: called with (blocks done, blocks in all); what it raises ends the call.
    """
    hop = max(1, round(clip.sample_rate / HOPS_PER_S))
    peak = max(abs(float(edge)) for edge in clip.samples.aminmax())
    blocks = math.ceil(clip.length / (hop * BLOCK_HOPS))
    powers, clipped = [], []
    for done, block in enumerate(_blocks(clip, hop), start=1):
        high = (block.abs() >= CLIPPED_FROM * peak).any(0) if peak else torch.zeros(block.shape[1], dtype=torch.bool)
        flat = torch.nn.functional.pad(high[:-2] & high[1:-1] & high[2:], (1, 1))
        powers.append(block.mean(0).view(-1, hop).square().mean(1))
        clipped.append(flat.view(-1, hop).float().sum(1))
        if on_block is not None:
            on_block(done, blocks)
    power = torch.cat(powers)[None]
    smooth = torch.nn.functional.avg_pool1d(power, SMOOTH_HOPS, 1, SMOOTH_HOPS // 2, count_include_pad=False)[0]
    return Profile(decibels(smooth), torch.cat(clipped), hop, peak, clip.sample_rate)


def _blocks(clip: AudioClip, hop: int) -> Iterator[torch.Tensor]:
    for start in range(0, clip.length, hop * BLOCK_HOPS):
        block = clip.samples[:, start : start + hop * BLOCK_HOPS]
        yield torch.nn.functional.pad(block, (0, -block.shape[1] % hop))


def decibels(power: torch.Tensor) -> torch.Tensor:
    return (10 * torch.log10(power + 1e-20)).clamp(min=FLOOR_DB)


@dataclass(frozen=True, eq=False)
class Levels:
    """Of several stretches of sound at once; each a FloatTensor [...] over the stretches.

    Attributes:
        speech: dBFS, that of the loud moments (95th percentile of those within 40 dB of the loudest).
        noise: dBFS, that of the quiet moments (10th percentile).
        threshold: dBFS, between both: what is louder counts as speech.
        share: of the time that is speech, 0 to 1.
    """

    speech: torch.Tensor
    noise: torch.Tensor
    threshold: torch.Tensor
    share: torch.Tensor

    @property
    def snr(self) -> torch.Tensor:
        """Distance of speech and noise in dB. Without pauses it is too low: there is no quiet moment to measure."""
        return self.speech - self.noise


def levels(db: torch.Tensor) -> Levels:
    """Levels of stretches [..., N] of a profile."""
    ordered, hops = db.sort(-1).values, db.shape[-1]
    near = (ordered >= ordered[..., -1:] - DYNAMIC_DB).sum(-1)  # the last ones
    at = (hops - near * 0.05).long().clamp(0, hops - 1)
    speech = ordered.gather(-1, at[..., None])[..., 0]
    noise = ordered[..., hops // 10]
    threshold = speech - (0.6 * (speech - noise)).clamp(6.0, 30.0)
    return Levels(speech, noise, threshold, (db > threshold[..., None]).float().mean(-1))


def tonality(clip: AudioClip, quiet: torch.Tensor) -> float:
    """How much of the sound in the quiet hops is tones: 0 for noise of any colour, near 1 for hum or music.

    One minus the spectral flatness (geometric by arithmetic mean of the power) in bands of 250 Hz, weighted by their
    power; white noise, whose single spectra are uneven too, is taken as 0.

    Args:
        clip: mono.
        quiet: BoolTensor [N], the hops of its profile that hold no speech.
    """
    size = max(2 * BAND_BINS, round(FRAME_S * clip.sample_rate))
    hop = max(1, round(clip.sample_rate / HOPS_PER_S))
    starts = quiet.nonzero()[:, 0] * hop + hop // 2 - size // 2
    starts = starts[(starts >= 0) & (starts + size <= clip.length)]
    if not len(starts):
        return 0.0
    frames = clip.samples[0, starts[:, None] + torch.arange(size)] * torch.hann_window(size)
    power = torch.fft.rfft(frames).abs().square()[:, 2:]  # without direct current
    bands = power[:, : power.shape[1] // BAND_BINS * BAND_BINS].unflatten(1, (-1, BAND_BINS)) + 1e-20
    mean = bands.mean(-1)
    flatness = (bands.log().mean(-1).exp() / mean * mean).sum() / mean.sum()
    return float((1 - flatness / math.exp(-0.5772)).clamp(0, 1))  # e^-γ: of an exponential distribution

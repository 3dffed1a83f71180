"""Clips and the pure edits: mono, resample, trim, level.

Letters in shapes: C channels, T samples.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import AudioError
from .files import check_span, read_file, span, write_file
from .loudness.decibels import amplitude, peak, power_ratio

MAX_SAMPLE_RATE = 768_000
EASE_S = 0.005  # in which a line begins and ends


@dataclass(frozen=True, eq=False)
class AudioClip:
    """A waveform and its rate.

    Attributes:
        samples: FloatTensor [C, T], float32, full scale is ±1 (more is allowed, e.g. inside a mix); T may be 0.
        sample_rate: samples per second, 1 to 768000.

    Raises:
        AudioError: wrong shape, dtype or rate, or a sample that is NaN or infinite.
    """

    samples: torch.Tensor
    sample_rate: int

    def __post_init__(self):
        samples, rate = self.samples, self.sample_rate
        if not isinstance(samples, torch.Tensor) or samples.dtype != torch.float32:
            got = samples.dtype if isinstance(samples, torch.Tensor) else type(samples).__name__
            raise AudioError(
                "These are not audio samples.",
                expected="a float32 tensor [channels, samples]",
                got=str(got),
                remedy="Convert with tensor.float(), full scale being ±1.",
            )
        if samples.ndim != 2 or samples.shape[0] == 0:
            raise AudioError(
                "The samples have the wrong shape.",
                expected="[channels, samples], one channel or more",
                got=str(list(samples.shape)),
                remedy="Add or select the channel axis.",
            )
        if isinstance(rate, bool) or not isinstance(rate, int) or not 1 <= rate <= MAX_SAMPLE_RATE:
            raise AudioError(
                "The sample rate is not usable.",
                expected=f"a whole number from 1 to {MAX_SAMPLE_RATE}",
                got=repr(rate),
                remedy="Give the rate in samples per second.",
            )
        _check_finite(samples)

    @property
    def channels(self) -> int:
        return self.samples.shape[0]

    @property
    def length(self) -> int:
        """Samples in each channel."""
        return self.samples.shape[1]

    @property
    def seconds(self) -> float:
        return self.length / self.sample_rate

    @classmethod
    def load(cls, path: str | os.PathLike, *, start_s: float = 0.0, duration_s: float | None = None) -> AudioClip:
        """Reads an audio file, or the first audio track of a video, at its own rate and channel count.

        Only the asked part is read. Its place is exact to the sample, in Matroska and WebM to a millisecond. Raw AAC
        (ADTS), WMA and AC-3 state no length: up to a frame of the codec (1024 to 2048 samples) is left at
        the end.
        Tries soundfile, then PyAV, then pydub with the ffmpeg program.

        Args:
            path: the file.
            start_s: seconds to skip.
            duration_s: seconds to read at most; None reads to the end.

        Raises:
            AudioError: no such file, not audio, damaged or cut off, empty, nothing at start_s, NaN or infinity in it.
        """
        wave, rate = read_file(Path(path), start_s, duration_s)
        try:
            return cls(torch.from_numpy(wave), rate)
        except AudioError as error:
            raise AudioError(
                f"'{path}': {error.what}", expected=error.expected, got=error.got, remedy=error.remedy
            ) from error

    def save(self, path: str | os.PathLike, *, subtype: str | None = None) -> None:
        """Writes the clip; the suffix names the format. On failure the old file stays and nothing partial is left.

        wav, flac, ogg, opus, mp3, aiff, caf, w64 and rf64 need nothing else; m4a, m4b, mp4, aac, wma, ac3, mka and
        webm need PyAV, which ComfyUI brings; their rate changes where the format lacks it. As many samples are read
        again as were written, but for aac, wma and ac3, which state no length (see `load`). For tags, chapters, bit
        rates and names see `export_audio`.

        Args:
            path: the target, in a folder that exists.
            subtype: libsndfile's name of the sample encoding: "PCM_16" (default for wav and flac), "PCM_24",
                "FLOAT" (wav: keeps samples beyond full scale), …

        Raises:
            AudioError: unknown suffix, a subtype, rate or channel count that the format lacks, no samples,
                samples beyond full scale in another encoding than float, or a failed write (disk full, no permission).
        """
        write_file(path, _numpy(self), self.sample_rate, subtype)


def to_mono(clip: AudioClip) -> AudioClip:
    """The mean of all channels, whatever their number."""
    return clip if clip.channels == 1 else AudioClip(clip.samples.mean(0, keepdim=True), clip.sample_rate)


def resample(clip: AudioClip, sample_rate: int) -> AudioClip:
    """Changes the rate (soxr, high quality), channel by channel; T becomes exactly ceil(T · new / old).

    Raises:
        AudioError: a rate out of range.
    """
    empty = AudioClip(clip.samples[:, :0], sample_rate)  # checks the rate
    if sample_rate == clip.sample_rate:
        return clip
    if clip.length == 0:
        return empty
    import soxr  # librosa's default resampler, called directly: librosa takes seconds to import

    length = -(-clip.length * sample_rate // clip.sample_rate)
    wave = torch.from_numpy(soxr.resample(_numpy(clip).T, clip.sample_rate, sample_rate, quality="HQ")).T[:, :length]
    wave = torch.nn.functional.pad(wave, (0, length - wave.shape[1]))
    return AudioClip(wave.contiguous().to(clip.samples.device), sample_rate)


def trim(clip: AudioClip, start_s: float = 0.0, duration_s: float | None = None) -> AudioClip:
    """The part from start_s, at most duration_s long (None: to the end), both in seconds.

    Raises:
        AudioError: negative start, duration not above zero, or a start at or beyond the clip's end.
    """
    check_span(start_s, duration_s)
    first, count = span(clip.length, clip.sample_rate, start_s, duration_s, "the clip")
    return AudioClip(clip.samples[:, first : first + count].clone(), clip.sample_rate)


def trim_silence(clip: AudioClip, top_db: float = 40.0) -> AudioClip:
    """Cuts both ends where they are quieter than the loudest moment by more than top_db.

    What is shorter than 30 ms, as a click, is no sound, unless there is no other. The cuts fall 10 ms from the sound,
    and the new ends are `eased`.

    Raises:
        AudioError: top_db not above zero, or a clip that is silent or has no samples.
    """
    if not math.isfinite(top_db) or top_db <= 0:
        raise AudioError(
            "The silence threshold is not usable.",
            expected="decibels above 0",
            got=str(top_db),
            remedy="40 dB suits speech.",
        )
    start, end = sound_span(clip, top_db)
    return eased(AudioClip(clip.samples[:, start:end], clip.sample_rate))


def sound_span(clip: AudioClip, top_db: float = 40.0) -> tuple[int, int]:
    """What `trim_silence` keeps: (first sample, end).

    Raises:
        AudioError: the clip is silent or has no samples.
    """
    _need_sound(clip, "trim the silence of")
    hop, power = hop_of(clip.sample_rate), hop_power(clip.samples, clip.sample_rate)
    steady = without_clicks(power)
    power = steady if bool(steady.max() > 0) else power
    loud = (power > power.max() * power_ratio(-top_db)).nonzero()[:, 0]
    return max(0, int(loud[0]) - 1) * hop, min(clip.length, (int(loud[-1]) + 2) * hop)


def hop_of(sample_rate: int) -> int:
    """Samples of 10 ms."""
    return max(1, sample_rate // 100)


def hop_power(samples: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """FloatTensor [N], mean square of each 10 ms in the loudest channel; the last ones may be fewer samples."""
    hop = hop_of(sample_rate)
    return torch.nn.functional.avg_pool1d(samples.square().amax(0)[None], hop, hop, ceil_mode=True)[0]


def without_clicks(power: torch.Tensor) -> torch.Tensor:
    """[N], each the median of five: what lasts less than three of these steps is gone, edges of the rest stay."""
    return torch.nn.functional.pad(power, (2, 2)).unfold(0, 5, 1).median(-1).values


def eased(clip: AudioClip, begin: bool = True, end: bool = True) -> AudioClip:
    """The clip, whose ends come up from zero and go down to it in 5 ms."""
    ramp = max(1, min(round(EASE_S * clip.sample_rate), clip.length // 2))
    rise = (torch.arange(clip.length, device=clip.samples.device) / ramp).clamp(max=1)
    whole = torch.ones_like(rise)
    return AudioClip(
        clip.samples * torch.minimum(rise if begin else whole, rise.flip(0) if end else whole), clip.sample_rate
    )


def level_peak(clip: AudioClip, peak_dbfs: float = -1.0) -> AudioClip:
    """Scales all channels alike so that the highest sample lies at peak_dbfs (dB relative to full scale).

    Raises:
        AudioError: a peak above 0 dBFS, or a clip that is silent or has no samples.
    """
    if not math.isfinite(peak_dbfs) or peak_dbfs > 0:
        raise AudioError(
            "The peak level is not usable.",
            expected="0 dBFS or below",
            got=f"{peak_dbfs} dBFS",
            remedy="-1 dBFS leaves room for lossy formats.",
        )
    _need_sound(clip, "level")
    return AudioClip(clip.samples / clip.samples.abs().max() * amplitude(peak_dbfs), clip.sample_rate)


def within_full_scale(clip: AudioClip) -> AudioClip:
    """The clip, turned down as a whole to full scale where its peak exceeds that."""
    return level_peak(clip, 0.0) if peak(clip) > 1 else clip


def _check_finite(samples: torch.Tensor) -> None:
    if samples.numel() == 0 or all(bool(torch.isfinite(edge)) for edge in samples.aminmax()):
        return  # minimum and maximum pass NaN on, without a mask as large as the clip
    channel, position = (~torch.isfinite(samples)).nonzero()[0].tolist()
    raise AudioError(
        "The audio holds a value that is not a number.",
        expected="finite samples",
        got=f"{float(samples[channel, position])} in channel {channel} at sample {position}",
        remedy="Make the clip again, or replace such samples first.",
    )


def _need_sound(clip: AudioClip, action: str) -> None:
    if not bool(clip.samples.any()):
        got = f"{clip.seconds:g} s of digital silence" if clip.length else "0 samples"
        raise AudioError(
            f"There is no sound to {action}.",
            expected="a clip that is not silent",
            got=got,
            remedy="Check the step that made the clip.",
        )


def _numpy(clip: AudioClip):
    return clip.samples.detach().cpu().numpy()

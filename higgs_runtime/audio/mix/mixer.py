"""Tracks into one clip or file, block by block.

Letters in shapes: C channels of the mix, n samples of a block.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import torch

from ...errors import AudioError, SettingError
from ..clip import AudioClip
from ..files import write_blocks
from ..loudness.decibels import amplitude, decibels
from ..vad import RATE as SPEECH_RATE, find_speech, speech_spans
from .gains import DuckCurve, Ducking, fade
from .plan import TrackSpan, plan
from .sources import AudioFile, Blocks, read
from .track import Track

if TYPE_CHECKING:
    import numpy as np

CEILING_DBFS = -0.1  # where the peak of a mix lands that would have clipped
_BLOCK = 32_768  # samples: up to here torch keeps to one thread; more of them only wait for each other

_log = logging.getLogger(__name__)
Mixed = TypeVar("Mixed", AudioClip, AudioFile)


@dataclass(frozen=True)
class MixReport(Generic[Mixed]):
    """A mix, and what was done to keep it inside full scale.

    Attributes:
        clip: the mix; an `AudioFile` where it went into a file.
        peak_dbfs: the peak of the plain sum, before anything was done; -inf for silence.
        scaled_db: the gain applied to the whole mix: 0, or negative where the sum exceeded full scale.
    """

    clip: Mixed
    peak_dbfs: float
    scaled_db: float


class Mixdown:
    """The sum of tracks, made when it is asked for: any length in little memory.

    The result is stereo as soon as a track is stereo or off centre, else mono; `channels` asks for another number.
    Pan has constant power: a mono track gets cos and sin of the angle, so it stands 3 dB lower on each side in the
    centre of a stereo mix; a stereo track is balanced by the same curve with unity in the centre. A track with as
    many channels as the mix goes channel to channel, and its pan moves the first two. Any other track with more than
    two channels is first averaged to mono, all channels weighing the same; mono and stereo tracks stand on the first
    two channels of a mix with more.

    Args:
        tracks: one or more.
        sample_rate: of the mix; None takes the highest of the tracks.
        channels: of the mix; None decides as above.

    Attributes:
        sample_rate, channels, length: of the mix; it reaches to the end of the last track.
        places: where each track lies, in samples.

    Raises:
        AudioError: no tracks, or a rate out of range.
        SettingError: channels out of range, or tracks that cannot be placed; see `plan`.
    """

    def __init__(self, tracks: Sequence[Track], sample_rate: int | None = None, channels: int | None = None):
        if not tracks:
            raise AudioError(
                "There is nothing to mix.", expected="one track or more", got="none", remedy="Connect a clip."
            )
        self.sample_rate = max(track.clip.sample_rate for track in tracks) if sample_rate is None else sample_rate
        AudioClip(torch.zeros(1, 0), self.sample_rate)  # checks the rate
        if channels is None:
            channels = 2 if any(track.clip.channels == 2 or track.pan != 0 for track in tracks) else 1
        elif not 1 <= channels <= 64:
            raise SettingError(
                "The mix cannot have so many channels.",
                expected="1 to 64",
                got=str(channels),
                remedy="Leave it out for mono or stereo, as the tracks are.",
            )
        self.tracks, self.channels = tuple(tracks), channels
        self.places = plan(tracks, self.sample_rate)
        self.length = max(place.end for place in self.places)

    def __iter__(self) -> Generator[torch.Tensor, None, None]:
        """Blocks [C, n] in order, float32; beyond ±1 where the sum is.

        Raises:
            AudioError: NaN or infinity in the sum, or a file that breaks off.
            MissingExtraError: a track is ducked, and speech has to be heard; see `speech_spans`.
        """
        voices = [
            _TrackReader(self.tracks[number], self.places[number], self, curve)
            for number, curve in zip(self._heard(), self._curves, strict=True)
        ]
        try:
            for first in range(0, self.length, _BLOCK):
                total = torch.zeros(self.channels, min(_BLOCK, self.length - first))
                for voice in voices:
                    voice.add_to(total, first)
                _check_finite(total, first)
                yield total
        finally:
            for voice in voices:
                voice.close()

    def _heard(self) -> list[int]:
        """The tracks that sound."""
        solo = any(track.solo for track in self.tracks)
        return [number for number, track in enumerate(self.tracks) if not track.mute and (track.solo or not solo)]

    @cached_property
    def _curves(self) -> list[DuckCurve | None]:
        """The ducking of each track that sounds."""
        heard, known = self._heard(), {}

        def curve(ducking: Ducking | None) -> DuckCurve | None:
            if ducking is None:
                return None
            if ducking.threshold not in known:
                known[ducking.threshold] = [
                    span
                    for number in heard
                    if self.tracks[number].duck is None
                    for span in _speech(self.tracks[number], self.places[number], self.sample_rate, ducking.threshold)
                ]
            return DuckCurve(ducking, known[ducking.threshold])

        return [curve(self.tracks[number].duck) for number in heard]


def mix(
    tracks: Sequence[Track],
    sample_rate: int | None = None,
    *,
    channels: int | None = None,
    allow_clipping: bool = False,
) -> AudioClip:
    """Adds tracks up; see `mix_with_report`, of which this is the clip."""
    return mix_with_report(tracks, sample_rate, channels=channels, allow_clipping=allow_clipping).clip


def mix_with_report(
    tracks: Sequence[Track],
    sample_rate: int | None = None,
    *,
    channels: int | None = None,
    allow_clipping: bool = False,
    spool: str | os.PathLike | None = None,
) -> MixReport[AudioClip]:
    """Adds tracks up as `Mixdown` does, each resampled, faded, amplified, panned and ducked.

    Args:
        tracks, sample_rate, channels: see `Mixdown`.
        allow_clipping: cut what exceeds full scale off. Otherwise a sum that exceeds it is turned down as a whole, to
            a peak of -0.1 dBFS; the report and a log line say so.
        spool: a folder where the samples of the mix lie in a file, so that an hour takes little memory; it has to last
            as long as the mix is used.

    Returns:
        The mix [C, T], T reaching to the end of the last track.

    Raises:
        AudioError, SettingError, MissingExtraError: see `Mixdown`.
    """
    mixdown = Mixdown(tracks, sample_rate, channels)
    total, first = _room_for(mixdown, spool), 0
    for block in mixdown:
        total[:, first : first + block.shape[1]] = block
        first += block.shape[1]
    highest = max(abs(float(edge)) for edge in total.aminmax())  # no copy as large as the mix
    gain_db = _room(highest, allow_clipping)
    if gain_db:
        total *= amplitude(gain_db)
    elif highest > 1:
        total.clamp_(-1, 1)
    return MixReport(AudioClip(total, mixdown.sample_rate), decibels(highest), gain_db)


def _room_for(mixdown: Mixdown, spool: str | os.PathLike | None) -> torch.Tensor:
    """[C, T] of the mix, not filled."""
    shape = mixdown.channels, mixdown.length
    if spool is None:
        return torch.empty(shape)
    path, size = os.path.join(spool, "mix.f32"), 4 * shape[0] * shape[1]
    try:
        with open(path, "wb") as file:
            for _ in range(0, size, _BLOCK):  # a full disk is told here; of a mapped file it would end the process
                file.write(bytes(_BLOCK))
        return torch.from_file(path, shared=True, size=shape[0] * shape[1]).view(shape)
    except (OSError, RuntimeError) as error:
        raise AudioError(
            f"There is no room for the mix in '{spool}'.",
            expected=f"{size / 1e9:.2f} GB on the disk",
            got=str(error).split("\n")[0],
            remedy="Free some disk space.",
        ) from error


def mix_to_file(
    tracks: Sequence[Track],
    path: str | os.PathLike,
    sample_rate: int | None = None,
    *,
    channels: int | None = None,
    allow_clipping: bool = False,
    subtype: str | None = None,
) -> MixReport[AudioFile]:
    """Mixes into a file, block by block: an hour of many tracks in little memory.

    A mix that turns out to exceed full scale is made a second time, turned down. On failure an old file stays.

    Args:
        tracks, sample_rate, channels, allow_clipping: see `mix_with_report`.
        path, subtype: see `AudioClip.save`; only formats that need no ffmpeg.

    Returns:
        The report, its clip being the written `AudioFile`.

    Raises:
        AudioError, SettingError, MissingExtraError: see `Mixdown`; a file that cannot be written.
    """
    mixdown, highest, gain_db = Mixdown(tracks, sample_rate, channels), 0.0, 0.0

    def first_try() -> Generator[np.ndarray, None, None]:
        nonlocal highest
        with closing(iter(mixdown)) as mixed:
            for block in mixed:
                highest = max(highest, float(block.abs().max()))
                yield block.clamp(-1, 1).numpy()

    def turned_down() -> Generator[np.ndarray, None, None]:
        with closing(iter(mixdown)) as mixed:
            for block in mixed:
                yield (block * amplitude(gain_db)).clamp(-1, 1).numpy()

    def blocks() -> Iterator[Generator[np.ndarray, None, None]]:
        nonlocal gain_db
        yield first_try()
        gain_db = _room(highest, allow_clipping)
        if gain_db:
            yield turned_down()

    write_blocks(path, blocks(), (mixdown.channels, mixdown.length), mixdown.sample_rate, subtype)
    return MixReport(AudioFile(path), decibels(highest), gain_db)


def duck(bed: AudioClip, speech: AudioClip, ducking: Ducking | None = None) -> AudioClip:
    """The bed as it sounds under the speech, without the speech; both begin together.

    Args:
        bed, speech: any rates and channel counts. The result has the rate, channels and length of the bed.
        ducking: the settings; None takes the defaults.

    Raises:
        MissingExtraError: faster-whisper (extra `asr`) is not installed.
    """
    ducking = ducking or Ducking()
    curve = DuckCurve(ducking, speech_spans(speech, ducking.threshold))
    out = bed.samples.clone()
    for first in range(0, bed.length, _BLOCK):
        part = out[:, first : first + _BLOCK]
        gains = curve.block(first, part.shape[1], bed.sample_rate)
        if gains is not None:
            part *= gains.to(part.device)
    return AudioClip(out, bed.sample_rate)


class _TrackReader:
    """One track on its way into the sum."""

    def __init__(self, track: Track, place: TrackSpan, mixdown: Mixdown, curve: DuckCurve | None):
        self._track, self._place, self._curve, self._rate = track, place, curve, mixdown.sample_rate
        self._mono = track.clip.channels > 2 and track.clip.channels != mixdown.channels
        inside = 1 if self._mono else track.clip.channels
        self._routes = _routes(inside, mixdown.channels, track.pan, amplitude(track.gain_db))
        self._blocks: Blocks | None = None

    def add_to(self, total: torch.Tensor, first: int) -> None:
        """Adds the part that falls into this block, which begins at sample `first` of the mix."""
        begin, end = max(first, self._place.start), min(first + total.shape[1], self._place.end)
        if begin >= end:
            return
        self._blocks = self._blocks or Blocks(self._pieces())
        wave = self._blocks.take(end - begin)
        for gains in self._gains(begin, end - begin):
            if gains is not None:
                wave = wave * gains
        for inside, outside, gain in self._routes:
            total[outside, begin - first : end - first].add_(wave[inside], alpha=gain)
        if end == self._place.end:
            self.close()

    def close(self) -> None:
        """Let go of the file that it reads."""
        if self._blocks is not None:
            self._blocks.close()
        self._blocks = None

    def _gains(self, begin: int, count: int) -> Iterator[torch.Tensor | None]:
        track, place, rate = self._track, self._place, self._rate
        rising, falling = (min(place.length, round(seconds * rate)) for seconds in (track.fade_in_s, track.fade_out_s))
        yield fade(place.length, rising, falling, track.fade_shape, begin - place.start, count)
        if self._curve is not None:
            yield self._curve.block(begin, count, rate)

    def _pieces(self) -> Generator[torch.Tensor, None, None]:
        while True:
            yield from read(self._track.clip, self._track.span, self._rate, self._mono)


def _routes(inside: int, outside: int, pan: float, gain: float) -> list[tuple[int, int, float]]:
    """Which channel of a track goes to which of the mix, and how much of it."""
    if outside == 1:
        return [(channel, 0, gain / inside) for channel in range(inside)]
    left, right = (one((pan + 1) * math.pi / 4) for one in (math.cos, math.sin))
    if inside == 1:
        return [(0, 0, gain * left), (0, 1, gain * right)]
    if pan == 0:
        return [(channel, channel, gain) for channel in range(inside)]
    balance = [left * math.sqrt(2), right * math.sqrt(2)] + [1.0] * (inside - 2)
    return [(channel, channel, gain * balance[channel]) for channel in range(inside)]


def _speech(track: Track, place: TrackSpan, rate: int, threshold: float) -> Iterator[tuple[float, float]]:
    """Where the track speaks, in seconds of the mix."""
    first, last = (sample / track.clip.sample_rate for sample in track.span)
    if track.speech is None:
        with closing(read(track.clip, track.span, SPEECH_RATE, mono=True)) as pieces:
            spans = find_speech(pieces, threshold)
    else:
        spans = [(max(start, first) - first, min(end, last) - first) for start, end in track.speech]
    for begin in range(place.start, place.end, place.period):
        for start, end in spans:
            start, end = begin / rate + start, min(begin / rate + end, place.end / rate)
            if start < end:
                yield start, end


def _room(highest: float, allow_clipping: bool) -> float:
    """The gain in dB that keeps a peak inside full scale."""
    if highest <= 1 or allow_clipping:
        return 0.0
    gain_db = CEILING_DBFS - decibels(highest)
    _log.warning("The mix peaked at %+.1f dBFS and was turned down by %.1f dB.", decibels(highest), -gain_db)
    return gain_db


def _check_finite(block: torch.Tensor, first: int) -> None:
    if not bool(torch.isfinite(block.sum())):
        bad = (~torch.isfinite(block)).nonzero()
        if len(bad):
            channel, place = bad[0].tolist()
            raise AudioError(
                "The mix holds a value that is not a number.",
                expected="finite samples",
                got=f"{float(block[channel, place])} in channel {channel} at sample {first + place}",
                remedy="Make the clips again, or replace such samples first.",
            )

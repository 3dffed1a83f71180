"""Clips and files, read in order and piece by piece, at any rate.

Letters in shapes: C channels, T samples.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ...errors import AudioError
from ..clip import AudioClip, to_mono
from ..files import Unreadable, open_soundfile, read_at

_PIECE = 65_536  # samples that are read or resampled at once


@dataclass(frozen=True)
class AudioFile:
    """An audio file as a track, read while it is mixed: what libsndfile knows (wav, flac, ogg, opus, mp3, aiff, …).

    Attributes:
        path: the file.
        channels, sample_rate, length: as its header says; samples in each channel.

    Raises:
        AudioError: no such file, not one that libsndfile reads, or one that is cut off.
    """

    path: Path
    channels: int = field(init=False)
    sample_rate: int = field(init=False)
    length: int = field(init=False)

    def __init__(self, path: str | os.PathLike):
        try:
            with open_soundfile(Path(path)) as file:
                facts = {
                    "path": Path(path),
                    "channels": file.channels,
                    "sample_rate": file.samplerate,
                    "length": len(file),
                }
        except Unreadable as error:
            raise AudioError(
                f"'{path}' cannot be read piece by piece.",
                got=str(error),
                expected="a file that libsndfile reads, as .wav, .flac, .ogg or .mp3",
                remedy="Check the path, or load the file whole with AudioClip.load.",
            ) from error
        for name, value in facts.items():
            object.__setattr__(self, name, value)

    @property
    def seconds(self) -> float:
        return self.length / self.sample_rate


class Blocks:
    """Pieces [C, n] of any length, taken in the lengths that are asked for."""

    def __init__(self, pieces: Generator[torch.Tensor, None, None]):
        self._pieces, self._rest = pieces, None

    def close(self) -> None:
        """Close the file that the pieces come from."""
        self._pieces.close()

    def take(self, count: int) -> torch.Tensor:
        """The next samples [C, count]; perhaps a view of the clip itself, so not to be written to."""
        parts = []
        while count:
            if self._rest is None or self._rest.shape[1] == 0:
                self._rest = next(self._pieces)
            part, self._rest = self._rest[:, :count], self._rest[:, count:]
            parts.append(part)
            count -= part.shape[1]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def resampled_length(length: int, old: int, new: int) -> int:
    """Samples after resampling, as in `audio.resample`."""
    return -(-length * new // old)


def read(
    source: AudioClip | AudioFile, span: tuple[int, int], rate: int, mono: bool
) -> Generator[torch.Tensor, None, None]:
    """The samples of the span, as pieces [C, n] at the rate; with `mono` the mean of all channels [1, n]."""
    with closing(_clip_pieces(source, span) if isinstance(source, AudioClip) else _file_pieces(source, span)) as found:
        pieces = (to_mono(AudioClip(piece, source.sample_rate)).samples for piece in found) if mono else found
        if rate != source.sample_rate:
            channels = 1 if mono else source.channels
            pieces = _resampled(
                pieces,
                channels,
                source.sample_rate,
                rate,
                resampled_length(span[1] - span[0], source.sample_rate, rate),
            )
        yield from pieces


def _clip_pieces(clip: AudioClip, span: tuple[int, int]) -> Generator[torch.Tensor, None, None]:
    for first in range(*span, _PIECE):
        yield clip.samples[:, first : min(first + _PIECE, span[1])].detach().cpu()


def _file_pieces(file: AudioFile, span: tuple[int, int]) -> Generator[torch.Tensor, None, None]:
    with open_soundfile(file.path) as opened:
        for first in range(*span, _PIECE):
            yield torch.from_numpy(read_at(file.path, opened, first, min(_PIECE, span[1] - first)).T)


def _resampled(
    pieces: Iterator[torch.Tensor], channels: int, old: int, new: int, length: int
) -> Generator[torch.Tensor, None, None]:
    """As `audio.resample`, piece by piece: soxr keeps what it needs of the earlier ones."""
    import soxr

    stream = soxr.ResampleStream(old, new, channels, dtype="float32", quality="HQ")
    left, waiting = length, None
    for piece in pieces:
        if waiting is not None:
            wave = stream.resample_chunk(waiting, last=False)[:left]
            left -= len(wave)
            yield torch.from_numpy(wave.T)
        waiting = piece.T.contiguous().numpy()
    assert waiting is not None  # a span holds a sample at least
    wave = stream.resample_chunk(waiting, last=True)[:left]
    yield torch.nn.functional.pad(torch.from_numpy(wave.T), (0, left - len(wave)))

"""The sound of a film in the film's own time: a part at a time, with the delay of a sound track that begins later."""

from __future__ import annotations

import math
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import torch

from ..audio.clip import AudioClip, to_mono
from ..audio.files import decoded_pieces, sound_length, write_blocks
from ..audio.files.reading import Unreadable, open_soundfile
from ..audio.mix import AudioFile
from ..errors import AudioError


@dataclass(frozen=True)
class FilmSound:
    """The sound of a film; of a file only the parts that are asked for are read.

    Attributes:
        source: a clip, or a sound or video file.
        delay_s: seconds of the film before its sound begins. Readers of sound start with its first sample; a video's
            container says when that is played.
        seconds: of the film, up to the end of its sound.
    """

    source: AudioClip | Path
    delay_s: float
    seconds: float

    @classmethod
    def of(cls, source: AudioClip | str | os.PathLike) -> FilmSound:
        """Raises:
        AudioError: no such file, no sound in it, or a clip without samples.
        """
        if isinstance(source, AudioClip):
            if not source.length:
                raise AudioError(
                    "There is no sound to take voices from.",
                    expected="a clip with samples",
                    got="0 samples",
                    remedy="Check the step that made the clip.",
                )
            return cls(source, 0.0, source.seconds)
        path = Path(source)
        AudioClip.load(path, duration_s=0.01)  # what is wrong with the file is said here
        delay_s, seconds = sound_length(path)
        return cls(path, delay_s, delay_s + seconds)

    def part(self, start_s: float, end_s: float) -> AudioClip:
        """What is heard from one moment of the film to another, mono; silence where the sound has not begun, or is
        over.

        Raises:
            AudioError: the file cannot be read there.
        """
        begin, end = max(0.0, start_s - self.delay_s), min(end_s, self.seconds) - self.delay_s
        wanted = max(0.0, end_s - start_s)
        if end - begin < 0.001:
            return AudioClip(torch.zeros(1, max(1, round(wanted * 16_000))), 16_000)
        if isinstance(self.source, AudioClip):
            rate = self.source.sample_rate
            found = AudioClip(self.source.samples[:, round(begin * rate) : round(end * rate)], rate)
        else:
            found = AudioClip.load(self.source, start_s=begin, duration_s=end - begin)
        found, rate = to_mono(found), found.sample_rate
        before = round(max(0.0, self.delay_s - start_s) * rate)
        after = max(0, round(wanted * rate) - before - found.length)
        samples = found.samples.cpu()
        return AudioClip(torch.nn.functional.pad(samples, (before, after)) if before or after else samples, rate)

    def whole(self) -> AudioClip:
        """All of it with all channels, from the beginning of the film; an hour takes more than 1 GB of memory."""
        clip = self.source if isinstance(self.source, AudioClip) else AudioClip.load(self.source)
        before = round(self.delay_s * clip.sample_rate)
        if not before:
            return clip
        return AudioClip(torch.nn.functional.pad(clip.samples, (before, 0)), clip.sample_rate)

    def on_disk(self, folder: str | os.PathLike) -> AudioClip | AudioFile:
        """The sound, from its own beginning, as a track that is read while it is mixed; a video's is decoded into the
        folder piece by piece, surround sound as stereo.

        Raises:
            AudioError: it cannot be read, or the disk is full.
        """
        if isinstance(self.source, AudioClip):
            return self.source
        try:
            with open_soundfile(self.source):
                pass
            return AudioFile(self.source)
        except Unreadable:
            pass
        rate, pieces = decoded_pieces(self.source, stereo=True)
        first = next(pieces)
        length = math.ceil((self.seconds - self.delay_s) * rate)

        def blocks() -> Generator:
            yield first
            yield from pieces

        path = Path(folder, "film.w64")
        write_blocks(path, iter([blocks()]), (first.shape[0], length), rate, "FLOAT")
        return AudioFile(path)

"""Ends a line that has fallen silent while it is generated, by its codes alone."""

from __future__ import annotations

import copy
import hashlib
from collections import deque

import torch
from torch import Tensor

from ..audio.clip import AudioClip
from ..audio.loudness.decibels import amplitude
from ..codec import Codec
from ..kept import kept
from ..settings import SETTINGS

LEVELS_DBFS = (None, -90, -80, -75, -70, -65, -60)  # digital silence, and hiss that nobody hears
EDGE = 5  # frames at both ends that hear where a clip begins and ends
SHARE = 0.9  # of the frames that are silent: the codec strays now and then


class SilenceStop:
    """For `should_end` of `generate`: True once a prompt has been silent for some seconds. One object for one call.

    A frame is silent if its first codebook holds an entry that the codec gives to silence or to hiss up to -60 dBFS.
    Speech has such frames in its pauses, and not for long.

    Args:
        codec: encodes seven seconds, once.
        seconds: of silence that end a line, 0.2 to 60.

    Attributes:
        entries: of the first codebook that stand for silence.

    Raises:
        SettingError: seconds out of range.
    """

    def __init__(self, codec: Codec, seconds: float = 3.0):
        SETTINGS["silence_s"].check(seconds, called="seconds")
        self.entries = silent_entries(codec)
        self._frames = max(1, round(seconds * codec.frame_rate))
        self._latest: dict[int, deque[bool]] = {}

    def anew(self) -> SilenceStop:
        """One for the next call, without another look at the codec."""
        other = copy.copy(self)
        other._latest = {}
        return other

    def cut(self, ids: Tensor) -> Tensor:
        """Codes [K, F] until the frame at which they have been silent for so long; all where they never are.

        A line ends a few frames later, for its steps come in groups; cut, it is the same in any batch.
        """
        stop = self.anew()
        ended = (frame for frame in range(ids.shape[1]) if stop(0, ids[:, frame : frame + 1]))
        return ids[:, : next(ended, ids.shape[1] - 1) + 1]

    @property
    def key(self) -> str:
        """Equal keys end the same codes at the same frame."""
        return hashlib.sha256(repr((self._frames, SHARE, sorted(self.entries))).encode()).hexdigest()

    def __call__(self, index: int, frames: Tensor) -> bool:
        """Whether the prompt of this index has been silent for so long, with these new frames [K, n]."""
        latest = self._latest.setdefault(index, deque(maxlen=self._frames))
        for entry in frames[0].tolist():
            latest.append(entry in self.entries)
            if len(latest) == self._frames and sum(latest) >= SHARE * self._frames:
                return True
        return False


def silent_entries(codec: Codec) -> frozenset[int]:
    """Entries of the first codebook that the codec gives to a second of silence and of faint hiss; see `kept`."""
    made_from = {"what": "silent entries", "levels": repr((LEVELS_DBFS, EDGE)), "codec": codec.weights_hash}
    return frozenset(kept(made_from, lambda: _silent_entries(codec), lambda value: _are_entries(value, codec)))


def _are_entries(value: object, codec: Codec) -> bool:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < codec.codebook_size for one in value)


def _silent_entries(codec: Codec) -> list[int]:
    random, found = torch.Generator().manual_seed(0), set()
    for level in LEVELS_DBFS:
        hiss = torch.randn(1, codec.sample_rate, generator=random)
        hiss *= 0.0 if level is None else amplitude(level)
        found |= set(codec.encode(AudioClip(hiss, codec.sample_rate)).ids[0, EDGE:-EDGE].tolist())
    return sorted(found)

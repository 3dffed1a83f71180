"""One request on its way through the engine: what is asked, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..audio.clip import AudioClip
from ..codec import Codec
from ..codec.grouping import STREAMED, FrameGroups, PieceSizes
from ..codec.interface import StreamDecoder
from ..errors import HiggsError
from ..prompt import DEFAULT_SYSTEM
from ..speech import silence
from ..types import Codes, Generation, Sampling

WHOLE = PieceSizes((), 125)  # decoded at once where nobody waits for a first sound; the others wait so long


@dataclass(frozen=True)
class Asked:
    """What a request asks for, checked as far as it can be without model and codec.

    Attributes:
        voice: file of a voice in the library, or clip of the pack; None: none in particular.
        references: clips or codes to sound like, each with its words.
        streamed: the first sound is wanted early.
        codes: frames are wanted in place of sound.
    """

    text: str
    sampling: Sampling
    voice: Path | None = None
    references: tuple[tuple[AudioClip | Codes, str], ...] = ()
    system: str = DEFAULT_SYSTEM
    scene: str = ""
    streamed: bool = False
    codes: bool = False


class Done(NamedTuple):
    """The line is over, and all of it was told."""

    take: Generation


class Failed(NamedTuple):
    """The line is over without its end; `by_client`: it cannot be spoken as it was asked for."""

    error: HiggsError
    by_client: bool = False


Event = AudioClip | Codes | Done | Failed


@dataclass(eq=False)
class ServedRequest:
    """A request in the engine.

    Args:
        tell: is given each event, on the engine's thread.

    Attributes:
        gone: set by whoever asked, when nobody listens any more; the engine then ends the line.
        warnings: of its prompt, once it speaks.
    """

    asked: Asked
    tell: Callable[[Event], None]
    gone: bool = False
    warnings: tuple[str, ...] = ()
    started: float = field(default_factory=time.monotonic)
    first_s: float | None = None  # seconds from the request to its first sound
    over: bool = False
    _decoder: StreamDecoder | None = None

    def __post_init__(self):
        self._groups = FrameGroups(STREAMED if self.asked.streamed else WHOLE)

    def hear(self, codes: Codes, take: Generation | None, codec: Codec) -> None:
        """New frames of it, and its take with the last ones.

        Raises:
            AudioError: they cannot be decoded.
        """
        if self.gone:
            self.over = self.over or take is not None
            return
        if self.asked.codes:
            if codes.frames:
                self._say(codes)
        else:
            self._decode(codes, take is not None, codec)
        if take is None:
            return
        if self.first_s is None:
            self.fail(silence(take.finish_reason))
        else:
            self._end(Done(take))

    def fail(self, error: HiggsError, by_client: bool = False) -> None:
        """It cannot be spoken, or not to its end."""
        if not self.over:
            self._end(Failed(error, by_client))

    def _decode(self, codes: Codes, last: bool, codec: Codec) -> None:
        self._decoder = self._decoder or codec.decoder()
        piece = self._groups.add(codes, more=last)
        if last:
            piece = self._groups.rest()
        for clip in () if piece is None else self._decoder.push(piece):
            self._say(clip)
        for clip in self._decoder.finish() if last else ():
            self._say(clip)

    def _say(self, event: AudioClip | Codes) -> None:
        if self.first_s is None:
            self.first_s = time.monotonic() - self.started
        self.tell(event)

    def _end(self, event: Done | Failed) -> None:
        self.over = True
        self.tell(event)

"""One request on its way through the engine: what is asked, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch

from ..audio.clip import AudioClip
from ..audio.seams import Seams
from ..codec import Codec
from ..codec.grouping import STREAMED, FrameGroups, PieceSizes
from ..codec.interface import StreamDecoder
from ..errors import HiggsError
from ..monologue import Monologue, QuietEnd, TextPieces
from ..prompt import DEFAULT_SYSTEM
from ..speech import silence
from ..types import Codes, FinishReason, Generation, Sampling
from ..verification import SilenceStop

WHOLE = PieceSizes((), 125)  # decoded at once where nobody waits for a first sound; the others wait so long


@dataclass(frozen=True)
class Asked:
    """What a request asks for, checked as far as it can be without model and codec.

    Attributes:
        voice: file of a voice in the library, or clip of the pack; None: none in particular.
        references: clips or codes to sound like, each with its words.
        streamed: the first sound is wanted early.
        codes: frames are wanted in place of sound.
        pieces: of the text, in which it is spoken.
        limited: `max_frames` are those of all pieces together, not of each.
        notes: what is to be said of its references.
        timed: the end of each piece is told.
    """

    text: str
    sampling: Sampling
    voice: Path | None = None
    references: tuple[tuple[AudioClip | Codes, str], ...] = ()
    system: str = DEFAULT_SYSTEM
    scene: str = ""
    streamed: bool = False
    codes: bool = False
    pieces: TextPieces = TextPieces(())
    limited: bool = False
    notes: tuple[str, ...] = ()
    timed: bool = False

    def budget(self, spoken: int) -> Sampling:
        """Settings of the next piece, behind so many frames."""
        if not self.limited:
            return self.sampling
        return replace(self.sampling, max_frames=max(1, self.sampling.max_frames - spoken))


class Done(NamedTuple):
    """The line is over, and all of it was told.

    Attributes:
        reason: "length" where a part of it did not end by itself.
        prompt_positions, frames: that were read and spoken for it.
    """

    reason: FinishReason
    prompt_positions: int
    frames: int


class Failed(NamedTuple):
    """The line is over without its end; `by_client`: it cannot be spoken as it was asked for."""

    error: HiggsError
    by_client: bool = False


class PieceOver(NamedTuple):
    """All sound of a piece was told, and the silence behind it; its number is from 0."""

    number: int


Event = AudioClip | Codes | PieceOver | Done | Failed


@dataclass(eq=False)
class ServedRequest:
    """A request in the engine: a text that is spoken in one piece or in several, one after another.

    Args:
        tell: is given each event, on the engine's thread.

    Attributes:
        gone: set by whoever asked, when nobody listens any more; the engine then ends the line.
        warnings: of its prompts, once it speaks, and of its end.
        monologue: its pieces, once the engine has looked at it.
    """

    asked: Asked
    tell: Callable[[Event], None]
    gone: bool = False
    warnings: tuple[str, ...] = ()
    started: float = field(default_factory=time.monotonic)
    first_s: float | None = None  # seconds from the request to its first sound
    over: bool = False
    monologue: Monologue | None = None
    _end: QuietEnd = field(default_factory=lambda: QuietEnd(None))
    _decoder: StreamDecoder | None = None
    _seams: Seams | None = None
    _frames: int = 0  # of the piece that speaks

    def __post_init__(self):
        self._groups = FrameGroups(STREAMED if self.asked.streamed else WHOLE)

    def begin_piece(self, stop: SilenceStop | None) -> None:
        """The next piece is about to be spoken."""
        self._end, self._decoder, self._frames = QuietEnd(stop), None, 0
        self._groups = FrameGroups(self._groups.sizes)

    def should_end(self, ids: torch.Tensor) -> bool:
        """Whether the piece is over with these new frames [K, n]."""
        return self._end(ids) or self.gone

    @property
    def spoken(self) -> int:
        """Frames of the pieces that are over."""
        return sum(take.frames for take in self.monologue.takes) if self.monologue else 0

    @property
    def goes_on(self) -> bool:
        """Whether there is a further piece to speak."""
        if self.over or self.gone or self.monologue is None or not self.monologue.left:
            return False
        return not self.asked.limited or self.spoken < self.asked.sampling.max_frames

    def hear(self, codes: Codes, take: Generation | None, codec: Codec) -> None:
        """New frames of the piece, and its take with the last ones.

        Raises:
            AudioError: they cannot be decoded.
        """
        if self.gone:
            self.over = self.over or take is not None
            return
        assert self.monologue is not None  # a line speaks once it has one
        codes = self._end.rest(codes, self._frames)
        self._frames += codes.frames
        if take is not None:
            self.monologue.keep(self._end.take(take))
        if self.asked.codes:
            if codes.frames:
                self._say(codes)
        else:
            self._decode(codes, take is not None, codec)
        if take is not None and not self.goes_on:
            self._finish(self.monologue)

    def _finish(self, monologue: Monologue) -> None:
        takes = monologue.takes
        reason = "length" if monologue.left else monologue.reason  # max_new_tokens did not last for all
        if self.first_s is None:
            return self.fail(silence(reason))
        self.warnings += tuple(monologue.cut_off("Raise max_new_tokens, or try another seed."))
        self._conclude(Done(reason, sum(take.prompt_positions for take in takes), self.spoken))

    def fail(self, error: HiggsError, by_client: bool = False) -> None:
        """It cannot be spoken, or not to its end."""
        if not self.over:
            self._conclude(Failed(error, by_client))

    def _decode(self, codes: Codes, last: bool, codec: Codec) -> None:
        self._decoder = self._decoder or codec.decoder()
        self._seams = self._seams or Seams(codec.sample_rate)
        piece = self._groups.add(codes, more=last)
        if last:
            piece = self._groups.rest()
        for clip in () if piece is None else self._decoder.push(piece):
            self._join(self._seams.push(clip))
        for clip in self._decoder.finish() if last else ():
            self._join(self._seams.push(clip))
        if last:
            assert self.monologue is not None
            self._join(self._seams.end_line(self.monologue.gap_s if self.goes_on else None))
            if self.asked.timed:
                self.tell(PieceOver(len(self.monologue.takes) - 1))

    def _join(self, clip: AudioClip | None) -> None:
        if clip is not None:
            self._say(clip)

    def _say(self, event: AudioClip | Codes) -> None:
        if self.first_s is None:
            self.first_s = time.monotonic() - self.started
        self.tell(event)

    def _conclude(self, event: Done | Failed) -> None:
        self.over = True
        self.tell(event)

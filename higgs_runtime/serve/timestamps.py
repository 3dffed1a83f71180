"""When each word of an answer is said: beside the engine, piece by piece, as soon as a piece is spoken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..audio.clip import AudioClip
from ..errors import HiggsError, SettingError, StoppedError
from ..script import in_sentences, joined
from ..text.languages import base_language, sure_language
from ..text.marks import plain_words
from ..types import WordTime
from ..verification import Recognizer, first_recognizer, line_times, load_recognizer, written_pieces
from ..verification.forced_alignment import can_align
from ..verification.words import levenshtein
from .budget import Share
from .lines import Failed, PieceOver


class PieceWords(NamedTuple):
    """The words of the next piece, in seconds from the start of the answer."""

    words: tuple[WordTime, ...]


class Wanted(NamedTuple):
    """What a request asks for, as far as it is known before it speaks.

    Attributes:
        texts: what each piece says, as the client wrote it.
        language: None: not known.
    """

    texts: Sequence[str]
    language: str | None
    ears: Recognizer | None


class WordFinder:
    """Finds the words of all answers, one piece at a time, so that a recognizer never takes more cores from the engine
    than one piece needs.

    Args:
        recognizer: as in `load_recognizer`; None: the first that knows the language of a text, and none for English
            where there is none.
        folders: as in `find_recognizers`.

    Raises:
        CheckpointError, MissingExtraError: the recognizer that was named cannot be loaded.
    """

    def __init__(self, recognizer: str | None = None, folders: Iterable[str | Path] = ()):
        self._folders = list(folders)
        self._named = None if recognizer is None else load_recognizer(recognizer, folders=self._folders)
        self._known: dict[str, Recognizer | None] = {}  # by language
        self._loaded: dict[str, Recognizer] = {}  # by name: `load_recognizer` keeps but one, and would load it anew
        self._loading = threading.Lock()
        self._pool = ThreadPoolExecutor(1, "higgs-words")

    def close(self) -> None:
        """What waits is not found any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ears(self, language: str | None) -> Recognizer | None:
        """Who listens to a text in this language (None: not known); None: the sound alone tells.

        Raises:
            MissingExtraError: an extra is not installed.
            CheckpointError: there is no recognizer.
            SettingError: the one that there is does not know the language.
        """
        levenshtein()
        if self._named is None and (found := self._first(base_language(language))):
            return found
        if self._named is None and can_align(language or "en"):
            return None
        ears = self._named or load_recognizer(None, folders=self._folders)
        if language and base_language(language) not in ears.languages:
            raise SettingError(
                "The words of this language cannot be timed here.",
                expected=" or ".join(ears.languages[:12]),
                got=f"'{language}'",
                remedy="Ask for no timestamps, or have a recognizer installed that knows it.",
            )
        return ears

    def _first(self, code: str) -> Recognizer | None:
        with self._loading:
            if code not in self._known:
                found = first_recognizer(code, self._folders)
                self._known[code] = self._loaded.setdefault(*found) if found else None
            return self._known[code]

    def find(self, clip: AudioClip, number: int, wanted: Wanted) -> asyncio.Future:
        """A future of the words of a piece."""
        text, language = wanted.texts[number], wanted.language
        return asyncio.wrap_future(self._pool.submit(line_times, clip, text, recognizer=wanted.ears, language=language))


class AnswerWords:
    """The words of one answer. On the event loop.

    Args:
        share: of the memory that requests hold; it has the sound of pieces until their words are found.
        tell: is given a PieceWords for each piece, in order, or what failed.

    Attributes:
        waiting: pieces that were spoken, and whose words were not taken yet: who takes them counts down.
    """

    def __init__(
        self,
        finder: WordFinder,
        wanted: Wanted,
        share: Share,
        tell: Callable[[PieceWords | Failed], None],
    ):
        self._finder, self._wanted, self._share, self._tell = finder, wanted, share, tell
        self._clips: list[AudioClip] = []
        self._before_s = 0.0  # of the answer, before the piece that speaks
        self._futures: list[asyncio.Future] = []
        self.waiting = 0

    def hear(self, clip: AudioClip) -> None:
        """Sound of the piece that speaks."""
        self._clips.append(clip)
        self._share.take(clip.samples.nbytes, whatever=True)

    def end_piece(self, over: PieceOver) -> None:
        """All of its sound was heard."""
        clips, start_s, self._clips = self._clips, self._before_s, []
        if not clips:
            return
        clip = AudioClip(torch.cat([one.samples.cpu() for one in clips], 1), clips[0].sample_rate)
        self._before_s += clip.seconds
        future = self._finder.find(clip, over.number, self._wanted)
        self._futures.append(future)
        self.waiting += 1

        def told(future: asyncio.Future) -> None:
            if future.cancelled():
                return
            self._share.take(-clip.samples.nbytes)
            if (error := future.exception()) is None:
                self._tell(PieceWords(tuple(word.moved(start_s) for word in future.result())))
            elif isinstance(error, HiggsError):
                self._tell(Failed(error))
            else:
                self._tell(Failed(StoppedError("The words could not be timed.", got=str(error), remedy="See the log.")))

        future.add_done_callback(told)

    def leave(self) -> None:
        """Nobody waits for them any more."""
        for future in self._futures:
            future.cancel()


def wanted_words(text: str, pieces: Sequence[str], language: str | None, prepared: bool, finder: WordFinder) -> Wanted:
    """Before anything is spoken; on a thread of its own, since a recognizer may have to be loaded.

    Args:
        prepared: marks for the eye were taken away.

    Raises:
        HiggsError: as `WordFinder.ears`.
    """
    language = language or sure_language(text)
    ears = finder.ears(language)
    return Wanted(written_pieces(plain_words(text) if prepared else text, pieces, language), language, ears)


def fields_of(
    pieces: Sequence[PieceWords], granularities: Iterable[str], first_segment: int = 0, speed: float = 1.0
) -> dict[str, Any]:
    """Words and segments, as OpenAI's transcriptions have them; segments are the sentences of each piece.

    Args:
        first_segment: number of the first one.
        speed: that the sound is played at.
    """

    def times(start_s: float, end_s: float) -> dict[str, float]:
        return {"start": round(start_s / speed, 3), "end": round(end_s / speed, 3)}

    found: dict[str, Any] = {}
    if "word" in granularities:
        found["words"] = [
            {"word": one.text, **times(one.start_s, one.end_s)} for piece in pieces for one in piece.words
        ]
    if "segment" in granularities:
        sentences = [one for piece in pieces for one in in_sentences(piece.words)]
        found["segments"] = [
            {"id": number, **times(part[0].start_s, part[-1].end_s), "text": joined(part)}
            for number, part in enumerate(sentences, first_segment)
        ]
    return found

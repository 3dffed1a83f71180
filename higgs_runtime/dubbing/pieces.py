"""The words of a cue, cut out of the film: the piece of a reference."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from ..audio.clip import AudioClip
from ..errors import AudioError, HiggsWarning, MissingExtraError
from ..types import WordTime
from ..verification import Recognizer, Transcript, compare_words, word_times
from ..verification.forced_alignment import can_align
from ..verification.shape import loud_spans
from ..voices import Piece
from .cues import FilmCue
from .film import FilmSound

BEFORE_S, AFTER_S = 0.05, 0.1  # beside the words: plosives and the end of a sound
SAME_WORDS = 0.5  # of the cue's words: where fewer are heard, the film says something else


@dataclass(frozen=True)
class Cutter:
    """Cuts cues at their words.

    Attributes:
        recognizer: hears what is said; None: English cues are aligned with what the subtitles say, others are cut where
            it is quiet.
        language: of the film, ISO 639-1; None: the recognizer finds out.
        written: language of the subtitles, as far as it is known.
    """

    film: FilmSound
    recognizer: Recognizer | None
    language: str | None
    written: str | None = None

    def cut(self, cue: FilmCue, company: Sequence[FilmCue], longest_s: float) -> tuple[Piece | None, str]:
        """The piece of a cue, and what is to be said of it; no piece where its words cannot be had.

        Args:
            company: the cues that share its subtitle, in order; itself alone without such.
            longest_s: a longer piece ends between two words before that.
        """
        start = min(one.window[0] for one in company)
        around = self.film.part(start, max(one.window[1] for one in company))
        heard = self.recognizer.transcribe(around, self.language) if self.recognizer is not None else None
        if heard is not None and not heard.words:
            return None, "the recognizer hears no words there"
        words, note = self._words(around, " ".join(one.said for one in company), heard)
        if len(company) > 1 and words:
            if note:
                return None, "two speakers share it, and the film says something else there"
            words = _of_one(words, [one.said for one in company], [one.number for one in company].index(cue.number))
        if words is None:
            if len(company) > 1:
                return None, "two speakers share it, and nothing tells when the second begins"
            return self._at_quiet(cue, around, start, longest_s), ""
        kept = [word for word in words if word.end_s - words[0].start_s <= longest_s] or words[:1]
        begin, end = max(0.0, kept[0].start_s - BEFORE_S), min(around.seconds, kept[-1].end_s + AFTER_S)
        if end - begin < 0.1:
            return None, "its words are not found there"
        if len(kept) < len(words):
            end = min(end, (kept[-1].end_s + words[len(kept)].start_s) / 2)
        return Piece(_part(around, begin, end), around, " ".join(word.text for word in kept)), note

    def _words(self, clip: AudioClip, text: str, heard: Transcript | None) -> tuple[list[WordTime] | None, str]:
        """The words with their times in a clip; None where nothing tells them."""
        about: dict = {"language": self.language or (heard.language if heard else self.written)}
        note = ""
        if heard is not None:
            errors = compare_words(text, heard.text, about["language"] or "en")
            written = [mine for mine, _ in errors.pairs if mine]
            same = sum(mine == other for mine, other in errors.pairs)
            if same < SAME_WORDS * max(1, len(written)):
                note = "the film says something else than the subtitles; what was heard is used" if text else ""
                text = " ".join(word.text for word in heard.words)
            about["heard"] = heard.words
        elif not text or not can_align(about["language"] or ""):
            return None, ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", HiggsWarning)  # what it would say is said in the note
                return word_times(clip, text, **about) or None, note
        except (AudioError, MissingExtraError):
            return None, note

    def _at_quiet(self, cue: FilmCue, around: AudioClip, start: float, longest_s: float) -> Piece | None:
        """From the first to the last loud moment; whole stretches where that is too long, and then without words."""
        inner = cue.span[0] - start, cue.span[1] - start
        spans = [(a, b) for a, b in loud_spans(around) if b > inner[0] and a < inner[1]]
        kept = [(a, b) for a, b in spans if b - spans[0][0] <= longest_s]
        if not kept:
            return None
        begin, end = max(0.0, kept[0][0] - BEFORE_S), min(around.seconds, kept[-1][1] + AFTER_S)
        return Piece(_part(around, begin, end), around, cue.said if len(kept) == len(spans) else "")


def _of_one(words: Sequence[WordTime], texts: Sequence[str], place: int) -> list[WordTime] | None:
    """The words of one of the texts that were said one after another, by the letters of each."""
    ends, total = [], 0
    for text in texts:
        total += len("".join(text.split()))
        ends.append(total)
    found, letters = [], 0
    for word in words:
        middle = letters + len("".join(word.text.split())) / 2
        letters += len("".join(word.text.split()))
        if (ends[place - 1] if place else 0) <= middle < ends[place]:
            found.append(word)
    return found or None


def _part(clip: AudioClip, start_s: float, end_s: float) -> AudioClip:
    rate = clip.sample_rate
    return AudioClip(clip.samples[:, round(start_s * rate) : round(end_s * rate)], rate)

"""When the words around an edit are said: of a long recording only what is near is heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import NamedTuple

from ..audio.clip import AudioClip
from ..errors import SettingError
from ..types import WordTime
from ..verification import OTHER, Recognizer, Word, check_says, heard_share, word_times
from ..verification.forced_alignment import can_align
from .changes import spoken_forms, written
from .join import part
from .recording import Speaking

WHOLE_S = 90.0  # recordings up to here are heard whole
AROUND_S = 60.0  # of a longer one, at either side of where the words should be; twice as much until they are found
RUN = 3  # words in a row that tell a place


class FoundWords(NamedTuple):
    """Some words of a transcript with their times in the recording.

    Attributes:
        first: number of the first of them.
        times: in seconds of the whole recording, in order.
        language: ISO 639-1, given or heard; "en" where neither.
    """

    first: int
    times: list[WordTime]
    language: str

    @property
    def stop(self) -> int:
        return self.first + len(self.times)

    def time(self, number: int) -> WordTime:
        """Of a word, by its number in the transcript."""
        return self.times[number - self.first]


def can_find_words(recognizer: Recognizer | None, language: str) -> bool:
    """Whether `find_words` can do anything here."""
    return recognizer is not None or can_align(language)


def find_words(
    clip: AudioClip,
    words: Sequence[str],
    wanted: tuple[int, int],
    speaking: Speaking,
) -> FoundWords:
    """The words of a transcript near these, with their times.

    Args:
        words: all words of the transcript.
        wanted: numbers of the words that are needed, [first, stop), with RUN further ones at either side.
        speaking: whose recognizer hears it; without one only English recordings up to WHOLE_S, by their sound alone.

    Raises:
        AudioError: nobody speaks, or the recording says something else.
        SettingError: a long recording, and no recognizer; or a language that it does not know.
        MissingExtraError: see `word_times`.
    """
    language = speaking.language
    if speaking.recognizer is None:
        if clip.seconds > WHOLE_S:
            raise SettingError(
                "Words of a long recording are found by hearing it.",
                expected=f"a recognizer, or a recording of at most {WHOLE_S:g} s",
                got=f"{clip.seconds:.0f} s and no recognizer",
                remedy="Choose a recognizer, or cut the recording.",
            )
        code = language or "en"
        return FoundWords(0, word_times(clip, written(words, code), language=code), code)
    if clip.seconds <= WHOLE_S:
        heard = speaking.hear(clip)
        code = language or heard.language or "en"
        return FoundWords(0, _times(clip, words, heard.words, code), code)
    letters = [len(word) for word in words]
    middle = clip.seconds * sum(letters[: sum(wanted) // 2]) / max(1, sum(letters))
    around = AROUND_S
    while True:
        start, end = max(0.0, middle - around), min(clip.seconds, middle + around)
        whole = end - start >= clip.seconds
        heard = speaking.hear(part(clip, start, end))
        code = language or heard.language or "en"
        if whole:
            return FoundWords(0, _times(clip, words, heard.words, code), code)
        found = _placed(clip, words, [word.moved(start) for word in heard.words], code)
        low, high = max(0, wanted[0] - RUN), min(len(words), wanted[1] + RUN)
        if found is not None and found.first <= low and found.stop >= high:
            return found
        around *= 2


def _placed(clip: AudioClip, words: Sequence[str], heard: Sequence[Word], language: str) -> FoundWords | None:
    """The words that were heard in a part of a recording; None where they are not of the transcript."""
    ours, theirs = spoken_forms(words, language), spoken_forms([word.text for word in heard], language)
    blocks = [
        one for one in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks() if one.size >= RUN
    ]
    if not blocks:
        return None
    first, stop = blocks[0].a, blocks[-1].a + blocks[-1].size
    there = heard[blocks[0].b : blocks[-1].b + blocks[-1].size]
    if heard_share(written(words[first:stop], language), there, language) < OTHER:
        return None
    start = 0.0 if first == 0 else max(0.0, there[0].start_s - 0.2)
    end = clip.seconds if stop == len(words) else min(clip.seconds, there[-1].end_s + 0.2)
    times = _times(part(clip, start, end), words[first:stop], [word.moved(-start) for word in there], language)
    return FoundWords(first, [word.moved(start) for word in times], language)


def _times(clip: AudioClip, words: Sequence[str], heard: Sequence[Word], language: str) -> list[WordTime]:
    text = written(words, language)
    if heard:
        check_says(text, heard, language)
    found = word_times(clip, text, heard=heard, language=language)
    return [replace(one, text=word) for one, word in zip(found, words, strict=True)]

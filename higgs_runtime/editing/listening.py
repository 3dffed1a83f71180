"""When the words around an edit are said: of a long recording only what is near is heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import Match, SequenceMatcher
from typing import NamedTuple

from ..audio.clip import AudioClip
from ..errors import SettingError
from ..model import HiggsModel
from ..types import WordTime
from ..verification import OTHER, Recognizer, Word, check_says, heard_share, word_times
from ..verification.forced_alignment import can_align
from .changes import spoken_forms, written
from .join import part
from .recording import Speaking

WHOLE_S = 90.0  # recordings up to here are heard whole
AROUND_S = 60.0  # of a longer one, at either side of where the words should be; twice as much until they are found
RUN = 3  # words in a row that tell a place
MISSED = 30  # words in a row that a recognizer may pass over
REFERENCE_S = 10.0  # of the recording around an edit, or of its end, as the voice
REFERENCE_OF_FEW_WORDS_S = 6.0  # of a model with a closed vocabulary, which knows short lines


class FoundWords(NamedTuple):
    """Some words of a transcript with their times in the recording.

    Attributes:
        first: number of the first of them.
        times: in seconds of the whole recording, in order.
    """

    first: int
    times: list[WordTime]

    @property
    def stop(self) -> int:
        return self.first + len(self.times)

    def time(self, number: int) -> WordTime:
        """Of a word, by its number in the transcript."""
        return self.times[number - self.first]

    def hold(self, wanted: tuple[int, int], count: int) -> bool:
        """Whether these words, [first, stop), are among them, with RUN further ones at either side.

        Args:
            count: words of the whole transcript.
        """
        return self.first <= max(0, wanted[0] - RUN) and self.stop >= min(count, wanted[1] + RUN)


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
    language = speaking.language or "en"
    if speaking.recognizer is None:
        check_short_enough(clip)
        return FoundWords(0, word_times(clip, written(words, language), language=language))
    if clip.seconds <= WHOLE_S:
        return _found_in(clip, words, speaking.hear(clip).words, language)
    letters = [len(word) for word in words]
    middle = clip.seconds * sum(letters[: sum(wanted) // 2]) / max(1, sum(letters))
    around = AROUND_S
    while True:
        start, end = max(0.0, middle - around), min(clip.seconds, middle + around)
        heard = [word.moved(start) for word in speaking.hear(part(clip, start, end)).words]
        if end - start >= clip.seconds:
            return _found_in(clip, words, heard, language)
        found = _placed(clip, words, heard, language)
        if found is not None and found.hold(wanted, len(words)):
            return found
        around *= 2


def check_short_enough(clip: AudioClip) -> None:
    """Raises:
    SettingError: nobody can find words in so long a recording without hearing it.
    """
    if clip.seconds > WHOLE_S:
        raise SettingError(
            "Words of a long recording are found by hearing it.",
            expected=f"a recognizer, or a recording of at most {WHOLE_S:g} s",
            got=f"{clip.seconds:.0f} s and no recognizer",
            remedy="Choose a recognizer, or cut the recording.",
        )


def _found_in(clip: AudioClip, words: Sequence[str], heard: Sequence[Word], language: str) -> FoundWords:
    """All words, in a recording that was heard whole; it may say more than these."""
    found = _placed(clip, words, heard, language)
    if found is not None and len(found.times) == len(words):
        return found
    return FoundWords(0, _times(clip, words, heard, language))


def reference_words(found: FoundWords, around: tuple[int, int], model: HiggsModel) -> tuple[int, int]:
    """The words, [first, stop), that show the voice of a recording around some words of it."""
    longest = REFERENCE_S if model.config.vocabulary is None else REFERENCE_OF_FEW_WORDS_S
    low = min(max(around[0] - 1, found.first), found.stop - 1)
    high = min(max(around[1], low + 1), found.stop)
    grows = True
    while grows:
        grows = False
        for a, b in ((low - 1, high), (low, high + 1)):
            there = a >= found.first and b <= found.stop
            if there and found.time(b - 1).end_s - found.time(a).start_s <= longest:
                low, high, grows = a, b, True
                break
    return low, high


def _placed(clip: AudioClip, words: Sequence[str], heard: Sequence[Word], language: str) -> FoundWords | None:
    """The words that were heard in a part of a recording; None where they are not of the transcript."""
    ours, theirs = spoken_forms(words, language), spoken_forms([word.text for word in heard], language)
    blocks = [
        one for one in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks() if one.size >= RUN
    ]
    if not blocks:
        return None
    blocks = _together(blocks)
    first, stop = blocks[0].a, blocks[-1].a + blocks[-1].size
    there = heard[blocks[0].b : blocks[-1].b + blocks[-1].size]
    if heard_share(written(words[first:stop], language), there, language) < OTHER:
        return None
    start = 0.0 if there[0] is heard[0] and first == 0 else max(0.0, there[0].start_s - 0.2)
    end = clip.seconds if there[-1] is heard[-1] and stop == len(words) else min(clip.seconds, there[-1].end_s + 0.2)
    times = _times(part(clip, start, end), words[first:stop], [word.moved(-start) for word in there], language)
    return FoundWords(first, [word.moved(start) for word in times])


def _together(blocks: Sequence[Match]) -> Sequence[Match]:
    """The longest stretch that both share, with those that stand around it in both: a common turn of phrase is found
    far away as well."""

    def near(one: Match, other: Match) -> bool:
        ours, theirs = other.a - one.a - one.size, other.b - one.b - one.size
        return ours <= 2 * theirs + MISSED

    first = stop = max(range(len(blocks)), key=lambda number: blocks[number].size)
    while first > 0 and near(blocks[first - 1], blocks[first]):
        first -= 1
    while stop + 1 < len(blocks) and near(blocks[stop], blocks[stop + 1]):
        stop += 1
    return blocks[first : stop + 1]


def _times(clip: AudioClip, words: Sequence[str], heard: Sequence[Word], language: str) -> list[WordTime]:
    text = written(words, language)
    if heard:
        check_says(text, heard, language)
    found = word_times(clip, text, heard=heard, language=language)
    return [replace(one, text=word) for one, word in zip(found, words, strict=True)]

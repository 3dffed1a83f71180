"""How far what was heard is from what was written: word and character error rate, and which words differ."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import MissingExtraError, SettingError
from ..text.languages import base_language
from ..text.reading_time import UNSPOKEN
from .spellings import spans_of

BY_CHARACTER = ("zh", "yue", "ja", "ko", "th", "lo", "my", "km")  # languages whose words no spaces part

MOST_CHARS, MOST_TRIES = 50_000, 20_000  # of a text, about an hour; readings that are tried


@dataclass(frozen=True)
class WordErrors:
    """What differs between a written text and the words that were heard.

    Attributes:
        wer: words changed, missing and added, over the words written (over 1 if none are); may exceed 1. In languages
            that put no spaces between words the same as cer.
        cer: the same of letters, spaces not counted.
        pairs: all words in order, (written, heard); "" stands for one that is missing or was added.
    """

    wer: float
    cer: float
    pairs: tuple[tuple[str, str], ...]


def compare_words(written: str, heard: str, language: str = "en") -> WordErrors:
    """Aligns what was heard with what was written (Levenshtein) and counts.

    Case, punctuation, accents of typography, tags and names in brackets do not count. Figures, money, dates, fractions,
    Roman numbers, signs and abbreviations are compared in that of their right readings that fits best (see
    `spellings`), where the language is known.

    Args:
        language: ISO 639-1, a region may follow.

    Raises:
        SettingError: a text is longer than MOST_CHARS, which nobody says in one take.
        MissingExtraError: rapidfuzz, or for figures num2words, is not installed (extra `asr`).
    """
    ours, theirs = nearest_readings(written, heard, base_language(language))
    Levenshtein = levenshtein()
    pairs: list[tuple[str, str]] = []
    for step in Levenshtein.opcodes(ours, theirs):
        mine, heard_there = ours[step.src_start : step.src_end], theirs[step.dest_start : step.dest_end]
        if step.tag in ("equal", "replace"):
            pairs += zip(mine, heard_there, strict=True)
        else:
            pairs += [*((word, "") for word in mine), *(("", word) for word in heard_there)]
    letters, other = "".join(ours), "".join(theirs)
    return WordErrors(
        sum(a != b for a, b in pairs) / max(1, len(ours)),
        Levenshtein.distance(letters, other) / max(1, len(letters)),
        tuple(pairs),
    )


def levenshtein():
    """The module that compares sequences.

    Raises:
        MissingExtraError: rapidfuzz (extra `asr`) is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise MissingExtraError("Comparing words", "asr", "rapidfuzz") from error
    return Levenshtein


def nearest_readings(written: str, heard: str, code: str) -> tuple[list[str], list[str]]:
    """The words of both texts, each in those of its right readings that are nearest to the other's.

    Raises:
        SettingError, MissingExtraError: as `compare_words`.
    """
    distance = levenshtein().distance
    if (longest := max(len(written), len(heard))) > MOST_CHARS:
        raise SettingError(
            "The texts are too long to be compared.",
            expected=f"{MOST_CHARS} characters or fewer",
            got=str(longest),
            remedy="Compare them piece by piece.",
        )
    sides = [[_choices(span, code) for span in spans_of(UNSPOKEN.sub(" ", text), code)] for text in (written, heard)]
    chosen = [[0] * len(side) for side in sides]

    def words(side: int) -> list[str]:
        return [word for choices, n in zip(sides[side], chosen[side], strict=True) for word in choices[n]]

    def far() -> tuple[int, int]:
        ours, theirs = words(0), words(1)
        return distance(ours, theirs), distance("".join(ours), "".join(theirs))

    best, tries = far(), 0
    open_places = [(n, place) for n in (0, 1) for place, one in enumerate(sides[n]) if len(one) > 1]
    for side, place in open_places * 2:
        tries += len(sides[side][place])
        if best == (0, 0) or tries > MOST_TRIES:
            break
        kept = chosen[side][place]
        for number in range(len(sides[side][place])):
            chosen[side][place] = number
            if (found := far()) < best:
                best, kept = found, number
        chosen[side][place] = kept
    return words(0), words(1)


def _choices(span: Sequence[str], code: str) -> list[list[str]]:
    found = [split_words(reading, code) for reading in span]
    return [words for n, words in enumerate(found) if words not in found[:n]]


def is_by_character(language: str) -> bool:
    """Whether words of this language are compared character by character."""
    return base_language(language) in BY_CHARACTER


def split_words(text: str, code: str) -> list[str]:
    """Letters, marks and figures; an apostrophe is no letter and parts no word."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("'", "")
    kept = (letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in text)
    words = "".join(kept).split()
    return list("".join(words)) if code in BY_CHARACTER else words

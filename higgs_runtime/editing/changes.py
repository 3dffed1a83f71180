"""What an edit of a text changes: which words go, and which are said in their place."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from ..text.languages import base_language
from ..verification.words import is_by_character, split_words

SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")
CLOSING = "\"'”’»)]"  # may stand behind the end of a sentence


class WordChange(NamedTuple):
    """A stretch of a text that is said otherwise.

    Attributes:
        first, stop: the words of the old text that go; the same number where words are only added before it.
        new_first, new_stop: the words of the new text that stand there; the same number where words only go.
    """

    first: int
    stop: int
    new_first: int
    new_stop: int


def changes_of(old: Sequence[str], new: Sequence[str], language: str = "en") -> list[WordChange]:
    """The changes that make one list of words the other, in order, with a kept word at least between two.

    Case and punctuation are not heard and are no change.

    Args:
        old, new: words as their author wrote them; see `verification.spoken_tokens`.
        language: ISO 639-1.
    """
    ours, theirs = spoken_forms(old, language), spoken_forms(new, language)
    start = 0  # what both begin and end with needs no matching: an hour has thousands of words
    while start < min(len(ours), len(theirs)) and ours[start] == theirs[start]:
        start += 1
    end = 0
    while end < min(len(ours), len(theirs)) - start and ours[-1 - end] == theirs[-1 - end]:
        end += 1
    inner = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    steps = SequenceMatcher(None, *inner, autojunk=False).get_opcodes()
    return [WordChange(*(start + place for place in places)) for kind, *places in steps if kind != "equal"]


def spoken_forms(words: Sequence[str], language: str) -> list[str]:
    """Each word in small letters, without marks."""
    return [" ".join(split_words(word, base_language(language) or "en")) for word in words]


def written(words: Sequence[str], language: str) -> str:
    """Words as a text; in languages that put no spaces between them, without, but between foreign words and figures."""
    if not is_by_character(language):
        return " ".join(words)
    text = ""
    for word in words:
        text += f" {word}" if _in_latin(text[-1:]) and _in_latin(word[:1]) else word
    return text


def _in_latin(letter: str) -> bool:
    return letter.isascii() and letter.isalnum()


def ends_sentence(word: str) -> bool:
    return word.rstrip(CLOSING).endswith(SENTENCE_ENDS)


def before(words: Sequence[str], place: int, most_chars: int) -> int:
    """Number of the first word of what is said in front of a place: its sentence so far, or the one before it where it
    stands at the beginning of one; always whole words, of so many characters at most."""
    first, chars = place, 0
    while first > 0:
        chars += len(words[first - 1]) + 1
        if chars > most_chars or (ends_sentence(words[first - 1]) and place - first >= 2):
            break
        first -= 1
    return first


def behind(words: Sequence[str], place: int, most_chars: int) -> int:
    """Number of the word after the last one of the sentence that goes on at a place, of so many characters at most;
    behind the end of a sentence that place."""
    stop, chars = place, 0
    while stop < len(words) and not (stop and ends_sentence(words[stop - 1])):
        chars += len(words[stop]) + 1
        if chars > most_chars:
            break
        stop += 1
    return stop

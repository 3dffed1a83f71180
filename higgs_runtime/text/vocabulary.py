"""Whether a text has words, which, and those that a closed vocabulary does not have. Pure text rules."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache

FIGURES = frozenset("0123456789")
# Tags of speakers, marks of sounds (v2), and what looks like a special token.
_NAMED = re.compile(r"\[speaker\d+\]", re.I)
_SILENT = re.compile(r"\[speaker\d+\]|</?se(?:_[se])?>|<\|[^|<>]*\|>")
_UNSEEN = "\u115f\u1160\u3164\uffa0"  # letters by name, with nothing in them: fillers of Hangul
_WORD = re.compile(r"l[lm]*(?:'l[lm]*)*|o[om]*|d")  # in the letters of _kind


def has_words(text: str) -> bool:
    """Whether a text has anything to speak: a letter or a digit, in whatever script; marks and emoji are none.

    A speech model that is given "..." or "♪" says something all the same. Sound words ("[laugh]", and what the model
    reads for them) are something to speak; a speaker's tag alone ("[SPEAKER0]") is not.
    """
    return any(letter.isalnum() and letter not in _UNSEEN for letter in _NAMED.sub(" ", text))


def words_of(text: str) -> list[str]:
    """The words of a text in order, in lower case.

    A word is Latin letters with apostrophes between them ("o'clock"; ’ counts as '), or a run of letters of other
    scripts ("你好"), or one digit. Tags as [SPEAKER0] and <SE>, and special tokens as <|eot_id|>, are no words.
    """
    plain = unicodedata.normalize("NFC", _SILENT.sub(" ", text.lower().replace("’", "'")))
    kinds = "".join(map(_kind, plain))
    return [plain[found.start() : found.end()] for found in _WORD.finditer(kinds)]


def unknown_words(text: str, vocabulary: Collection[str]) -> list[str]:
    """The words of a text (see words_of) that are not in the vocabulary, each once, in order of appearance."""
    return [word for word in dict.fromkeys(words_of(text)) if word not in vocabulary]


def extent_of(vocabulary: Collection[str]) -> str:
    """How large a vocabulary is, for a person: "353 words and the ten digits", or "4 words"."""
    if FIGURES <= set(vocabulary):
        return f"{len(vocabulary) - len(FIGURES)} words and the ten digits"
    return f"{len(vocabulary)} words"


@lru_cache(maxsize=4096)
def _kind(char: str) -> str:
    """One letter for a character: l Latin letter, o other letter or number, m mark on a letter, d digit."""
    category = unicodedata.category(char)
    if category == "Nd":
        return "d"
    if category[0] == "M":
        return "m"
    if category[0] in "LN":
        return "l" if unicodedata.name(char, "").startswith("LATIN") else "o"
    return "'" if char == "'" else " "

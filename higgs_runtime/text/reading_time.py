"""How long a text takes to read, before anybody reads it."""

from __future__ import annotations

import re
import unicodedata

from .languages import base_language
from .rests import rest_after

# Not spoken: who speaks and sound words in brackets, control tags (v3), sound events with what they name (v2).
UNSPOKEN = re.compile(r"\[[^\[\]]*\]|<\|[^|>]*\|>|<(SE\w*)>[^<>]{0,200}</(?:SE\w*)>|</?SE\w*>")
# Letters (and marks) a second in calm reading. Pellegrino, Coupé and Marsico 2011 (Language 87) measured syllables a
# second: English 6.2, German 6.0, French 7.2, Italian 7.0, Spanish 7.8, Japanese 7.8 (morae), Mandarin 5.2. A syllable
# is one Han character in Chinese and one block in Hangul, a mora one kana and about half a Han character in Japanese,
# two to three letters of an alphabet. Readers of books go slower than those of single texts: a fifth is taken off.
ALPHABET, ABUGIDA, KANA, HANGUL, HAN, JAPANESE_HAN = 12.5, 10.0, 6.5, 5.0, 4.2, 3.3
DIGITS = 2.5  # a figure is read as a word
_MARKS = re.compile(r"[.!?…,;:—–][\"'”’»)\]]*(?=\s)|[。！？，、；：]")


def calm_seconds(text: str, language: str | None = None) -> float:
    """Seconds of a calm reading of a text, without pauses; tags, and names and sounds in brackets, take none.

    Counted by writing systems, so that mixed texts come out right.

    Args:
        language: ISO 639-1; it tells how long a Han character takes.
    """
    han = JAPANESE_HAN if language and base_language(language) == "ja" else HAN
    spoken = UNSPOKEN.sub(" ", text)
    return sum(1 / _rate(letter, han) for letter in spoken if unicodedata.category(letter)[0] in "LMN")


def rests_inside(text: str) -> float:
    """Seconds that a reader rests at marks inside of a text, not behind its last one."""
    spoken = UNSPOKEN.sub(" ", text).strip()
    return sum(rest_after(spoken[: mark.end()]) for mark in _MARKS.finditer(spoken) if mark.end() < len(spoken))


def _rate(letter: str, han: float) -> float:
    if unicodedata.category(letter)[0] == "N":
        return DIGITS
    if letter < "\u0900":  # Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic
        return ALPHABET
    if "\u3041" <= letter <= "\u30ff":
        return KANA
    if "\uac00" <= letter <= "\ud7a3":
        return HANGUL
    return han if "\u3400" <= letter <= "\u9fff" or letter >= "\U00020000" else ABUGIDA

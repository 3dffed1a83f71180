"""How far what was heard is from what was written: word and character error rate, and which words differ."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

from ..errors import MissingExtraError
from ..text.languages import DECIMAL_POINT, base_language

BY_CHARACTER = ("zh", "yue", "ja", "ko", "th", "lo", "my", "km")  # languages whose words no spaces part
# Not spoken: who speaks and sound words in brackets, control tags (v3), sound events with what they name (v2).
UNSPOKEN = re.compile(r"\[[^\[\]]*\]|<\|[^|>]*\|>|<(SE\w*)>.*?</(?:SE\w*)>|</?SE\w*>", re.DOTALL)
ENGLISH = (
    (r"\$\s?(\d[\d.,]*\d|\d)", r"\1 dollars"),
    (r"%", " percent "),
    (r"&", " and "),
    (r"\bmr\b", "mister"),
    (r"\bmrs\b", "missus"),
    (r"\bdr\b", "doctor"),
    (r"\betc\b", "et cetera"),
    (r"\bo'clock\b", "oclock"),
)


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

    Case, punctuation, accents of typography, tags and names in brackets do not count. Figures are compared as words,
    in that of their readings (number, year, digit by digit) that fits best, where num2words knows the language.

    Args:
        language: ISO 639-1, a region may follow.

    Raises:
        MissingExtraError: rapidfuzz, or for figures num2words, is not installed (extra `asr`).
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise MissingExtraError("Comparing words", "asr", "rapidfuzz") from error
    ours, theirs = min(
        product(readings(written, language), readings(heard, language)), key=lambda pair: Levenshtein.distance(*pair)
    )
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


def readings(text: str, language: str) -> list[list[str]]:
    """The words of a text in one spelling; of one with figures, once for each way to read them."""
    code = base_language(language)
    text = unicodedata.normalize("NFKC", UNSPOKEN.sub(" ", text)).casefold().replace("’", "'")
    if code == "en":
        for pattern, plain in ENGLISH:
            text = re.sub(pattern, plain, text)
    if not re.search(r"[0-9]", text):
        return [_split(text, code)]
    found = [_split(_spelled(text, code, way), code) for way in (_number, _year, _digits, _without_and)]
    return [words for n, words in enumerate(found) if words not in found[:n]]


def is_by_character(language: str) -> bool:
    """Whether words of this language are compared character by character."""
    return base_language(language) in BY_CHARACTER


def _split(text: str, code: str) -> list[str]:
    """Letters, marks and figures; an apostrophe is no letter and parts no word."""
    kept = (letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in text.replace("'", ""))
    words = "".join(kept).split()
    return list("".join(words)) if code in BY_CHARACTER else words


# --- figures --------------------------------------------------------------------------------------------------------


def _spelled(text: str, code: str, way: Callable) -> str:
    group, point = (",", ".") if code in DECIMAL_POINT else (".", ",")
    pattern = rf"\d{{1,3}}(?:[{group}\u202f]\d{{3}})+(?:[{point}]\d+)?|\d+(?:[{point}]\d+)?"
    ordinal = r"(?P<ordinal>st|nd|rd|th)?\b" if code == "en" else ""

    def words(match: re.Match) -> str:
        figure = match[0].removesuffix(match["ordinal"] or "") if ordinal else match[0]
        if not figure.isascii():
            return match[0]
        plain = figure.replace(group, "").replace("\u202f", "").replace(point, ".")
        try:
            spelled = _num2words(plain, code, "ordinal") if ordinal and match["ordinal"] else way(plain, code)
        except (NotImplementedError, KeyError, OverflowError):  # a language or a number that it does not know
            return match[0]
        return f" {spelled} "

    return re.sub(f"(?:{pattern}){ordinal}", words, text)


def _number(figure: str, code: str) -> str:
    return _num2words(figure, code, "cardinal")


def _without_and(figure: str, code: str) -> str:
    return re.sub(r"\band\b", "", _number(figure, code)) if code == "en" else _number(figure, code)


def _year(figure: str, code: str) -> str:
    likely = len(figure) == 4 and figure.isdigit() and code not in BY_CHARACTER
    return _num2words(figure, code, "year" if likely else "cardinal")


def _digits(figure: str, code: str) -> str:
    return " ".join(_num2words(digit, code, "cardinal") for digit in figure if digit.isdigit())


def _num2words(figure: str, code: str, kind: str) -> str:
    try:
        from num2words import num2words
    except ImportError as error:
        raise MissingExtraError("Comparing numbers", "asr", "num2words") from error
    number = Decimal(figure) if "." in figure else int(figure)
    return num2words(number, lang=code, to=kind).casefold().replace("-", " ")

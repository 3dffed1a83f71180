"""Figures in words, in the languages that a test has checked; num2words (extra `text` or `asr`) has the numbers."""

from __future__ import annotations

from typing import Literal

Kind = Literal["cardinal", "ordinal", "year"]
MOST_DIGITS = 30  # what is longer, nobody reads as one number

# What stands before a fraction, which is read digit by digit: num2words 0.5.14 itself says "uno" for 1.5 in Italian and
# Welsh, 2.5 for 2.05 in Vietnamese and Bengali, and nothing at all in Turkish (findings/fractions_in_words.sh). In
# languages that it keeps less (Icelandic, Amharic, Chechen, …) it raises AttributeError, TypeError or KeyError. Those
# are not read.
POINTS = {
    "ca": "coma",
    "da": "komma",
    "de": "Komma",
    "en": "point",
    "es": "coma",
    "fi": "pilkku",
    "fr": "virgule",
    "he": "נקודה",
    "id": "koma",
    "it": "virgola",
    "ja": "点",
    "ko": "점",
    "nl": "komma",
    "no": "komma",
    "pl": "przecinek",
    "pt": "vírgula",
    "ro": "virgulă",
    "ru": "",  # by the library: "одна целая пять десятых"
    "th": "จุด",
    "tr": "virgül",
    "uk": "кома",
    "vi": "phẩy",
}
ORDINALS = frozenset("ca da de en es fi fr he it nl no pl pt ro ru uk".split())
YEARS = frozenset("da de en no nl".split())  # languages that read them otherwise than numbers
_UNSPACED = ("ja", "th")


def reads_numbers(language: str) -> bool:
    return language in POINTS


def spell(figure: str, language: str, kind: Kind = "cardinal") -> str:
    """Words of a number; "" where the language, this kind of number in it, or so long a number is not known.

    A whole number that begins with 0 is read digit by digit ("007"), and so is every fraction.

    Args:
        figure: ASCII digits, perhaps with one point.
        language: ISO 639-1.

    Raises:
        ImportError: num2words is not installed.
    """
    from num2words import num2words

    if language not in POINTS or len(figure) > MOST_DIGITS or (kind == "ordinal" and language not in ORDINALS):
        return ""
    whole, point, fraction = figure.partition(".")
    between = "" if language in _UNSPACED else " "

    def said(digits: str, way: Kind = "cardinal") -> str:
        if len(digits) > 1 and digits[0] == "0":
            return between.join(said(one) for one in digits)
        return num2words(int(digits), lang=language, to=way)

    if not point:
        return said(figure, "cardinal" if kind == "year" and language not in YEARS else kind)
    if not POINTS[language]:
        from decimal import Decimal

        return num2words(Decimal(figure), lang=language)
    return between.join([said(whole or "0"), POINTS[language], *(said(one) for one in fraction)])

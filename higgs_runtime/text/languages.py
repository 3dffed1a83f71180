"""Which language a text is in: its writing system narrows the choice, langid decides among what is left."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from functools import cache
from typing import NamedTuple

from ..errors import MissingExtraError

# ISO 639-1 codes that langid knows, by the first word of their letters' names in Unicode.
_ONE = (
    "ARMENIAN:hy ETHIOPIC:am GEORGIAN:ka GREEK:el GUJARATI:gu GURMUKHI:pa HANGUL:ko HEBREW:he KANNADA:kn KHMER:km "
    "LAO:lo MALAYALAM:ml ORIYA:or SINHALA:si TAMIL:ta TELUGU:te THAI:th TIBETAN:dz CJK:zh HIRAGANA:ja KATAKANA:ja"
)
LANGUAGES = {
    **{script: (code,) for script, code in (pair.split(":") for pair in _ONE.split())},
    "ARABIC": tuple("ar fa ps ug ur".split()),
    "BENGALI": ("as", "bn"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "CYRILLIC": tuple("be bg kk ky mk mn ru sr uk".split()),
    "LATIN": tuple(
        "af az bs ca cs cy da de en es et eu fi fr ga gl hr hu id is it ku lt lv ms mt no nl pl pt ro sk sl "
        "sq sv sw tl tr vi xh zu".split()
    ),
}
DECIMAL_POINT = ("en", "he", "ja", "ko", "th", "zh")  # the others write 1.000,5
SURE, FEW, SURE_OF_FEW = 0.5, 20, 0.999  # confidence; letters of a short text, and confidence for one
MOST_READ = 10_000  # characters of a long text
KANA_SHARE = 0.05  # of kana and Han: Chinese has none, and quotes little
_NO_WORDS = re.compile(r"(?:https?://|www\.)\S+|\[[^\[\]\n]{1,80}\]|<[^<>\n]{1,80}>|(?<![\w.+-])[\w.+-]{1,64}@\S+")
_FIGURES = re.compile(r"\d[\d.,:/%°]*")
_lock = threading.Lock()


class Guess(NamedTuple):
    """A language, ISO 639-1, and how likely it is among those of its writing system: 0 to 1."""

    language: str
    confidence: float
    letters: int = 0

    @property
    def sure(self) -> bool:
        """Whether the guess counts: a few letters say little, and langid 1.1.6 is often confident and wrong there."""
        return self.confidence >= (SURE if self.letters >= FEW else SURE_OF_FEW)


def writing_systems(text: str) -> Counter[str]:
    """Letters by writing system, named as Unicode names them: LATIN, CYRILLIC, CJK (Han) …; tags and URLs left out."""
    letters = [one for one in _NO_WORDS.sub(" ", text[:MOST_READ]) if unicodedata.category(one)[0] == "L"]
    return Counter(unicodedata.name(one, "?").split()[0].split("-")[0] for one in letters)


def languages_of(text: str) -> tuple[str, ...]:
    """The languages that are written in the writing system of most of the text's letters; empty without letters."""
    found = writing_systems(text)
    kana = found["HIRAGANA"] + found["KATAKANA"]
    if kana >= KANA_SHARE * (kana + found["CJK"]):
        found["HIRAGANA"], found["CJK"] = kana + found["CJK"], 0
    if not found.total():
        return ()
    [(main, _)] = found.most_common(1)
    return LANGUAGES.get(main, ())


def is_chinese(text: str, language: str | None = None) -> bool:
    """Whether Han characters in a text are Chinese: as its language says, else by their company."""
    code = base_language(language)
    return code in ("zh", "yue") if code else languages_of(text) == ("zh",)


def detect_language(text: str) -> Guess | None:
    """The language of a text; None where no letter tells. A few words say little: look whether it is `sure`.

    Raises:
        MissingExtraError: the writing system leaves several languages, and langid is not installed (extra `text`).
    """
    among = languages_of(text)
    words = _FIGURES.sub(" ", _NO_WORDS.sub(" ", text[:MOST_READ])).encode("utf-8", "replace").decode()
    words = " ".join(words.split())
    letters = [one for one in words if one.isalpha()]
    if len(among) < 2:
        return Guess(among[0], 1.0, len(letters)) if among else None
    if sum(map(str.isupper, letters)) > len(letters) / 2:  # langid knows few words in capitals
        words = words.lower()
    with _lock:
        identifier = _identifier()
        identifier.set_languages([*among, *(("nb", "nn") if "no" in among else ())])
        code, confidence = identifier.classify(words)
    return Guess("no" if code in ("nb", "nn") else code, float(confidence), len(letters))


def sure_language(text: str) -> str | None:
    """The language of a text where that is certain and can be told here."""
    try:
        guess = detect_language(text)
    except MissingExtraError:
        return None
    return guess.language if guess and guess.sure else None


def base_language(language: str | None) -> str:
    """ "pt" of "pt-BR"; "" of None."""
    return (language or "").replace("_", "-").partition("-")[0].strip().lower()


@cache
def _identifier():
    try:
        from langid.langid import LanguageIdentifier, model
    except ImportError as error:
        raise MissingExtraError("Detecting the language of a text", "text", "langid") from error
    return LanguageIdentifier.from_modelstring(model, norm_probs=True)

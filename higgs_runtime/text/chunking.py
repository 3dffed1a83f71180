"""Long text into pieces that a model can read at once, cut where a reader would pause."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right

from ..errors import SettingError
from .chinese import chinese_word_ends
from .languages import base_language, is_chinese
from .tags import with_their_words
from .vocabulary import has_words

_BLANK = r"[^\S\u00a0\u2007\u202f]"  # white space that may break a line
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HEBREW = r"\u05d0-\u05ea"
_CLOSERS = "\"'”’»›)\\]」』）】》〉"
_STUCK = "ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ々〻ゝゞヽヾ"  # never begin a piece


def _marks(spaced: str, full_width: str) -> re.Pattern:
    """Marks with what closes behind them; the first kind counts only before white space or CJK. Group 1: the blanks."""
    before_space = rf"(?<![{spaced}])[{spaced}]+[{_CLOSERS}]*(?={_BLANK}|[{_CJK}“「『《])"
    return re.compile(rf"(?:{before_space}|[{full_width}]+[{_CLOSERS}]*)({_BLANK}*)")


_SENTENCE = _marks(".!?…‥؟۔।॥", "。！？｡")
_CLAUSE = _marks(",;:،؛", "，、；：—")
_PARAGRAPH = re.compile(r"()\n[^\S\n]*\n\s*")
_LINE = re.compile(rf"()\n{_BLANK}*")
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))  # two of them are a flag
_SPACE = re.compile(rf"()({_BLANK}+)")
_BETWEEN_CJK = re.compile(
    rf"(?<=[{_CJK}])(?=[{_CJK}“‘「『《（\w])|(?<=\w)(?=[{_CJK}])|(?<=[”’」』》）】。，、\]])(?=[{_CJK}\d“‘「『《（\[])"
)
_WHOLE = re.compile(  # not to be cut where it fits into a piece
    r"(?:https?://|www\.)\S+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+"
    r"|\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:[.,]\d+)?(?!\d)"
    r"|\d+(?:[.,:/’'٫٬．，：／－-]\d+)*[%％٪年月日時时分点點號号歳岁个個元]?"
    r"|<(SE\w*)>[^<>\n]{0,40}</\1>|\[[^\[\]\n]{1,40}\]|<[^<>\n]{1,40}>|[ァ-ヺー]{2,}"
)
_QUOTED = re.compile(  # apostrophes, and the marks inside Hebrew acronyms, open and close nothing
    r"“[^“”]*”|„[^„“”]*[“”]|«[^«»]*»|»[^«»]*«|‹[^‹›]*›|「[^「」]*」|『[^『』]*』|《[^《》]*》|〈[^〈〉]*〉"
    r"|(?<!\w)‘(?:[^‘’\n]|(?<=\w)’(?=\w))*’"
    rf"|(?<![{_HEBREW}\d])\"(?:[^\"\n]|(?<=[{_HEBREW}])\"(?=[{_HEBREW}]))*\""
)

_ABBREVIATIONS = {  # before a full stop that ends no sentence
    "en": "mr mrs ms dr prof rev hon sr jr st vs etc e.g i.e no vol fig approx dept inc ltd gen col sgt lt capt "
    "jan feb mar apr jun jul aug sep sept oct nov dec",
    "de": "hr fr dr prof nr bzw z.b d.h u.a usw ca evtl ggf vgl str abs bd",
    "fr": "m mm mme mmes mlle dr pr etc p.ex c.-à-d env av",
    "es": "sr sra srta dr dra ud uds etc p.ej núm pág av",
}
_ANY_ABBREVIATION = frozenset(" ".join(_ABBREVIATIONS.values()).split())
ORDINAL_STOP = {"de", "da", "nb", "no", "fi", "cs", "pl", "hu"}  # languages that write "3. Mai"

# (kind of break, how full a piece must be for it), best first
_PREFERENCE = (("sentence", 0.0), ("clause", 1 / 3), ("space", 1 / 3), ("cjk", 0.0), ("clause", 0.0), ("space", 0.0))


def chunk_text(text: str, max_chars: int, language: str | None = None) -> list[str]:
    """Cuts text into pieces of at most max_chars characters (code points); "".join(pieces) == text.

    The last sentence end that fits wins, then the last clause end, white space, a place between two CJK characters.
    Words, numbers, URLs, tags and quotations stay whole where they fit into a piece. Chinese words are those of jieba
    where that is installed (extra `text`); Thai and its neighbours are cut at their spaces. A word that is longer than
    a piece is cut between two graphemes (UAX #29, simplified); only a single grapheme can make a piece longer than
    max_chars. White space between two pieces ends the first one.

    Args:
        text: any script; "" gives no pieces.
        max_chars: 1 or more.
        language: a code such as "en" or "de-AT", for its abbreviations; None considers those of all known languages.

    Raises:
        SettingError: max_chars below 1.
    """
    if max_chars < 1:
        raise SettingError(
            "The length of a piece is out of range.",
            expected="1 character or more",
            got=str(max_chars),
            remedy="200 to 400 suit speech.",
        )
    breaks = _breaks(text, max_chars, base_language(language))
    pieces, start = [], 0
    while len(text) - start > max_chars:
        end = _next_break(text, start, max_chars, breaks)
        pieces.append(text[start:end])
        start = end
    return pieces + [text[start:]] * (start < len(text))


def spoken_spans(text: str, max_chars: int, language: str | None = None) -> list[tuple[int, int]]:
    """(start, end) of each piece of `chunk_text` that has words, without blanks at its ends.

    A tag of v3 stays with the words behind it. Marks that stand alone ("…", "—") go with the piece before, or with the
    next where none is before, so that a piece may be longer than max_chars by them. No piece is without words, so a
    text without words has none.

    Raises:
        SettingError: as `chunk_text`.
    """
    spans: list[tuple[int, int]] = []
    place, waiting = 0, None  # where marks begin that nothing with words precedes
    for piece in chunk_text(text, max_chars, language):
        start, end = place + len(piece) - len(piece.lstrip()), place + len(piece.rstrip())
        place += len(piece)
        if start >= end:
            continue
        if has_words(piece):
            spans.append((start if waiting is None else waiting, end))
            waiting = None
        elif spans:
            spans[-1] = spans[-1][0], end
        elif waiting is None:
            waiting = start
    return with_their_words(text, spans)


class _Breaks(dict):
    """Places where text may be cut, sorted, by kind. Those between CJK characters are found once they are asked for."""

    def __init__(self, found: dict[str, list[int]], inside: bytearray, text: str, language: str):
        super().__init__(found)
        self.inside = inside  # 1 at each place within what should stay whole
        self._text, self._language = text, language

    def __missing__(self, kind: str) -> list[int]:
        places = self["between"]
        if places and is_chinese(self._text, self._language) and (ends := chinese_word_ends(self._text)) is not None:
            places = [place for place in places if place in ends]
        self[kind] = places
        return places


def _next_break(text: str, start: int, max_chars: int, breaks: _Breaks) -> int:
    limit, longest = start + max_chars, start
    for kind, fill in _PREFERENCE:
        places = breaks[kind]
        last = bisect_right(places, limit) - 1
        longest = max(longest, places[last] if last >= 0 else start)  # a better kind that also reaches further
        if last >= 0 and places[last] > start + fill * max_chars:
            return longest
    for whole in (True, False):
        for end in range(limit, start, -1):
            if not (whole and breaks.inside[end]) and _is_boundary(text, end):
                return end
    return next(end for end in range(limit + 1, len(text) + 1) if _is_boundary(text, end))


def _breaks(text: str, max_chars: int, language: str) -> _Breaks:
    found: dict[str, set[int]] = {"sentence": set(), "clause": set(), "space": set(), "between": set()}
    for match in _SENTENCE.finditer(text):
        kind = "sentence" if _ends_sentence(text, match, language) else "space"
        found[kind].update(range(match.start(1), match.end() + 1))
    for kind, pattern in (("sentence", _PARAGRAPH), ("clause", _CLAUSE), ("clause", _LINE), ("space", _SPACE)):
        for match in pattern.finditer(text):
            found[kind].update(range(match.start(1), match.end() + 1))
    found["between"].update(match.start() for match in _BETWEEN_CJK.finditer(text) if text[match.start()] not in _STUCK)
    inside = bytearray(len(text) + 1)
    for pattern in (_WHOLE, _QUOTED):
        for match in pattern.finditer(text):
            length = match.end() - match.start()
            if length <= max_chars:
                inside[match.start() + 1 : match.end()] = b"\1" * (length - 1)
    allowed = {
        kind: sorted(place for place in places if 0 < place and not inside[place] and _is_boundary(text, place))
        for kind, places in found.items()
    }
    return _Breaks(allowed, inside, text, language)


def _ends_sentence(text: str, match: re.Match, language: str) -> bool:
    """Whether these marks end a sentence: no abbreviation, initial or ordinal before, no small letter behind."""
    if text[match.end() : match.end() + 1].islower():
        return False
    if match[0].rstrip() != ".":
        return True
    word = re.split(r"[\s(“\"„«]", text[max(0, match.start() - 12) : match.start()])[-1].lower()
    known = _ABBREVIATIONS.get(language, "").split() or _ANY_ABBREVIATION
    initial = len(word) == 1 and word.isalpha() and ord(word) < 0x3000
    return not (word in known or initial or (word.isdigit() and language in ORDINAL_STOP))


def _is_boundary(text: str, place: int) -> bool:
    """Whether a grapheme ends at this place: no accent, emoji sequence, flag, Hangul syllable or CRLF is cut."""
    if place <= 0 or place >= len(text):
        return True
    left, right = text[place - 1], text[place]
    if right < "\u0300" and left < "\u0300":
        return not (left == "\r" and right == "\n")
    category = unicodedata.category(right)
    if category[0] == "M" or right in "\u200c\u200d\u0e33\u0eb3\uff9e\uff9f" or left == "\u200d":
        return False
    if "\U0001f3fb" <= right <= "\U0001f3ff" or "\U000e0020" <= right <= "\U000e007f":
        return False  # skin tones, tag sequences
    if unicodedata.combining(left) == 9 and category == "Lo":
        return False  # a virama joins two consonants
    if "\ud800" <= left <= "\udbff" and "\udc00" <= right <= "\udfff":
        return False  # a pair of surrogates that was never joined
    if "\U0001f1e6" <= right <= "\U0001f1ff" and "\U0001f1e6" <= left <= "\U0001f1ff":
        before = text[max(0, place - 64) : place]
        return (len(before) - len(before.rstrip(_FLAG_LETTERS))) % 2 == 0
    if "\u1160" <= right <= "\u11ff":  # Hangul: a vowel or final consonant joins what is before it
        return not ("\u1100" <= left <= "\u11ff" or "\uac00" <= left <= "\ud7a3")
    joins = "\u1100" <= right <= "\u115f" or "\uac00" <= right <= "\ud7a3"
    return not (joins and "\u1100" <= left <= "\u115f")

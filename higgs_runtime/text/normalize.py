"""What is changed in a text before a model reads it: each rule by its name, and all that it replaced.

For v2 the rules are those of Boson AI's own example (boson-ai/higgs-audio, examples/generation.py): punctuation,
parentheses, degrees, sounds, spaces and the end. v3 is given its text as it stands, but for sounds and spaces.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from ..choices import PromptFormat
from ..errors import MissingExtraError, SettingError
from .chunking import ORDINAL_STOP, spoken_spans
from .languages import DECIMAL_POINT, base_language, detect_language, is_chinese
from .marks import LETTERS, replacements
from .numbers import Kind, spell
from .sound_tags import find_sounds

SHOWN = 12  # characters of what a rule replaced, in the report: at each end

_FULL_WIDTH = str.maketrans(
    {  # but for the comma, which may want a space behind it
        "。": ".",
        "：": ":",
        "；": ";",
        "？": "?",
        "！": "!",
        "（": "(",
        "）": ")",
        "【": "[",
        "】": "]",
        "《": "<",
        "》": ">",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "、": ",",
        "—": "-",
        "…": "...",
        "·": ".",
        "「": '"',
        "」": '"',
        "『": '"',
        "』": '"',
    }
)
_PUNCTUATION = re.compile(
    r"，(?P<more>(?=[\w\[<(“‘「『《（【]))?|(?<![lL])·|·(?![lL])|[。：；？！（）【】《》“”‘’、—…「」『』]"
)
_DEGREES = {  # languages that say them behind the number
    "en": "degrees {}",
    "de": "Grad {}",
    "fr": "degrés {}",
    "es": "grados {}",
    "it": "gradi {}",
    "nl": "graden {}",
    "pt": "graus {}",
}
_CHINESE_DEGREES = {"C": "摄氏度", "F": "华氏度"}
_URL = r"(?:https?://|www\.)\S+"
# Rules about figures leave these alone.
_APART = rf"{_URL}|(?<![\w.+-])[\w.+-]{{1,64}}@\S+|\[[^\[\]\n]{{1,80}}\]|<[^<>\n]{{1,80}}>"
# Nothing to be seen, and noise to a tokenizer; joiners of Persian and Indic words are not among them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffe\uffff]"
)
_SPACES = re.compile(r"\s+")
_LINE_ENDS = frozenset("\n\r\x0b\x0c\x85\u2028\u2029")
_END = ".!?,;:\"'’”»›-—~…‥。！？｡，、；：」』》〉।॥؟؛۔،։።。>"  # a text that ends so has an end
_MORE_BEHIND_STOP = re.compile(r"\.\s+[^\W\d_]")
_FIGURE = r"(?<![\w.,:/$€£¥₹+%°#-]){}(?!\w|\s?[%°€£¥₹])(?![.,:/-]\w)"


class Change(NamedTuple):
    """What a rule replaced, and how often."""

    rule: str
    before: str
    after: str
    times: int = 1


class Edit(NamedTuple):
    """One replacement: where it starts in the text after it and how long it is there, and its span before."""

    start: int
    length: int
    old_start: int
    old_end: int

    @property
    def moved(self) -> int:
        """How much further what follows stands than before."""
        return self.start + self.length - self.old_end


@dataclass(frozen=True)
class PreparedText:
    """A text as the model reads it.

    Attributes:
        text: the result; preparing it again changes nothing.
        language: ISO 639-1; "" where nobody asked, or nothing tells.
        changes: in the order of the rules.
        warnings: one sentence each.
        edits: of each pass over the text in order, what it changed; see `written_at`.
    """

    text: str
    language: str = ""
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
    edits: tuple[tuple[Edit, ...], ...] = field(default=(), repr=False, compare=False)

    def chunks(self, max_chars: int) -> list[str]:
        """The pieces that are read one at a time, without the white space between them; each has words."""
        return [self.text[start:end] for start, end in spoken_spans(self.text, max_chars, self.language or None)]

    def written_at(self, place: int) -> int:
        """The place in the text as it was written for one in `text`; inside of a replacement it is the one behind."""
        for edits in reversed(self.edits):
            if before := bisect_right(edits, place, key=lambda edit: edit.start):
                last = edits[before - 1]
                inside = place < last.start + last.length
                place = last.old_start if place == last.start else last.old_end if inside else place - last.moved
        return place

    def changed(self) -> list[str]:
        """A line for each warning and each change."""
        changes = [
            f"{one.rule}: {_shown(one.before)} → {_shown(one.after)}" + f" ×{one.times}" * (one.times > 1)
            for one in self.changes
        ]
        return [*(f"! {warning}" for warning in self.warnings), *changes]

    def report(self, max_chars: int | None = None) -> str:
        """For a person: language, rules with what they replaced, warnings, and the pieces, numbered."""
        lines = [f"Language: {self.language or 'not known'}", *self.changed()]
        lines += ["No rule changed anything."] * (not self.changes)
        if max_chars is not None:
            pieces = self.chunks(max_chars)
            lines.append(f"{len(pieces)} piece{'s' * (len(pieces) != 1)} of at most {max_chars} characters:")
            lines += [f"{number:>4} {piece}" for number, piece in enumerate(pieces, start=1)]
        return "\n".join(lines)


def prepare_text(
    text: str,
    layout: PromptFormat | str = PromptFormat.NATIVE,
    language: str | None = None,
    *,
    spell_numbers: bool = False,
    marks: bool = False,
    detect: bool = False,
    likely: Callable[[], str] | None = None,
) -> PreparedText:
    """Prepare a text for a model.

    Args:
        layout: of the checkpoint's prompt (`ModelConfig.prompt_layout`).
        language: ISO 639-1; None has it detected if a rule needs it, or if `detect`: by the writing system, then langid
            (extra `text`; where that is missing a warning says so).
        spell_numbers: write figures that stand alone in words (num2words); else the model reads them.
        marks: take away marks for the eye: Markdown, links, numbers of notes, hyphens at line ends (see `marks`). For
            what was written to be read, as a book; in a script, lines and dashes mean something.
        likely: gives the language to take where the text alone is too short to tell; "" for none.

    Raises:
        SettingError: there is no such layout.
        MissingExtraError: `spell_numbers` and figures, but no num2words (extra `text`).
    """
    if layout not in tuple(PromptFormat):
        raise SettingError(
            "There is no such prompt layout.",
            expected=", ".join(PromptFormat),
            got=repr(layout),
            remedy="Choose one of these.",
        )
    draft = _Draft(text, layout, base_language(language), likely or str)
    if detect:
        draft.find_language()
    left_out = {*([] if spell_numbers else [_numbers]), *([] if marks else [_marks])}
    for name, rule, layouts in RULES:
        if layout in layouts and rule not in left_out:
            rule(draft, partial(draft.replace, name))
    counted = Counter(draft.replaced)
    changes = tuple(Change(*key, times) for key, times in counted.items())
    warnings = tuple(dict.fromkeys(draft.warnings))
    return PreparedText(draft.text, draft.language, changes, warnings, tuple(draft.edits))


class _Draft:
    """A text on its way through the rules."""

    def __init__(self, text: str, layout: str, language: str, likely: Callable[[], str]):
        self.original, self.text, self.layout, self.language = text, text, layout, language
        self.replaced: list[tuple[str, str, str]] = []
        self.warnings: list[str] = []
        self.edits: list[tuple[Edit, ...]] = []
        self._asked, self._likely = bool(language), likely

    def replace(self, rule: str, pattern: re.Pattern, new: Callable[[re.Match], str]) -> None:
        """Replace all that a pattern finds, and write down what changes."""

        edits: list[Edit] = []
        moved = 0

        def noted(match: re.Match) -> str:
            nonlocal moved
            after = new(match)
            if after != match[0]:
                self.replaced.append((rule, match[0], after))
                edits.append(Edit(match.start() + moved, len(after), match.start(), match.end()))
                moved += len(after) - len(match[0])
            return after

        self.text = pattern.sub(noted, self.text)
        if edits:
            self.edits.append(tuple(edits))

    def find_language(self) -> str:
        """As it was given, or else detected; "" where that is not to be had."""
        if not self._asked:
            self._asked = True
            try:
                guess = detect_language(self.original)
                self.language = guess.language if guess and guess.sure else self._likely()
            except MissingExtraError as error:
                self.warnings.append(str(error))
        return self.language


Replace = Callable[[re.Pattern, Callable[[re.Match], str]], None]


def _letters(draft: _Draft, replace: Replace) -> None:
    for pattern, new in LETTERS:
        replace(pattern, new)


def _marks(draft: _Draft, replace: Replace) -> None:
    for pattern, new in replacements(draft.text):
        replace(pattern, new)


def _invisible(draft: _Draft, replace: Replace) -> None:
    replace(_INVISIBLE, lambda match: "")


def _punctuation(draft: _Draft, replace: Replace) -> None:
    def half_width(match: re.Match) -> str:
        if match[0] == "，":
            return ", " if match["more"] is not None else ","
        return match[0].translate(_FULL_WIDTH)

    replace(_PUNCTUATION, half_width)


def _parentheses(draft: _Draft, replace: Replace) -> None:
    replace(re.compile(rf"{_URL}|[()]"), lambda match: " " if len(match[0]) == 1 else match[0])


def _degrees(draft: _Draft, replace: Replace) -> None:
    def named(match: re.Match) -> str:
        if is_chinese(draft.original, draft.language):
            return _CHINESE_DEGREES[match[1]]
        form = _DEGREES.get(draft.find_language() or "en")
        return " " + form.format({"C": "Celsius", "F": "Fahrenheit"}[match[1]]) if form else match[0]

    replace(re.compile(r"(?<!\s)\s*°\s*([CF])(?![^\W_])"), named)


def _sounds(draft: _Draft, replace: Replace) -> None:
    sounds, warnings = find_sounds(draft.text, draft.layout, chinese=is_chinese(draft.original, draft.language))
    draft.warnings += warnings
    reads = {sound.start: sound for sound in sounds}

    def tag(match: re.Match) -> str:
        sound = reads.get(match.start())
        return sound.reads + match[0][sound.end - match.start() :] if sound else match[0]

    replace(re.compile(r"\[[^\[\]\n]+\][^\S\n]*"), tag)


def _spaces(draft: _Draft, replace: Replace) -> None:
    whole = draft.text

    def one(match: re.Match) -> str:
        return (
            "" if match.start() == 0 or match.end() == len(whole) else " " if _LINE_ENDS.isdisjoint(match[0]) else "\n"
        )

    replace(_SPACES, one)


def _numbers(draft: _Draft, replace: Replace) -> None:
    language = draft.find_language()
    group, point = (",", ".") if language in DECIMAL_POINT else (".", ",")
    figure = rf"\d{{1,3}}(?:[{group} ]\d{{3}})+(?:[{point}]\d+)?|\d+(?:[{point}]\d+)?"
    ordinal = "(?P<ordinal>st|nd|rd|th)?" if language == "en" else "(?P<ordinal>)"

    def words(match: re.Match) -> str:
        if not match["figure"] or not match["figure"].isascii():
            return match[0]
        if language in ORDINAL_STOP and _MORE_BEHIND_STOP.match(match.string, match.end()):
            return match[0]  # "3. Mai" is the third, in a case that only grammar tells: the model reads the figure
        plain = match["figure"].replace(group, "").replace(" ", "").replace(point, ".")
        year = re.fullmatch("1[1-9]..|20..", match["figure"])
        kind = "ordinal" if match["ordinal"] else "year" if year else "cardinal"
        spelled = _spelled(plain, language, kind)
        if not spelled:
            known = f"in the language '{language}'" if language else "in a language that is not known"
            shown = match["figure"] if len(match["figure"]) <= 3 * SHOWN else match["figure"][:SHOWN] + "…"
            draft.warnings.append(f"{shown} cannot be written in words {known}; the model reads the figure.")
        return spelled or match[0]

    replace(re.compile(_APART + "|" + _FIGURE.format(f"(?P<figure>{figure}){ordinal}")), words)


def _spelled(figure: str, language: str, kind: Kind) -> str:
    """Words of a number; "" where the language or the number is not known."""
    try:
        return spell(figure, language, kind)
    except ImportError as error:
        raise MissingExtraError("Spelling out numbers", "text", "num2words") from error


def _end(draft: _Draft, replace: Replace) -> None:
    if draft.text and draft.text[-1] not in _END:
        replace(re.compile(r"\Z"), lambda match: ".")


_ALL, _V2 = tuple(PromptFormat), (PromptFormat.NATIVE, PromptFormat.ORIGINAL)
RULES: tuple[tuple[str, Callable[[_Draft, Replace], None], tuple[str, ...]], ...] = (
    ("joined letters", _letters, _ALL),
    ("marks for the eye", _marks, _ALL),
    ("invisible characters", _invisible, _ALL),
    ("full-width punctuation", _punctuation, _V2),
    ("parentheses", _parentheses, _V2),
    ("degrees", _degrees, _V2),
    ("sounds", _sounds, _ALL),
    ("spaces", _spaces, _ALL),
    ("numbers", _numbers, _ALL),
    ("sentence end", _end, _V2),
)


def _shown(text: str) -> str:
    if len(text) > 3 * SHOWN:
        text = text[:SHOWN] + "…" + text[-SHOWN:]
    return repr(text) if not text.strip() or not text.isprintable() else f"‘{text}’"

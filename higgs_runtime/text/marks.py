"""Marks for the eye: Markdown, links, notes, tables, and what typesetting does to words. A listener gets the words."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

# What is replaced, in this order: a pattern and a function of its match.
Replacement = tuple[re.Pattern, Callable[[re.Match], str]]

_LIGATURES = {
    **dict(zip("ﬀﬁﬂﬃﬄﬅﬆ", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True)),
    **dict(zip("ﬓﬔﬕﬖﬗ", ("մն", "մե", "մի", "վն", "մխ"), strict=True)),
}
_LIGATURE = re.compile(f"[{''.join(_LIGATURES)}]")
# What stands for a hyphen that only ends a line: a soft hyphen, U+FFFE and U+0002 of PDF readers, ¬ of scanners.
_SOFT_BREAK = re.compile("(?<=\\w)(?:[\u00ad\ufffe\x02]|¬(?=[^\\S\n]*\n))[^\\S\n]*\n?[^\\S\n]*(?=\\w)")
_LINE_HYPHEN = re.compile(r"(?<![^\W\d_])(?P<first>[^\W\d_]+)(?P<mark>[-‐])[^\S\n]*\n[^\S\n]*(?P<second>[^\W\d_]+)")
# Before a hyphen that is part of the word, and behind one; endings, behind one that is not.
_FIRST_PARTS = frozenset(
    "all brother counter cross daughter deep double eight eighty ever far father fifty first five forty four free "
    "full good grand great half hand heavy high home kind left long low many mother much new nine ninety north often "
    "old open "
    "quasi quick ready right second self seven seventy short single sister sixty slow small soft south still third "
    "thirty three top twenty two upper vice warm well west white wide arrière avant après demi nord ost süd".split()
)
_SECOND_PARTS = frozenset(
    "born called dressed faced haired headed hearted kept known like looking minded old shaped sized spoken style up "
    "year years law ci là elle ils elles être nous vous dire même mêmes".split()
)
_ENDINGS = frozenset(
    "able age ed en er ers est ful hood ing ish less ly ment ness or ship th tion ty ward wards y".split()
)


# Of every text: letters that are drawn as one, and hyphens that are none.
LETTERS: list[Replacement] = [(_SOFT_BREAK, lambda match: ""), (_LIGATURE, lambda match: _LIGATURES[match[0]])]


# The reading over characters, which says once more what stands below it.
RUBY = re.compile(r"<(rt|rp)\b[^<>]*>.*?(?:</\1>|(?=</ruby>)|\Z)", re.S | re.I)
_KANJI, _KANA = r"\u3005\u3400-\u9fff", r"\u3041-\u3096\u30a1-\u30fa\u30fc・"


def plain_words(text: str) -> str:
    """A text without marks for the eye; see `REPLACEMENTS`. What it says stays, line by line."""
    for pattern, new in [*LETTERS, *replacements(text)]:
        text = pattern.sub(new, text)
    return text


def replacements(text: str) -> list[Replacement]:
    """What is replaced in this text: hyphens at its line ends are judged by how it writes the words elsewhere."""
    return [(_LINE_HYPHEN, _joined(text)), *_MARKS]


def _joined(text: str) -> Callable[[re.Match], str]:
    written: set[str] | None = None

    def joined(match: re.Match) -> str:
        """ "nega-\\ntive" is one word, "well-\\nknown" has its hyphen."""
        nonlocal written
        if written is None:
            written = {word.casefold() for word in re.findall(r"[^\W_]+(?:[-‐'’][^\W_]+)*", text)}
        first, second = match["first"].casefold(), match["second"].casefold()
        if first + second in written or second in _ENDINGS:
            return match["first"] + match["second"]
        before = match.string[max(0, match.start() - 1) : match.start()]
        stays = (
            f"{first}-{second}" in written
            or len(first) == 1
            or before in ("-", "‐", "'", "’")
            or first in _FIRST_PARTS
            or second in _SECOND_PARTS
            or match["second"][0].isupper()
            and not match["first"].isupper()
        )
        return match["first"] + ("-" if stays else "") + match["second"]

    return joined


def _between(mark: str, word: str) -> str:
    """What stands between two of a mark; single ones only where no letter is at their outer side."""
    first = re.escape(mark[0])
    inner = rf"(?=[^\s{first}])[^\n{first}]*?[^\s\\{first}]"
    return rf"(?<![{word}\\{first}]){re.escape(mark)}({inner}){re.escape(mark)}(?![{word}{first}])"


_EMPHASIS = "|".join(
    [
        *(_between(mark, "") for mark in ("***", "**", "~~", "==")),
        *(_between(mark, r"\w") for mark in ("*", "___", "__", "_")),
    ]
)


def _inner(match: re.Match) -> str:
    return next((one for one in match.groups() if one is not None), "")


def _ended(words: str) -> str:
    """An item of a list as a sentence, so that it is heard as one."""
    return words if not words or words[-1] in ".!?…:;,。！？：；" else f"{words}."


def _row(match: re.Match) -> str:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", match["cells"])]
    return _ended(", ".join(cell for cell in cells if cell))


_MARKS: list[Replacement] = [
    (
        re.compile(r"\A---[^\S\n]*\n(?:[^\n]*:[^\n]*\n|[^\S\n]+[^\n]*\n|\n)*?---[^\S\n]*\n"),
        lambda match: "",
    ),  # front matter
    (re.compile(r"<!--.*?(?:-->|\Z)", re.S), lambda match: ""),
    (re.compile(r"^[^\S\n]*(?:`{3,}|~{3,})[^`\n]*$\n?", re.M), lambda match: ""),  # fences of code
    (
        re.compile(r"^[^\S\n]*\[\^?[^\[\]\n]{1,40}\]:[^\S\n]*<?(?:https?://|www\.|mailto:|/|#)\S*[^\n]*$\n?", re.M),
        lambda match: "",
    ),
    (re.compile(r"^[^\S\n]*\[\^[^\[\]\n]{1,40}\]:[^\S\n]*", re.M), lambda match: ""),  # the mark of a note's text
    (re.compile(r"^[^\S\n]*(?:>[^\S\n]?)+", re.M), lambda match: ""),
    (
        re.compile(r"^[^\S\n]*(?:\|[^\S\n]*)?:?-{2,}:?[^\S\n]*(?:\|[^\S\n]*:?-{2,}:?[^\S\n]*)+\|?[^\S\n]*$\n?", re.M),
        lambda match: "",
    ),
    (re.compile(r"^[^\S\n]*\|(?P<cells>[^\n]*\|)[^\S\n]*$", re.M), _row),
    (
        re.compile(r"^[^\S\n]*(?:[-+*•‣▪◦●○–])[^\S\n]+(?:\[[ xX]\][^\S\n]+)?(?P<item>[^\n]*\w[^\n]*)$", re.M),
        lambda match: _ended(match["item"]),
    ),
    (
        re.compile(r"^[^\S\n]*#{1,6}[^\S\n]+(?P<title>[^\n]*?)[^\S\n]*#*[^\S\n]*$", re.M),
        lambda match: _ended(match["title"]),
    ),
    (
        re.compile(r"^(?P<title>[^\n]+)\n[^\S\n]*(?:={3,}|-{3,})[^\S\n]*$", re.M),
        lambda match: _ended(match["title"]),
    ),  # Setext
    (
        re.compile(
            r"!?\[(?P<words>[^\[\]\n]*)\](?:\((?:[^()\s]|\([^()\s]*\))*(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s*\)|\[[^\[\]\n]{0,40}\])"
        ),
        lambda match: match["words"],
    ),
    (re.compile(r"<(?:https?://|mailto:)[^<>\s]+>"), lambda match: ""),
    (
        re.compile(r"(?<![^\S\n])[^\S\n]*\[(?:\^[^\[\]\n]{1,40}|\d{1,3}(?:[,–-]\s?\d{1,3})*)\](?:\(#[^()\s]*\))?"),
        lambda match: "",
    ),  # notes
    (re.compile(r"(?<=[^\W\d_]{3})[¹²³⁰⁴-⁹]+|(?<=[.,;:!?”’\"»)])[¹²³⁰⁴-⁹]+|(?<=\w)[†‡]+"), lambda match: ""),
    (re.compile(r"(?<!`)(`{1,2})(?=[^`])(?P<code>[^`\n]*)\1(?!`)"), lambda match: match["code"].strip()),
    (RUBY, lambda match: ""),
    (
        re.compile(rf"｜(?=[{_KANJI}])|(?<=[{_KANJI}])[《（(][{_KANA}]+[》）)]"),
        lambda match: "",
    ),  # the same, as Aozora writes
    (re.compile(r"</?(?:ruby|rb)>", re.I), lambda match: ""),
    *[(re.compile(_EMPHASIS), _inner)] * 2,  # one inside of the other
    (re.compile(r"(?<=[^\W\d_])\*{1,3}(?![\w*])"), lambda match: ""),  # the mark of a note
    (
        re.compile(
            r"</?(?P<block>blockquote|br|center|details|div|h[1-6]|hr|li|ol|p|pre|section|summary|table|tbody|td|th|thead"
            r"|tr|ul)?(?(block)|(?:a|abbr|b|big|cite|code|del|em|font|i|ins|kbd|mark|q|s|small|span|strike|strong|sub|sup"
            r"|tt|u))(?:\s[^<>\n]*)?/?>",
            re.I,
        ),
        lambda match: " " if match["block"] else "",
    ),
    (re.compile(r"&(?:#\d{1,6}|#x[\da-f]{1,5}|[a-z]{2,12});", re.I), lambda match: html.unescape(match[0])),
    (re.compile(r"\\(?P<mark>[!-/:-@\[-`{-~])"), lambda match: match["mark"]),
    (re.compile(r"(?<![^\S\n])[^\S\n]+\|[^\S\n]+"), lambda match: ", "),  # cells of a row without outer lines
    (re.compile(r"(?<=\w)[^\S\n]{1,9}(?=[,.](?:\s|\Z))"), lambda match: ""),  # where a mark stood before
]

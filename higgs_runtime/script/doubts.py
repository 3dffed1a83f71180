"""What of a script may be a slip: names that are none, speakers that were read as text, turns without words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..text.reading_time import calm_seconds
from ..text.sound_tags import is_sound
from ..text.speakers import fits_colon, like_a_name
from ..text.vocabulary import has_words
from .grammar import ASIDE, NUMBERED, short
from .types import ScriptWarning, Turn

# Names in forms that are certain only if somebody is called so: "<Anna> Hi.", "(Anna) Hi.", "Anna - Hi.", "anna: Hi."
_WORDS = r"[^\W_][\w.'’-]{0,30}(?: [\w.'’#-]{1,30}){0,3}"
LIKE_A_SPEAKER = re.compile(
    rf"[<({{@\[]+\s*({_WORDS})\s*(?:[>)}}\]]+[:：]?|[:：])(?=\s|$)|({_WORDS})(?:\s*[-–—.|>/]{{1,2}}\s|\t)|"
    rf"[*_\"'“‘«>`\s]*({_WORDS})\s*[*_\"'”’»`]*(?:\s?\[[^\[\]\n]{{1,40}}\])?\s?[:：](?=\s|$|\S)"
)
# "Anna, whispering: Hi.", "Anna & Ben: Hi."
WITH_MORE = re.compile(
    r"([^\W\d_][\w.'’-]{0,30}(?: [A-Z][\w.'’-]{0,30})?)(?:,\s|\s*[&+/]\s*|\s(?:and|und|et|y)\s)[^:：\n]{1,30}[:：]"
    r"(?=\s|$)"
)
BRACKET = re.compile(r"\[([^\[\]\n]{1,48})\]")
INSIDE_COLON = re.compile(rf"(?<=[.!?…。！？”\"])\s*(?<!\w)({_WORDS}):(?=\s)")
IS_NUMBERED = re.compile(NUMBERED)
ASIDES = re.compile(r"(?:^|(?<=[.!?…]\s))[(*（]([^()*（）\n]{1,40})[)*）]")

QUICK = 1.6  # times as fast as a calm reader: a quick voice, played faster


class Perhaps(NamedTuple):
    """Something in the text that may name a speaker."""

    line: int
    column: int
    name: str
    written: str


def doubts_of(
    turns: Sequence[Turn], by_colon: dict[int, int], by_bracket: dict[int, int], maybe: Iterable[Perhaps]
) -> set[ScriptWarning]:
    """Warnings on the turns of a script.

    Args:
        by_colon, by_bracket: lines of turns that begin with `Name:` or `[Name]` -> column.
        maybe: what was read as text.
    """
    silent = (
        ScriptWarning(turn.line, 1, f"'{short(turn.text)}' has no words: it is silence.")
        for turn in turns
        if not has_words(turn.text)
    )
    return {*_names(turns, by_colon, by_bracket), *_unread(turns, maybe), *silent, *_hasty(turns)}


def _hasty(turns: Sequence[Turn]) -> Iterator[ScriptWarning]:
    """Turns that have less time than any voice takes for their text."""
    for turn in turns:
        calm_s = calm_seconds(turn.text)
        if turn.wanted_s is not None and calm_s > QUICK * turn.wanted_s:
            fitting = max(1, int(len(turn.text) * QUICK * turn.wanted_s / calm_s))
            yield ScriptWarning(
                turn.line,
                1,
                f"The text takes about {calm_s:.1f} s to read, and has {turn.wanted_s:g} s: "
                f"{fitting} of its {len(turn.text)} characters may fit.",
            )


def _unread(turns: Sequence[Turn], maybe: Iterable[Perhaps]) -> list[ScriptWarning]:
    """What was read as text, and is called like a speaker of this script, or like none but a speaker."""
    known = {turn.speaker.casefold(): turn.speaker for turn in turns if turn.speaker}
    found = []
    maybe = [one for one in maybe if one.name]
    marked = [one for one in maybe if one.written[-1] in ">)：:-–—|/\t" or one.written[0] in "<(@"]
    others = {one for one in marked if fits_colon(one.name if one.name[0].isupper() else one.name.title())}
    if known or len(others) < 2:  # else this is how the script names all of its speakers
        others = set()
    for one in maybe:
        line, column, name, written = one
        title = name if name[0].isupper() else name.title()
        speaker = known.get(name.casefold()) or (
            name if IS_NUMBERED.fullmatch(name) else title if one in others else ""
        )
        if speaker:
            message = f"'{written}' is read as text; if {speaker} speaks here, begin a line with '[{speaker}]'."
            found.append(ScriptWarning(line, column, message))
    return found


def _names(turns: Sequence[Turn], by_colon: dict[int, int], by_bracket: dict[int, int]) -> list[ScriptWarning]:
    """Names that may be slips: heard once among speakers who return, or no name at all; or differing in case only."""
    times = Counter(
        turn.speaker
        for turn, last in zip(turns, [None, *turns], strict=False)
        if last is None or last.speaker != turn.speaker
    )
    returning = any(count > 1 for name, count in times.items() if name)
    found, spelling = [], {}
    for turn in turns:
        column = by_colon.get(turn.line, by_bracket.get(turn.line, 1))
        first = spelling.setdefault(turn.speaker.lower(), turn.speaker)
        once = times[turn.speaker] == 1
        base = ASIDE.sub("", turn.speaker)
        if first != turn.speaker:
            found.append(ScriptWarning(turn.line, column, f"'{turn.speaker}' and '{first}' are two speakers."))
        elif base != turn.speaker and base in times:
            found.append(ScriptWarning(turn.line, column, f"'{turn.speaker}' and '{base}' are two speakers."))
        elif once and turn.line in by_colon and returning:
            found.append(
                ScriptWarning(
                    turn.line,
                    column,
                    f"'{turn.speaker}:' is read as a speaker, who speaks once; "
                    "if it is text, put a backslash in front of the line.",
                )
            )
        elif once and turn.line in by_bracket and (is_sound(turn.speaker) or not like_a_name(turn.speaker)):
            found.append(
                ScriptWarning(
                    turn.line,
                    column,
                    f"'[{turn.speaker}]' is read as a speaker, who speaks once; "
                    "a sound is written in lower case, and before text stands a backslash.",
                )
            )
    return found

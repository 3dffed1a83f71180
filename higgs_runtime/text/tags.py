"""The tags of Higgs Audio v3: what each does, what is wrong with those of a text, and which a cut text carries on.

Rules and sizes: Boson AI's PROMPTING.md (bosonai/higgs-tts-3-4b) and docs.boson.ai/tags. Delivery tags lead the turn
there; some who listened advise a word before a strong emotion, so both placements are offered.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from .sound_tags import V3, writes_sound

Placement = Literal["lead", "gentle"]
TAG = re.compile(r"<\|([^<>|\s]{1,80})\|>")
_HAN = re.compile(r"[\u3400-\u9fff]")
_FIRST_WORD = re.compile(r"\s*\w[^\s<]*")
PASSES = 3  # a tag may have more than one fault: misspelt, and out of place
_RUN = re.compile(r"(?:<\|[^<>|\s]{1,80}\|>[^\S\n]*)+")
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’»」』)\]]*(?:\s+|(?<=[。！？]))")
# What may stand before the first word of a line of a script: [Anna], {seed=7}, [pause 1s], Anna:
_LINE_HEAD = re.compile(r"(?:\s*(?:\[[^\]\n]*\]|\{[^}\n]*\}|[^\s:<>\[\]{}][^:<>\[\]{}\n]{0,40}:(?=\s)))*\s*")


class Tag(NamedTuple):
    """A tag that v3 acts on.

    Attributes:
        name: as it stands in a text, "<|emotion:anger|>".
        group: "emotion", "style", "sfx" or "prosody".
        does: in words, with the documented size where there is one.
        inline: it acts where it stands; the others colour what follows, and lead.
        letters: what has to follow at once (Latin, Chinese); of sfx.
        holds: it goes on over the border of a piece; what an emotion colours is its own piece.
    """

    name: str
    group: str
    does: str
    inline: bool = False
    letters: tuple[str, ...] = ()
    holds: bool = False


_EMOTIONS = (
    "elation amusement enthusiasm determination pride contentment affection relief contemplation confusion surprise "
    "awe longing arousal anger fear disgust bitterness sadness shame helplessness"
).split()
_STYLES = {"singing": "sings", "shouting": "shouts", "whispering": "whispers"}
SPEEDS = {  # as documented
    "<|prosody:speed_very_slow|>": 0.65,
    "<|prosody:speed_slow|>": 0.85,
    "<|prosody:speed_fast|>": 1.2,
    "<|prosody:speed_very_fast|>": 1.4,
}
_PROSODY = {
    **{name[2:-2].split(":")[1]: f"speed x {factor}" for name, factor in SPEEDS.items()},
    "speed_very_slow": "speed x 0.65; limited: long_pause does more",
    "pitch_low": "3 semitones lower",
    "pitch_high": "2.5 semitones higher",
    "expressive_high": "livelier",
    "expressive_low": "calmer",
}
_PAUSES = {"pause": "a pause of 0.4 to 0.7 s", "long_pause": "a pause of 0.7 to 1.5 s"}
TAGS = {
    tag.name: tag
    for tag in (
        *(Tag(f"<|emotion:{name}|>", "emotion", name) for name in _EMOTIONS),
        *(Tag(f"<|style:{name}|>", "style", does, holds=True) for name, does in _STYLES.items()),
        *(
            Tag(form[0], "sfx", f"a sound, said as {form[1]}", inline=True, letters=form[1:])
            for form in V3.values()
            if len(form) > 1
        ),
        *(Tag(f"<|prosody:{name}|>", "prosody", does, holds=True) for name, does in _PROSODY.items()),
        *(Tag(f"<|prosody:{name}|>", "prosody", does, inline=True) for name, does in _PAUSES.items()),
    )
}

_BY_WORD = {name[2:-2].split(":")[1]: name for name in TAGS}  # where the group is wrong, or missing


class TagFault(NamedTuple):
    """A tag that will not do what is meant.

    Attributes:
        start, end: of the tag in the text.
        message: one sentence.
        edits: (start, end, text) each that mend it; none where nothing certain does.
    """

    start: int
    end: int
    message: str
    edits: tuple[tuple[int, int, str], ...] = ()


def tag_faults(text: str, *, knows_tags: bool = True, placement: Placement = "lead") -> list[TagFault]:
    """What is wrong with the tags of a text or a script, in order.

    Args:
        knows_tags: whether the model acts on tags; v2 says them aloud.
        placement: where a delivery tag belongs: "lead", before the first word of its sentence; "gentle", after it.
    """
    found = []
    for match, start, leads in _placed(text):
        fault = _fault(text, match, start, leads, placement) if knows_tags else _unread(text, match)
        if fault is not None:
            found.append(fault)
    return found


def mended(text: str, *, knows_tags: bool = True, placement: Placement = "lead") -> str:
    """The text with every fault mended for which there are edits."""
    for _ in range(PASSES):
        edits: list[tuple[int, int, str]] = []
        taken: list[
            tuple[int, int]
        ] = []  # what is replaced, in order: a fault that lies over it waits for the next pass
        for fault in tag_faults(text, knows_tags=knows_tags, placement=placement):
            if all(_is_free(taken, start, end) for start, end, _ in fault.edits):
                edits += fault.edits
                taken += [(start, end) for start, end, _ in fault.edits if end > start]
        if not edits:
            break
        pieces, done = [], 0
        for start, end, instead in sorted(edits):
            pieces += [text[done:start], instead]
            done = end
        text = "".join(pieces) + text[done:]
    return text


def _is_free(taken: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether an edit lies over none of these spans; it may touch them."""
    at = bisect_left(taken, (max(end, start + 1),)) - 1  # the last one that begins before its end
    return at < 0 or taken[at][1] <= start or (start == end == taken[at][0])


def with_their_words(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The (start, end) of pieces, those moved that part tags from the words behind them."""
    moved = list(spans)
    for n in range(len(moved) - 1):
        start, end = moved[n]
        run = next((one for one in _RUN.finditer(text, start, end) if one.end() == end), None)
        if run is not None and run.start() > start:
            before = text[start : run.start()].rstrip()
            moved[n] = start, start + len(before)
            moved[n + 1] = run.start(), moved[n + 1][1]
    return moved


def carried(pieces: Sequence[str], emotion: bool = False) -> list[str]:
    """Pieces of one turn, each led by what coloured the one before: style, speed, pitch, liveliness.

    Args:
        emotion: an emotion is carried too; else it is that of its own piece.
    """
    in_force: dict[str, str] = {}
    found = []
    for piece in pieces:
        own: dict[str, str] = {}
        for match in TAG.finditer(piece):
            tag = TAGS.get(match[0])
            if tag is not None and not tag.inline:
                own[_kind(tag)] = match[0]
        leading = _RUN.match(piece)
        first = {_kind(TAGS[one]) for one in _names(leading[0] if leading else "")}
        found.append("".join(name for kind, name in in_force.items() if kind not in first) + piece)
        in_force |= {kind: name for kind, name in own.items() if emotion or kind != "emotion"}
    return found


def _names(text: str) -> list[str]:
    return [match[0] for match in TAG.finditer(text) if match[0] in TAGS]


def _kind(tag: Tag) -> str:
    """Of tags of one kind the last one counts: two speeds, but a speed and a pitch."""
    return tag.group if tag.group != "prosody" else tag.name.split(":")[1].split("_")[0]


def _placed(text: str) -> Iterator[tuple[re.Match, int, bool]]:
    """Each tag outside of a script's notes, where its sentence begins, and whether no word stands between."""
    at = 0
    for line in text.split("\n"):
        end = at + len(line)
        if "<|" in line and not line.lstrip().startswith("#"):
            yield from _placed_in_line(text, at, end)
        at = end + 1


def _placed_in_line(text: str, at: int, end: int) -> Iterator[tuple[re.Match, int, bool]]:
    tag = TAG.search(text, at, end)
    first = tag.start() if tag else end
    short, head = (_LINE_HEAD.match(text, at, stop) for stop in (first, end))
    start = done = short.end() if short else at
    behind_head = head.end() if head else at  # further on where a bracket of the head holds tags
    ends = deque(one.end() for one in _SENTENCE_END.finditer(text, start, end))
    leads = True  # no word yet
    for match in TAG.finditer(text, at, end):
        if start < behind_head <= match.start():
            start = done = behind_head
            leads = True
        while ends and ends[0] <= match.start():
            if (place := ends.popleft()) > start:
                start, leads, done = place, True, max(done, place)
        leads = leads and not text[done : match.start()].strip()
        done = match.end()
        yield match, start, leads


def _taken_out(text: str, match: re.Match) -> tuple[int, int, str]:
    """The edit that leaves out a tag, and the blanks behind it."""
    return match.start(), _behind_blanks(text, match.end()), ""


def _behind_blanks(text: str, place: int) -> int:
    while text[place : place + 1] == " ":
        place += 1
    return place


def _unread(text: str, match: re.Match) -> TagFault:
    said = f"Only Higgs Audio v3 acts on tags; this model will try to say {match[0]}."
    return TagFault(match.start(), match.end(), said, (_taken_out(text, match),))


def _fault(text: str, match: re.Match, start: int, leads: bool, placement: Placement) -> TagFault | None:
    tag = TAGS.get(match[0])
    if tag is None:
        return _unknown(match)
    if tag.group == "sfx":
        return _without_letters(text, match, tag)
    return None if tag.inline else _misplaced(text, match, start, leads, placement)


def _unknown(match: re.Match) -> TagFault:
    word = match[1].casefold().split(":")[-1]
    near = [_BY_WORD[one] for one in difflib.get_close_matches(word, _BY_WORD, n=1, cutoff=0.75)]
    instead = f"; the nearest is {near[0]}" if near else ""
    return TagFault(
        match.start(),
        match.end(),
        f"{match[0]} is no tag that Higgs Audio v3 documents{instead}.",
        ((match.start(), match.end(), near[0]),) if near else (),
    )


def _without_letters(text: str, match: re.Match, tag: Tag) -> TagFault | None:
    if writes_sound(text, match.end()):
        return None
    place = _behind_blanks(text, match.end())
    chinese = bool(_HAN.match(text, place)) or _han_before(text, match.start())
    letters = tag.letters[1] if chinese else tag.letters[0]
    goes_on = text[place : place + 1].isalnum()
    said = letters + (("，" if chinese else ", ") if goes_on else "")
    end = place if goes_on else match.end()
    return TagFault(
        match.start(),
        match.end(),
        f"The sound in letters has to stand right behind {match[0]}, as {letters}.",
        ((match.end(), end, said),),
    )


def _han_before(text: str, place: int) -> bool:
    """Whether the last letter before a place is Chinese."""
    while place and not (text[place - 1].isalnum() or text[place - 1] == "_"):
        place -= 1
    return bool(_HAN.match(text[place - 1 : place]))


def _misplaced(text: str, match: re.Match, start: int, leads: bool, placement: Placement) -> TagFault | None:
    if placement == "gentle" and match[0].startswith("<|emotion:"):
        word = _FIRST_WORD.match(text, match.end()) if leads else None
        if word is None:
            return None
        said = f"{match[0]} is gentler behind the first word of its sentence."
        moved = f"{word[0].lstrip()} {match[0]}"
        return TagFault(match.start(), match.end(), said, ((match.start(), word.end(), moved),))
    if leads:
        return None
    said = f"{match[0]} colours what follows it: it leads its sentence."
    return TagFault(match.start(), match.end(), said, ((start, start, match[0]), _taken_out(text, match)))

"""Who speaks which words of a turn, and with which tags: proposals for a script that may place these, and nothing else.

The words always come from the script: a proposal is laid over a turn letter by letter; what does not fit is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import commonprefix
from typing import Literal, NamedTuple

from ..choices import PromptFormat
from ..errors import SettingError
from ..text.sound_tags import V3, find_sounds
from ..text.speakers import fits_tag
from ..text.tags import TAG, TAGS, mended, tag_faults
from ..text.vocabulary import has_words
from .grammar import SHORTEST_S, short
from .types import Music, Script, Sound, Turn
from .write import write_script

TagKind = Literal["none", "v2", "v3"]
TAG_KINDS: tuple[TagKind, ...] = ("none", "v2", "v3")
Pieces = tuple[tuple[str, str], ...]  # (speaker, text)

TOKEN = re.compile(r"<\|[^<>|\n]{1,80}\|>|\[[^\[\]\n]{1,40}\]")
_SOUND_OF = {form[0]: f"[{word}]" for word, form in V3.items() if len(form) > 1}
# Signs that a typesetter chooses, and a model writes as it likes: the script's own stay.
_ALIKE = {'"': "“”„‟«»″", "'": "‘’‚‛‹›′`", "-": "–—―‐‑−"}
_SAME = str.maketrans({sign: plain for plain, signs in _ALIKE.items() for sign in signs})
_WITHOUT_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff]")  # between words
_NARRATOR = ("", "narrator", "none", "null")
_JOINERS = "\u200c\u200d"  # within words of Persian, Hindi and others


class NotTheSame(ValueError):
    """A proposal says other words than the turn; as text it says where."""


class _Span(NamedTuple):
    """A part of a turn, from one of its letters to another.

    Attributes:
        marks: (letter that a tag stands before, tag).
    """

    speaker: str
    first: int
    last: int
    marks: tuple[tuple[int, str], ...]


class _Letters(NamedTuple):
    """What is compared of a text: no blanks, no invisible signs, signs of one meaning alike."""

    signs: str
    places: Sequence[int]  # of each in the text


def _letters(text: str) -> _Letters:
    signs, places = [], []
    for place, sign in enumerate(text):
        if not (sign.isspace() or unicodedata.category(sign) == "Cf"):
            same = "..." if sign == "…" else sign.translate(_SAME)
            signs.append(same)
            places += [place] * len(same)
    return _Letters("".join(signs), places)


def fitted(turn: Turn, pieces: Sequence[tuple[str, str]], kind: TagKind, *, speakers: bool = True) -> Pieces:
    """A proposal for a turn in the turn's own words.

    Args:
        pieces: (speaker, text) each; all texts together, without the tags that were added, are the turn's.
        kind: which tags may be added: none, sounds as [laugh] (v2), or those of v3 (and sounds).
        speakers: a turn without a speaker may be given one, or be parted among several; a turn that has one keeps it.

    Raises:
        NotTheSame: the words are not those of the turn, or a word is cut in two.
    """
    own = _letters(turn.text)
    spans, at = [], 0
    for speaker, text in pieces:
        span = _laid(own, turn, at, text, kind)
        who = speaker if speakers and not turn.speaker else turn.speaker
        spans.append(span._replace(speaker=who))
        at = span.last
    if at < len(own.signs):
        left = turn.text[own.places[at] :]
        raise NotTheSame(f"'{short(left, 40)}' is missing")
    return tuple((one.speaker, _linted(_written(own, turn, one), turn, kind)) for one in _joined(own, turn, spans))


def _laid(own: _Letters, turn: Turn, at: int, text: str, kind: TagKind) -> _Span:
    """A piece over the letters from number `at` on; the marks of its tags."""
    first, marks, done = at, [], 0

    def say(said: str) -> None:
        nonlocal at
        said = _letters(said).signs
        if not own.signs.startswith(said, at):
            same = len(commonprefix((said, own.signs[at:])))
            there = turn.text[own.places[at + same] :] if at + same < len(own.signs) else "the end"
            raise NotTheSame(f"'{shown(said[same:], 24)}' stands in place of '{shown(there, 24)}'")
        at += len(said)

    for token in TOKEN.finditer(text):
        say(text[done : token.start()])
        done = token.end()
        signs = _letters(token[0]).signs
        if own.signs.startswith(signs, at):  # the turn has it already
            at += len(signs)
        elif tag := known_tag(token[0], kind):
            marks.append((at, tag))
    say(text[done:])
    if 0 < at < len(own.places) and own.places[at] == own.places[at - 1] or _within_word(own, turn.text, at):
        raise NotTheSame(f"a word is cut before '{short(turn.text[own.places[at] :], 24)}'")
    return _Span("", first, at, tuple(mark for mark in marks if not _within_word(own, turn.text, mark[0])))


def _within_word(own: _Letters, text: str, at: int) -> bool:
    """Whether letter number `at` goes on with a word of a script that parts its words."""
    if not 0 < at < len(own.places):
        return False
    place, before = own.places[at], own.places[at - 1]
    both = place == before + 1 and text[place].isalnum() and text[before].isalnum()
    return both and not any(_WITHOUT_BLANKS.match(text[one]) for one in (place, before))


def known_tag(said: str, kind: TagKind) -> str:
    """A tag as the model reads it; "" for what this kind does not know. Sounds are words in brackets for both."""
    if kind == "none":
        return ""
    if said[0] == "[":
        sounds, _ = find_sounds(said, PromptFormat.V3 if kind == "v3" else PromptFormat.NATIVE)
        return f"[{' '.join(said[1:-1].casefold().split())}]" if sounds else ""
    if kind == "v2":
        return ""
    name = said if said in TAGS else mended(said)
    name = next(iter(match[0] for match in TAG.finditer(name)), "")
    return _SOUND_OF.get(name, name if name in TAGS and TAGS[name].group != "sfx" else "")


def _joined(own: _Letters, turn: Turn, spans: list[_Span]) -> list[_Span]:
    """Spans without words go to their neighbour, and so do those of the same speaker."""
    found: list[_Span] = []
    for span in spans:
        before = found[-1] if found else None
        worded = [has_words(_slice(own, turn, one)) if one else True for one in (before, span)]
        if before and (before.speaker == span.speaker or not all(worded)):
            speaker = before.speaker if worded[0] else span.speaker
            found[-1] = _Span(speaker, before.first, span.last, before.marks + span.marks)
        elif span.last > span.first or span.marks:
            found.append(span)
    return found


def _slice(own: _Letters, turn: Turn, span: _Span) -> str:
    return turn.text[_start(own, turn, span.first) : _start(own, turn, span.last)]


def _start(own: _Letters, turn: Turn, at: int) -> int:
    return 0 if not at else own.places[at] if at < len(own.places) else len(turn.text)


def _written(own: _Letters, turn: Turn, span: _Span) -> str:
    """The turn's own text of a span, with its tags."""
    made, done = "", _start(own, turn, span.first)
    end = _start(own, turn, span.last)
    for at, tag in span.marks:
        place = min(_start(own, turn, at), end)
        made += turn.text[done:place]
        done = place
        if place == end:  # behind the last word
            made = made.rstrip() + " "
        if tag[0] == "[":
            made += " " * bool(made and not made[-1].isspace()) + tag + " "
        else:
            made += tag
    return (made + turn.text[done:end]).strip()


def _linted(text: str, turn: Turn, kind: TagKind) -> str:
    """The text with tags that are out of place moved, where no word changes by it."""
    if kind != "v3" or not tag_faults(text):
        return text
    better = mended(text)
    return better if _without_tags(better) == _without_tags(text) else text


def _without_tags(text: str) -> str:
    return _letters(TAG.sub("", text)).signs


def words_only(turns: Sequence[Turn]) -> str:
    """All that turns say, without tags and sounds in brackets, as it is compared: for a check of the whole."""
    return "".join(_letters(TOKEN.sub("", turn.text)).signs for turn in turns)


def shown(said: str, length: int = 60) -> str:
    """What an answer says as a person may see it, in a terminal too: no control characters, nothing invisible."""
    return short("".join(sign if sign.isprintable() or sign in _JOINERS else "\ufffd" for sign in said), length)


def speaker_named(said: str, known: Sequence[str]) -> str | None:
    """A speaker's name as a tag can hold it, in the spelling that is known; "" for the narrator; None for no name."""
    name = " ".join(said.split())
    if name.casefold() in _NARRATOR:
        return ""
    same = next((one for one in known if one.casefold() == name.casefold()), None)
    if same is not None:
        return same
    name = name[:1].upper() + name[1:]
    return name if len(name) <= 48 and fits_tag(name) and shown(name) == name else None


# --- a whole script -------------------------------------------------------------------------------------------------


def directed(script: Script, turns: Mapping[int, Pieces]) -> Script:
    """The script with some turns in other pieces; cues, comments and scenes keep their places.

    Args:
        turns: number of a turn from 0 -> what `fitted` made for it.
    """
    made: list[Turn] = []
    starts: list[int] = []  # of each turn, among those that are made
    for number, turn in enumerate(script.turns):
        starts.append(len(made))
        made += _parted(turn, turns[number]) if turns.get(number) else [turn]
    starts.append(len(made))

    def moved(one: Sound | Music) -> Sound | Music:
        if isinstance(one, Music):
            return replace(one, first=starts[one.first], last=starts[one.last + 1] - 1)
        return replace(one, turn=starts[one.turn])

    comments = [replace(one, turn=starts[one.turn]) for one in script.comments]
    return Script(made, [moved(one) for one in script.cues], comments)


def _parted(turn: Turn, pieces: Pieces) -> list[Turn]:
    """A pause behind the turn is behind its last piece; its place in time or length is shared by that of the texts."""
    total, said, found = sum(len(text) for _, text in pieces), 0, []
    for number, (speaker, text) in enumerate(pieces):
        slot, fit_s = turn.slot, turn.fit_s
        if slot is not None:
            span = slot[1] - slot[0]
            slot = (slot[0] + span * said / total, slot[0] + span * (said + len(text)) / total)
        if fit_s is not None:
            fit_s = max(SHORTEST_S, fit_s * len(text) / total)
        said += len(text)
        found.append(
            replace(
                turn,
                speaker=speaker,
                text=text,
                slot=slot,
                fit_s=fit_s,
                overlap_s=0.0 if number else turn.overlap_s,
                pause_s=turn.pause_s if number == len(pieces) - 1 else 0.0,
            )
        )
    return found


def script_key(script: Script, kind: TagKind, speakers: bool) -> str:
    """Changes when the script says something else, or other things are asked for."""
    said = json.dumps([write_script(script), kind, speakers], ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Accepted:
    """What a person accepted: kept in the workflow, and used while the script is the same.

    Attributes:
        of: the `script_key`.
        turns: number of a turn from 1 -> (speaker, text) each.
    """

    of: str
    turns: Mapping[int, Pieces]

    def __str__(self) -> str:
        turns = {str(number): list(map(list, pieces)) for number, pieces in sorted(self.turns.items())}
        return json.dumps({"of": self.of, "turns": turns}, ensure_ascii=False)


def read_accepted(text: str) -> Accepted | None:
    """What `str` of it wrote; None for an empty text.

    Raises:
        SettingError: it is something else.
    """
    if not text.strip():
        return None
    try:
        said = json.loads(text)
        turns = {
            int(number): tuple((str(speaker), str(words)) for speaker, words in pieces)
            for number, pieces in said["turns"].items()
        }
        return Accepted(str(said["of"]), turns)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SettingError(
            "What was accepted cannot be read.",
            expected="what the node wrote, or nothing",
            got=f"'{short(text)}'",
            remedy="Empty the input 'accepted', and accept anew.",
        ) from error


def accepted_script(
    script: Script, accepted: Accepted, kind: TagKind, speakers: bool, warn: Callable[[str], None]
) -> Script:
    """The script as it was accepted; every word is still the script's, whoever wrote the workflow."""
    turns, known = {}, list(dict.fromkeys(turn.speaker for turn in script.turns if turn.speaker))
    for number, pieces in accepted.turns.items():
        if not 1 <= number <= len(script.turns):
            warn(f"There is no turn {number}; what was accepted for it is left out.")
            continue
        try:
            named = [(speaker_named(speaker, known), words) for speaker, words in pieces]
            if any(speaker is None for speaker, _ in named):
                raise NotTheSame("a name that no speaker can have")
            said = [(speaker or "", words) for speaker, words in named]
            turns[number - 1] = fitted(script.turns[number - 1], said, kind, speakers=speakers)
        except NotTheSame as error:
            warn(f"Turn {number} stays as it was: what was accepted for it says other words ({error}).")
    return directed(script, turns)

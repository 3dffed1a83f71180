"""Subtitles (SRT, WebVTT, ASS, SSA) as scripts whose turns have a slot in time, and spoken lines as subtitles."""

from __future__ import annotations

import codecs
import html
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from ..atomic_write import write_bytes
from ..errors import MissingExtraError, ScriptError, SettingError
from ..text.marks import RUBY
from ..text.speakers import fits_tag
from .captions import read_caption
from .grammar import lines_of, short
from .parse import parse_script
from .retiming import Retiming
from .timed_text import ARROW, read_cues
from .types import Script, ScriptWarning, Turn

FORMATS = {".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ssa"}  # suffix -> pysubs2's name
NO_TIME_S = 1  # what a subtitle without duration gets
_LAST_S = {"ass": 36_000, "ssa": 36_000}  # these formats have one digit for hours; the others two

# Fields of an ASS event in the usual order, and what a file without one is given.
_EVENT = {"layer": "0", "start": "", "end": "", "style": "Default", "name": ""}
_EVENT |= {"marginl": "0", "marginr": "0", "marginv": "0", "effect": "", "text": ""}
_ALSO_CALLED = {"actor": "name"}
_NO_EVENTS = ("script info", "aegisub", "fonts", "graphics")  # sections with lines that look like events

_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^<>]*)>")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>")
_STYLE = re.compile(r"\{(?:\\|[yYcCfFsSpP]:)[^{}]*\}")  # in SRT and VTT, other braces are text


def read_script(path: str | Path, timing: Retiming | None = None) -> Script:
    """A script from a file: subtitles by its suffix, everything else as `parse_script` reads it.

    Raises:
        SettingError: a script is to be retimed.
        ScriptError, MissingExtraError: as `read_subtitles` and `parse_script`.
    """
    path = Path(path)
    if path.suffix.lower() in FORMATS:
        return read_subtitles(path, timing=timing)
    check_no_timing(path, timing)
    return parse_script(decode_text(path))


def check_no_timing(path: Path, timing: Retiming | None) -> None:
    """Raises:
    SettingError: a text that is no subtitles is to be retimed.
    """
    if timing not in (None, Retiming()):
        raise SettingError(
            "Only subtitles have an offset and a frame rate.",
            expected=", ".join(FORMATS),
            got=f"'{path.name}'",
            remedy="Leave them out for a script.",
        )


def read_subtitles(
    path: str | Path, *, descriptions: bool = False, dashes: bool = False, timing: Retiming | None = None
) -> Script:
    """Subtitles as a script: each is a turn with `slot`, in the order of their starts.

    Who speaks is ASS's actor, WebVTT's `<v Name>`, or what `read_caption` finds at the start of a line; a subtitle of
    several speakers becomes several turns that share its time by the length of their texts. Styles, tags and readings
    over characters are left out, and so are descriptions for the deaf and subtitles without words. Captions that roll
    are read once. Subtitles over each other keep their times; one without duration gets 1 s; what lies before the start
    of the film is left out. All that is left out or changed is said in the warnings, which have no line.

    Args:
        descriptions: "[door creaks]" and "(SIGHS)" stay in the text.
        dashes: a line behind a dash is a turn of its own, also without a name: two people share the subtitle.
        timing: how the times of the file become those of the film; None: they are the same.

    Raises:
        ScriptError: the file cannot be read, is not UTF-8 (or UTF-16 with its mark), has no subtitles, or a line of
            times that cannot be read.
        MissingExtraError: without pysubs2 (extra `subtitles`).
    """
    path = Path(path)
    kind, pysubs2 = _format(path), _pysubs2()
    text, notes, timing = decode_text(path), [], timing or Retiming()
    if kind in ("srt", "vtt"):
        cues, notes = read_cues(text, kind, timing)
        events = [(cue.start_s, cue.end_s, "", cue.text) for cue in cues]
    else:
        try:
            file = pysubs2.SSAFile.from_string(_events_alone(text), format_=kind)
        except (ValueError, KeyError, IndexError, OverflowError, pysubs2.Pysubs2Error) as error:
            raise _unreadable(path, str(error) or type(error).__name__) from error
        events = [
            (
                timing.moved(Fraction(one.start, 1000)),
                timing.moved(Fraction(one.end, 1000)),
                one.name,
                one.plaintext,
            )
            for one in file.get_text_events()
        ]
    turns: list[Turn] = []
    notes += _disorder([event[0] for event in events])
    events.sort(key=lambda event: event[0])
    first, reader = _Reader(kind, descriptions, dashes), _Reader(kind, descriptions, dashes)
    for event in events:
        first.turns(*event)  # for the names alone: they tell a speaker in a bracket from a description
    reader.known = frozenset(first.certain)
    for note in notes:
        reader.warn(note)
    for event in events:
        turns += reader.turns(*event)
    if not turns and timing.offset < 0 and events and all(event[1] <= 0 for event in events):
        raise ScriptError(
            f"All subtitles in '{path.name}' end before the film begins.",
            expected="an offset that leaves some of them in the film",
            got=f"{timing.offset:g} s, and the last one ends at {_clock(max(event[1] for event in events))}",
            remedy="Correct the offset; below 0 is earlier.",
        )
    if not turns:
        raise _unreadable(path, "no subtitle with a text")
    return Script(turns, warnings=reader.warnings)


def _disorder(starts: Sequence[Fraction]) -> list[str]:
    late = [after for before, after in itertools.pairwise(starts) if after < before]
    if not late:
        return []
    return [
        f"{len(late)} subtitle{'s' * (len(late) > 1)} in the file come{'s' * (len(late) == 1)} behind a later one, the "
        f"first at {_clock(late[0])}; all are read in the order of their times."
    ]


def _events_alone(text: str) -> str:
    """The events of an ASS or SSA text, their fields in the usual order. Which order they have is told by the Format
    line, which pysubs2 (1.8.1) passes over; it also stops at styles and fonts that it cannot read."""
    order, found, section = list(_EVENT), ["[Events]"], ""
    for line in map(str.strip, lines_of(text)):
        kind, _, rest = line.partition(":")
        if line.startswith("["):
            section = line.strip("[] ").lower()
        elif section.startswith(_NO_EVENTS):
            continue
        elif kind == "Format":
            names = [_ALSO_CALLED.get(name, name) for name in rest.replace(" ", "").lower().split(",")]
            order = names if {"start", "end", "text"} <= set(names) else order
        elif kind in ("Dialogue", "Comment"):
            given = dict(zip(order, rest.strip().split(",", len(order) - 1), strict=False))
            found.append(f"{kind}: " + ",".join(given.get(name, usual) for name, usual in _EVENT.items()))
    return "\n".join(found)


class _Reader:
    """Turns of one event after the other, in time; `warnings` grows."""

    def __init__(self, kind: str, descriptions: bool, dashes: bool):
        self.kind, self.descriptions, self.dashes, self.warnings = kind, descriptions, dashes, []
        self.busy_until, self.names, self.known = Fraction(0), {}, frozenset()
        self.certain: set[str] = set()  # names, casefolded, of captions without a doubt

    def turns(self, start: Fraction, end: Fraction, name: str, text: str) -> list[Turn]:
        place = f"The subtitle at {_clock(start)}"
        if start < 0 and end <= 0 and end > start:
            self.warn(f"{place} ends before the film begins and is left out.")
            return []
        parts = self.parts(place, name, text)
        if not parts:
            return []
        if end <= start:
            why = "has no duration" if end == start else "ends before it starts"
            self.warn(f"{place} {why}; it is given {NO_TIME_S:g} s.")
            end = max(start, Fraction(0)) + NO_TIME_S
        if start < 0:
            self.warn(f"{place} starts before the film does; it starts with the film.")
            start = Fraction(0)
        if start < self.busy_until:
            over = float(self.busy_until - start)
            self.warn(f"{place} starts {over:.2f} s before the one above ends; both keep their time.")
        self.busy_until = max(self.busy_until, end)
        if len(parts) > 1:
            self.warn(f"{place} has {len(parts)} speakers, who share its time.")
        total, turns, said = sum(len(text) for _, text in parts), [], 0
        for speaker, text in parts:
            first, said = said, said + len(text)
            slot = (start + (end - start) * first / total, start + (end - start) * said / total)
            turns.append(Turn(speaker, text, slot=(float(slot[0]), float(slot[1]))))
        return turns

    def parts(self, place: str, name: str, text: str) -> list[tuple[str, str]]:
        """Who says what in it: (speaker, text)."""
        if self.kind in ("srt", "vtt"):
            text = _STYLE.sub("", text).replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
        pieces = _VOICE.split(text) if self.kind == "vtt" else [text]  # text, name, text, name, text …
        found, said = [], []
        for voice, piece in zip([name, *pieces[1::2]], pieces[::2], strict=True):
            words, who = self.plain(piece), self.plain(voice).strip()
            about = {"descriptions": self.descriptions, "known": self.known, "dashes": self.dashes}
            caption = read_caption(words, who, **about)
            found.append(caption)
            self.certain |= {speaker.casefold() for speaker, _ in caption.said if speaker and not caption.doubts}
            said += [(self.fitting(speaker), words) for speaker, words in caption.said]
        for caption in found:
            for doubt in caption.doubts:
                self.warn(f"{place}: {doubt}; if it is text, mend it in the file.")
        out = ", ".join(f"'{short(one)}'" for caption in found for one in caption.descriptions)
        if not said:
            plain = " ".join(self.plain(_VOICE.sub("", text)).split())
            self.warn(f"{place} has no {f'words (‘{short(plain)}’)' if plain else 'text'} and is left out.")
        elif out:
            self.warn(f"{place}: {out} is left out, a description.")
        if said and any(caption.sung for caption in found):
            self.warn(f"{place} is sung; its words are spoken.")
        return said

    def plain(self, text: str) -> str:
        if self.kind in ("ass", "ssa"):
            return text
        return html.unescape(_TAG.sub("", RUBY.sub("", text)))

    def fitting(self, name: str) -> str:
        """The name as a tag can hold it."""
        if not name or name in self.names:
            return self.names.get(name, "")
        plain = " ".join(re.sub(r"[\[\]:：]", " ", name).split())
        plain = plain[:1].upper() + plain[1:]
        fits = plain if not plain or fits_tag(plain) else f"Speaker {plain}"
        same = (one for one in self.names.values() if one.casefold() == fits.casefold())
        self.names[name] = next(same, fits)  # capitals are a matter of style here
        if self.names[name] != name:
            self.warn(f"The speaker '{name}' is called '{self.names[name]}' here.")
        return self.names[name]

    def warn(self, message: str) -> None:
        self.warnings.append(ScriptWarning(0, 0, message))


def write_subtitles(lines: Iterable[tuple[float, float, str, str]], path: str | Path) -> None:
    """Write what is spoken when, in the format that the suffix names (.srt, .vtt, .ass, .ssa), whole or not at all.

    Args:
        lines: (start, end, speaker, text) in seconds; without text they are left out. Speakers become `Name: text`,
            `<v Name>` or the actor. What a format would read as markup is written with the full-width sign.

    Raises:
        ScriptError: a time that is none or beyond the format's hours, another suffix, or the file cannot be written.
        MissingExtraError: without pysubs2 (extra `subtitles`).
    """
    path = Path(path)
    text = subtitles_text(lines, _format(path))
    try:
        write_bytes(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise ScriptError(
            f"'{path}' could not be written: {error.strerror or error}.",
            remedy="Check free disk space and permissions, then save again.",
        ) from error


def subtitles_text(lines: Iterable[tuple[float, float, str, str]], kind: str) -> str:
    """What `write_subtitles` writes, in the format "srt", "vtt", "ass" or "ssa".

    Raises:
        ScriptError, MissingExtraError: as `write_subtitles`.
    """
    _pysubs2()
    events = []
    for start, end, speaker, text in sorted(lines, key=lambda line: line[0]):
        body = "\n".join(part.strip() for part in lines_of(text) if part.strip())
        event = marked_up(kind, start, end, speaker, body)
        if body:
            events.append(event)
    return events_text(events, kind)


class Event(NamedTuple):
    """A subtitle as pysubs2 writes it: in `text` nothing is markup but what is meant to be."""

    start_s: float
    end_s: float
    text: str
    name: str


def marked_up(kind: str, start_s: float, end_s: float, speaker: str, text: str) -> Event:
    """A plain text as an event of a format.

    Raises:
        ScriptError: a time that is none or beyond the format's hours.
    """
    last = _LAST_S.get(kind, 360_000)
    if not 0 <= start_s <= end_s < last or not math.isfinite(end_s):
        raise ScriptError(
            "A subtitle has no time.",
            expected=f"0 ≤ start ≤ end < {last // 3600} h",
            got=f"{start_s:g} to {end_s:g} s",
            remedy="Correct the times, or cut the script in parts.",
        )
    return Event(start_s, end_s, *_written(kind, speaker, text))


def events_text(events: Iterable[Event], kind: str) -> str:
    """Events as the text of a file.

    Raises:
        MissingExtraError: without pysubs2 (extra `subtitles`).
    """
    pysubs2 = _pysubs2()
    file = pysubs2.SSAFile()
    for one in events:
        file.append(pysubs2.SSAEvent(round(one.start_s * 1000), round(one.end_s * 1000), one.text, name=one.name))
    return file.to_string(kind, **({} if kind in ("ass", "ssa") else {"keep_ssa_tags": True}))


def _written(kind: str, speaker: str, text: str) -> tuple[str, str]:
    """Text and speaker of an event so that nothing in them is markup; backslashes are pysubs2's in every format."""
    text, speaker = text.replace("\\", "＼"), speaker.replace("\\", "＼")
    if kind in ("ass", "ssa"):
        text = text.translate(str.maketrans("{}", "｛｝"))
        return text.replace("\n", r"\N"), re.sub(r"[,\s]+", " ", speaker)
    if kind == "vtt":
        text, speaker = html.escape(text, quote=False), html.escape(speaker, quote=False)
        return (f"<v {speaker}>" if speaker else "") + text.replace("\n", r"\N"), ""
    text = re.sub("<(?=[/a-zA-Z0-9])", "＜", re.sub(ARROW, "→", text)).replace("{＼", "｛＼")
    text = re.sub(r"&(?=#?\w+;?)", "＆", text)
    return (f"{speaker}: " if speaker else "") + text.replace("\n", r"\N"), ""


def _format(path: Path) -> str:
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ScriptError(
            f"'{path.name}' is not a known subtitle format.",
            expected=", ".join(FORMATS),
            got=f"'{path.suffix}'",
            remedy="Convert it, or correct its suffix.",
        )
    return kind


def _pysubs2():
    try:
        import pysubs2
    except ImportError as error:
        raise MissingExtraError("Subtitles", "subtitles", "pysubs2") from error
    return pysubs2


def decode_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ScriptError(
            f"'{path}' could not be read: {error.strerror or error}.", remedy="Check its name and permissions."
        ) from error
    marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return raw.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScriptError(
            f"'{path.name}' cannot be decoded.",
            expected="UTF-8",
            got=f"the byte 0x{raw[error.start]:02x} at {error.start}",
            remedy="Save the file as UTF-8 in a text editor.",
        ) from error


def _clock(time: Fraction) -> str:
    seconds, sign = abs(float(time)), "-" if time < 0 else ""
    return f"{sign}{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{seconds % 60:06.3f}"


def _unreadable(path: Path, why: str) -> ScriptError:
    return ScriptError(
        f"There are no subtitles in '{path.name}'.",
        expected="texts with their times",
        got=why,
        remedy="Open it in a player or subtitle editor to see what is wrong.",
    )

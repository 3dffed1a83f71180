r"""Scripts: plain text that says who speaks what.

Line by line:

    [Anna] Hello.              a turn; a name starts with a capital, or with a letter of a script without capitals
    Bob: Hi there.             the same; which words count as a name, see speaker_names
    and welcome.               a line without a tag goes on with the turn above it
                               a blank line ends the turn
    The door opens.            text without a tag after a blank line: the narrator, speaker ""
    [pause 0.8s]               silence after the turn above; inside a line it cuts the turn in two (also 800ms)
    [Anna] {seed=7} Who?       settings of one turn, before its text: the fields of Sampling
    # a note                   comment
    \Note: plain text          a backslash at the start of a line or of a turn's text: what follows is only text

A lower-case word in brackets, such as [laugh], is a sound word and part of the text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from .errors import ScriptError
from .speaker_names import fits_colon, fits_tag

LONGEST_PAUSE_S = 600.0
SETTINGS = {  # of a turn: name -> type
    "seed": int, "temperature": float, "top_k": int, "top_p": float, "ras_window": int, "ras_max_repeats": int,
    "max_frames": int,
}
_SOUNDS = {"applause", "breath", "cheering", "cough", "cry", "gasp", "hum", "laugh", "laughs", "laughter", "music",
           "sigh", "sing", "sniff", "humming", "whisper"}  # first words that need no warning

_TAG = re.compile(r"\[([^\[\]]*)\]\s*")
_COLON = re.compile(r"([^:：\[\]{}\\#]{1,48})(?::(?=\s|$)|：)\s*")
_PAUSE = re.compile(r"\[\s*pause\b([^\[\]]*)\]", re.I)
_SECONDS = re.compile(r"\s*(\d+(?:\.\d*)?(?:e-?\d+)?|\.\d+)\s*(ms|s|)\s*", re.I)
_LATER = re.compile(r"\[\s*(?:(sfx|music|overlap)\s*[:\d][^\[\]]*|(/music)\s*)\]", re.I)
_SETTINGS = re.compile(r"\{([^{}]*)\}\s*")
_SETTING = re.compile(r"([a-z_]+)\s*=\s*([^\s,=]+)[\s,]*")


@dataclass(frozen=True)
class Turn:
    """One speaker's line.

    Attributes:
        speaker: "" is the narrator.
        text: what is spoken; lines of the script are separated by a line feed.
        pause_s: seconds of silence after it.
        settings: fields of Sampling that this turn sets for itself.
        line: where it starts in the script, from 1; 0 when it comes from elsewhere. Not compared.

    Raises:
        ScriptError: no text, a pause out of range, or a speaker that no tag can hold.
    """

    speaker: str
    text: str
    pause_s: float = 0.0
    settings: dict[str, int | float] = field(default_factory=dict)
    line: int = field(default=0, compare=False)

    def __post_init__(self):
        lines = [part.strip() for part in _lines(self.text)]
        object.__setattr__(self, "text", "\n".join(part for part in lines if part))
        if not self.text:
            raise _error(self.line, 1, "The turn has no text.", "words to speak", f"only the speaker '{self.speaker}'",
                         "Write the text, or remove the tag.")
        if not 0 <= self.pause_s <= LONGEST_PAUSE_S:
            raise _error(self.line, 1, "The pause is out of range.", f"0 to {LONGEST_PAUSE_S:g} s",
                         f"{self.pause_s:g} s", "Shorten it.")
        if self.speaker and not fits_tag(self.speaker):
            raise _error(self.line, 1, "This is not a speaker's name.", "a capital first, no bracket or colon",
                         repr(self.speaker), "Rename the speaker.")

    def __str__(self):
        head = f"[{self.speaker}] " if self.speaker else ""
        if self.settings:
            head += "{" + " ".join(f"{name}={value!r}" for name, value in self.settings.items()) + "} "
        pause = f"\n[pause {self.pause_s!r}s]" if self.pause_s else ""
        return head + "\n".join("\\" + line if _needs_escape(line) else line for line in self.text.split("\n")) + pause


@dataclass(frozen=True)
class ScriptWarning:
    """Something that is allowed and may be a slip; line and column count from 1."""

    line: int
    column: int
    message: str

    def __str__(self):
        return f"Line {self.line}, column {self.column}: {self.message}"


@dataclass(frozen=True)
class Script:
    """Turns in order. As text it is the script it was parsed from, or, with other turns, a plain one that says them."""

    turns: Sequence[Turn]
    warnings: Sequence[ScriptWarning] = field(default=(), compare=False)
    source: str = field(default="", compare=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "turns", tuple(self.turns))

    def __str__(self):
        if self.source and parse_script(self.source).turns == self.turns:
            return self.source
        return "".join(("" if number == 0 else "\n" if turn.speaker else "\n\n") + str(turn)
                       for number, turn in enumerate(self.turns)) + "\n"


def parse_script(text: str) -> Script:
    """Reads a script; the grammar stands at the top of this module.

    Raises:
        ScriptError: a turn without text, no turns at all, a pause or setting that cannot be read, a bracket left open,
            a cue that is not supported. `.line` and `.column` (from 1) point at it.
    """
    parser = _Parser()
    for number, raw in enumerate(_lines(text.removeprefix("\ufeff")), start=1):
        parser.read(number, raw)
    parser.close()
    if not parser.turns:
        raise _error(1, 1, "The script has no turns.", "a line of text", "only comments and blank lines" if text.strip()
                     else "an empty text", "Write what is to be spoken.")
    turns = tuple(Turn(**turn) for turn in parser.turns)
    return Script(turns, tuple(parser.warnings + _doubts(turns, parser.by_colon)), text)


class _Parser:
    """Reads lines one after the other into `turns`, as keyword arguments of Turn."""

    def __init__(self):
        self.turns: list[dict] = []
        self.warnings: list[ScriptWarning] = []
        self.by_colon: dict[int, int] = {}  # lines of `Name:` turns -> column
        self.open: dict | None = None  # the turn that a line without tag goes on with

    def read(self, number: int, raw: str) -> None:
        line, column = raw.strip(), len(raw) - len(raw.lstrip()) + 1
        if not line:
            self.close()
        elif line[0] == "#":
            if re.match(r"#+\s*scene\s*:", line, re.I):
                self.warn(number, column, "Scene headers are not read yet; this line is a comment.")
        else:
            speaker, end = self.speaker(number, column, line)
            if speaker is not None:
                self.start(speaker, {}, number)
            elif self.open is None and line[0] == "{":
                self.start("", {}, number)
            if line.startswith("{", end) and not (self.open["text"] or self.open["settings"]):
                self.open["settings"], length = _read_settings(number, column + end, line[end:])
                end += length
            self.body(number, column + end, line[end:])

    def speaker(self, number: int, column: int, line: str) -> tuple[str | None, int]:
        """The speaker that the line's tag names, and where the tag ends; (None, 0) without tag."""
        if line[0] == "[":
            tag = _TAG.match(line)
            if not tag:
                raise _error(number, column, "The bracket is not closed.", "']'", f"'{line[:20]}'",
                             "Close it, or put a backslash in front of the line.")
            name = tag[1].strip()
            if fits_tag(name):
                return name, tag.end()
            if not (_PAUSE.match(line) or _LATER.match(line)) and name.lower().split(" ")[0] not in _SOUNDS:
                self.warn(number, column, f"'[{name}]' is read as text; a speaker's name has a capital and no colon.")
        elif (match := _COLON.match(line)) and fits_colon(name := match[1].strip()):
            self.by_colon[number] = column
            return name, match.end()
        return None, 0

    def body(self, number: int, column: int, rest: str) -> None:
        if rest.startswith("\\"):
            return self.say(rest[1:], number)
        if later := _LATER.search(rest):
            raise _error(number, column + later.start(), f"The cue '{later[1] or later[2]}' is not supported yet.",
                         "text or a pause", later[0], "Remove it, or put a backslash in front of the line.")
        done = 0
        for pause in _PAUSE.finditer(rest):
            self.say(rest[done : pause.start()], number)
            self.pause(number, column + pause.start(), pause)
            done = pause.end()
        self.say(rest[done:], number)

    def say(self, text: str, number: int) -> None:
        if not (text := text.strip()):
            return
        if self.open is None:
            self.start("", {}, number)
        elif self.open["pause_s"]:
            self.start(self.open["speaker"], self.open["settings"], number)
        self.open["text"] += ("\n" if self.open["text"] else "") + text

    def pause(self, number: int, column: int, match: re.Match) -> None:
        length = _SECONDS.fullmatch(match[1])
        if not length:
            raise _error(number, column, "The pause cannot be read.", "[pause 0.8s]", match[0], "Give it in seconds.")
        turn = self.open or (self.turns[-1] if self.turns else None)
        if not (turn and turn["text"]):
            raise _error(number, column, "There is nothing to pause after.", "text above the pause", "none",
                         "Put the pause behind the text of a turn.")
        turn["pause_s"] += float(length[1]) / (1000 if length[2].lower() == "ms" else 1)
        if turn["pause_s"] > LONGEST_PAUSE_S:
            raise _error(number, column, "The pause is too long.", f"{LONGEST_PAUSE_S:g} s or less",
                         f"{turn['pause_s']:g} s", "Shorten it.")

    def start(self, speaker: str, settings: dict, number: int) -> None:
        self.close()
        self.open = dict(speaker=speaker, text="", pause_s=0.0, settings=dict(settings), line=number)

    def close(self) -> None:
        if self.open:
            self.turns.append(self.open)
        self.open = None

    def warn(self, line: int, column: int, message: str) -> None:
        self.warnings.append(ScriptWarning(line, column, message))


def _read_settings(number: int, column: int, text: str) -> tuple[dict[str, int | float], int]:
    """`{name=value …}` at the start of the text, and its length with the blanks after it."""
    braces = _SETTINGS.match(text)
    if not braces:
        raise _error(number, column, "The settings are not closed.", "'}'", f"'{text[:20]}'",
                     "Close them, or put a backslash in front of the brace.")
    found: dict[str, int | float] = {}
    inner, position = braces[1], len(braces[1]) - len(braces[1].lstrip())
    while position < len(inner):
        at, pair = column + 1 + position, _SETTING.match(inner, position)
        if not pair or pair[1] not in SETTINGS or pair[1] in found:
            got = f"'{pair[1]}'" + " twice" * (pair[1] in found) if pair else f"'{inner[position:]}'"
            raise _error(number, at, "This setting cannot be read.", "name=value with one of " + ", ".join(SETTINGS),
                         got, "Mend it, or put a backslash in front of the brace if this is text.")
        try:
            found[pair[1]] = SETTINGS[pair[1]](pair[2])
            if not math.isfinite(found[pair[1]]):
                raise ValueError
        except (ValueError, OverflowError) as error:
            kind = "a whole number" if SETTINGS[pair[1]] is int else "a number"
            raise _error(number, at, f"The setting '{pair[1]}' cannot be read.", kind, f"'{pair[2]}'",
                         "Write it in digits.") from error
        position = pair.end()
    return found, braces.end()


def _needs_escape(line: str) -> bool:
    colon = _COLON.match(line)
    return line[0] in "[{#\\" or bool(colon or _PAUSE.search(line) or _LATER.search(line))


def _doubts(turns: Sequence[Turn], by_colon: dict[int, int]) -> list[ScriptWarning]:
    """Names that may be slips: heard once, by colon, among speakers who return; or differing in case only."""
    times = Counter(turn.speaker for turn, last in zip(turns, [None, *turns], strict=False)
                    if last is None or last.speaker != turn.speaker)
    returning = any(count > 1 for name, count in times.items() if name)
    found, spelling = [], {}
    for turn in turns:
        column = by_colon.get(turn.line, 1)
        first = spelling.setdefault(turn.speaker.lower(), turn.speaker)
        if first != turn.speaker:
            found.append(ScriptWarning(turn.line, column, f"'{turn.speaker}' and '{first}' are two speakers."))
        elif returning and turn.line in by_colon and times[turn.speaker] == 1:
            found.append(ScriptWarning(turn.line, column, f"'{turn.speaker}:' is read as a speaker, who speaks once; "
                                       "if it is text, put a backslash in front of the line."))
    return found


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def _error(line: int, column: int, what: str, expected: str, got: str, remedy: str) -> ScriptError:
    where = f"Line {line}, column {column}: " if line else ""
    error = ScriptError(where + what, expected=expected, got=got, remedy=remedy)
    error.line, error.column = line, column
    return error

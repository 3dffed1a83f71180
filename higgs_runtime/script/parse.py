"""Text to a Script, line by line. The grammar stands in docs/script.md, the forms of one line in grammar."""

from __future__ import annotations

import re
from collections import deque
from typing import Literal

from ..text.sound_tags import is_sound
from ..text.speakers import like_a_name
from ..text.tags import tag_faults
from .doubts import ASIDES, BRACKET, INSIDE_COLON, IS_NUMBERED, LIKE_A_SPEAKER, WITH_MORE, Perhaps, doubts_of
from .grammar import (
    ASIDE,
    CUE,
    LIKE_PAUSE,
    LONGEST_S,
    SCENE,
    SHORTEST_S,
    SOUND_WORDS,
    TAG,
    error_at,
    first_word,
    holds_settings,
    inline_tags,
    lines_of,
    no_text,
    read_fit,
    read_pause,
    read_settings,
    read_slot,
    read_sound,
    read_time,
    short,
    speaker_of,
    to_micro,
)
from .types import Comment, Music, Script, ScriptWarning, Sound, Turn, with_source

# What a turn says of its place in time -> field of Turn, form, how to mend it
_TIMINGS = {
    "overlap": ("overlap_s", "[overlap 0.3s]", f"Give it in seconds, {LONGEST_S:g} at most."),
    "slot": ("slot", "[slot 12.5s-14s]", "Give start and end in seconds."),
    "fit": ("fit_s", "[fit: 2.4s]", f"Give it in seconds, {SHORTEST_S:g} to {LONGEST_S:g}."),
}


def parse_script(text: str) -> Script:
    """Reads a script; `str` of it gives the text back.

    Raises:
        ScriptError: a turn without text, no turns at all, a pause, setting or cue that cannot be read or stands where
            it cannot, a bracket left open. `.line` and `.column` (from 1) point at it.
    """
    parser = _Parser()
    for number, raw in enumerate(lines_of(text.removeprefix("\ufeff")), start=1):
        parser.read(number, raw)
    for fault in tag_faults(text):
        line = text.count("\n", 0, fault.start) + 1
        parser.warn(line, fault.start - text.rfind("\n", 0, fault.start), fault.message)
    return with_source(parser.finish(text), text)


class _Parser:
    """Reads lines one after the other into `turns`, `cues` and `comments`; the first two as keyword arguments."""

    def __init__(self):
        self.turns: list[dict] = []
        self.cues: list[tuple[type, dict]] = []
        self.comments: list[Comment] = []
        self.warnings: list[ScriptWarning] = []
        self.columns: dict[int, int] = {}  # lines of `Name:` turns -> column
        self.brackets: dict[int, int] = {}  # lines of `[Name]` turns -> column
        self.maybe: list[Perhaps] = []  # line, column, name, as written: of a speaker, perhaps
        self.scene = ""
        self.scene_at: tuple[int, int] | None = None  # of the header that no turn has followed yet
        self.open: dict | None = None  # the turn that a line without tag goes on with
        self.open_column = 1
        self.cut = False  # what comes next is another turn of the same speaker
        self.set = False  # the open turn has its settings
        self.gap_s = 0.0  # pauses since the last words
        self.waiting: list[tuple[dict, float]] = []  # cues since the last words, and gap_s where they stand
        self.music: tuple[dict, int] | None = None  # the one that plays, and its column
        self.alone: tuple[int, int, str] | None = None  # a line of capitals that began a turn: line, column, text

    def read(self, number: int, raw: str) -> None:
        line, column = raw.strip(), len(raw) - len(raw.lstrip()) + 1
        if not line:
            self.close()
        elif scene := SCENE.match(line):
            self.close()
            self.check_scene()
            self.scene, self.scene_at = scene[1], (number, column)
        elif line[0] == "#":
            self.comments.append(Comment(line, self.here, number))
        else:
            self.body(number, column, line, self.speaker(number, column, line))

    @property
    def here(self) -> int:
        """The number of the turn that words here would begin, or go on with if nothing of it is said yet."""
        return len(self.turns) + bool(self.open and self.open["text"])

    def speaker(self, number: int, column: int, line: str) -> int:
        """Starts the turn that the line's tag names, if it has one; returns where the tag ends."""
        if tag := speaker_of(line):
            name, end, by_colon = tag
            (self.columns if by_colon else self.brackets).setdefault(number, column)
            aside = ASIDE.search(line[:end].rstrip(' \t:：*_"”»」』'))
            if by_colon and aside and not aside[1].strip().isdecimal():
                self.warn(number, column, f"'{aside[0].strip()}' behind the name '{name}' is left out.")
            self.start(name, number, column)["tagged"] = not by_colon
            return end
        self.like_a_speaker(number, column, line)
        if line[0] == "[" and not CUE.match(line):
            tag = TAG.match(line)
            if not tag:
                raise error_at(
                    number,
                    column,
                    "The bracket is not closed.",
                    "']'",
                    f"'{line[:20]}'",
                    "Close it, or put a backslash in front of the line.",
                )
            if first_word(tag[1]) not in SOUND_WORDS:
                self.warn(
                    number,
                    column,
                    f"'[{tag[1].strip()}]' is read as text; a speaker's name has a capital and no colon.",
                )
        elif re.match(r"(?i:scene\s*:)|(?:INT|EXT|I/E)[./ ]", line):
            self.warn(number, column, "This is spoken. A scene header begins with '#': '# Scene: …'.")
        return 0

    def like_a_speaker(self, number: int, column: int, line: str) -> None:
        """Notes what may name a speaker, in a form that is not read as one."""
        found = LIKE_A_SPEAKER.match(line)
        if found and (name := (found[1] or found[2] or found[3]).strip()):
            self.maybe.append(Perhaps(number, column, name, found[0].strip()))
        elif more := WITH_MORE.match(line):
            self.maybe.append(Perhaps(number, column, more[1], more[0]))
        elif self.open is None and line.isupper() and len(line) <= 40 and like_a_name(line.title()):
            self.alone = number, column, line
        if self.open is not None and self.alone and self.alone[0] == number - 1:
            at, where, name = self.alone
            self.warn(
                at, where, f"'{short(name)}' in a line of its own is read as text; a speaker is '[{short(name)}]'."
            )

    def body(self, number: int, column: int, line: str, position: int) -> None:
        """What follows the tag: settings and cues, and between them text."""
        tags = deque(self.tags(number, column, line, position))
        cue: re.Match | None | Literal[False] = None  # the next one; False: there is none
        while words := line[position:].lstrip():
            position = len(line) - len(words)
            at, turn = column + position, self.open
            if line[position] == "\\":
                return self.say(line[position + 1 :], number, at)
            if line[position] == "{" and (turn is None or not (turn["text"] or self.set)):
                if turn is None:
                    turn = self.start("", number, at)
                self.set = True
                turn["settings"], length = read_settings(number, at, line[position:])
                position += length
                continue
            while tags and tags[0][1] < position:  # inside of a cue
                tags.popleft()
            if cue is None or cue and cue.start() < position:  # looked for once, however many tags stand before it
                cue = CUE.search(line, position) or False
            other = tags[0] if tags and not (cue and cue.start() < tags[0][1]) else None
            words = line[position : other[1] if other else cue.start() if cue else None]
            if "{" in words and holds_settings(words):
                self.warn(number, at, "Settings stand at the start of a turn; these braces are read as text.")
            self.doubt_words(words, number, at)
            self.say(words, number, at)
            if other:
                tags.popleft()
                name, start, position = other
                self.start(name, number, column + start)["tagged"] = True
            elif cue:
                self.cue(number, column + cue.start(), cue)
                position, cue = cue.end(), None
            else:
                return None

    def tags(self, number: int, column: int, line: str, position: int) -> list[tuple[str, int, int]]:
        """Tags inside of a line: they are read in a turn that began with one, and else noted."""
        found = [tag for tag in inline_tags(line) if tag[1] >= position]
        certain = bool(self.open and self.open.get("tagged")) or bool(
            found and all(IS_NUMBERED.fullmatch(one[0]) for one in found)
        )
        starts = {start for _, start, _ in found} if certain else set()
        for bracket in BRACKET.finditer(line, position) if "[" in line else ():
            if bracket.start() >= max(position, 1) and bracket.start() not in starts:
                self.maybe.append(Perhaps(number, column + bracket.start(), bracket[1].strip(), bracket[0]))
        for colon in INSIDE_COLON.finditer(line, position):
            self.maybe.append(Perhaps(number, column + colon.start(1), colon[1], colon[1] + ":"))
        return found if certain else []

    def doubt_words(self, words: str, number: int, column: int) -> None:
        """Pauses and sounds in forms that are read as text."""
        for found in ASIDES.finditer(words.strip()) if "(" in words or "*" in words or "（" in words else ():
            if is_sound(found[1]):
                at = column + len(words) - len(words.lstrip()) + found.start()
                self.warn(number, at, f"'{found[0]}' is read as text; a sound is in square brackets, as '[laugh]'.")
        for found in LIKE_PAUSE.finditer(words):
            self.warn(number, column + found.start(), f"'{found[0]}' is read as text; a pause is '[pause 0.8s]'.")

    def cue(self, number: int, column: int, cue: re.Match) -> None:
        if cue["kind"] and not cue["close"]:
            raise error_at(
                number,
                column,
                "The bracket is not closed.",
                "']'",
                f"'{cue[0][:20]}'",
                "Close it, or put a backslash in front of the text.",
            )
        kind = (cue["kind"] or "pause").casefold()
        if kind == "pause":
            self.pause(number, column, cue)
        elif kind in ("overlap", "slot", "fit"):
            self.timing(number, column, cue, kind)
        elif kind[0] == "/":
            self.end_music(number, column)
        else:
            self.sound(number, column, cue, kind)
        self.cut = bool(self.open and self.open["text"])

    def say(self, text: str, number: int, column: int) -> None:
        if not (text := text.strip()):
            return
        turn = self.open
        if turn is None:
            turn = self.start("", number, column)
        elif self.cut:
            if "fit_s" in turn:
                self.warn(number, column, "A pause or cue ends the turn: its length is that of the words before it.")
            turn = self.start(turn["speaker"], number, column, turn["settings"])
        turn["text"].append(text)
        self.end_gap()
        self.scene_at = None

    def end_gap(self) -> None:
        for cue, at in self.waiting:
            cue["before_s"] = to_micro(self.gap_s - at)
        self.waiting.clear()
        self.gap_s = 0.0

    def pause(self, number: int, column: int, cue: re.Match) -> None:
        length = read_pause(cue)
        if length is None:
            raise error_at(number, column, "The pause cannot be read.", "[pause 0.8s]", cue[0], "Give it in seconds.")
        begun = self.open and not self.open["text"]
        before = self.open if self.open and not begun else self.turns[-1] if self.turns else None
        if (begun or not before) and not self.waiting:
            raise error_at(
                number,
                column,
                "There is nothing to pause after.",
                "text or a cue above the pause",
                "none",
                "Put the pause behind the text of a turn.",
            )
        self.gap_s = to_micro(self.gap_s + length)
        if self.gap_s > LONGEST_S:
            raise error_at(
                number, column, "The pause is too long.", f"{LONGEST_S:g} s or less", f"{self.gap_s:g} s", "Shorten it."
            )
        if before:
            before["pause_s"] = self.gap_s

    def timing(self, number: int, column: int, cue: re.Match, kind: str) -> None:
        """`[overlap 0.3s]`, `[slot 1s-2.5s]` and `[fit: 2.4s]`: when, and how long, the turn that begins here is
        spoken."""
        name, form, remedy = _TIMINGS[kind]
        turn = self.start("", number, column) if self.open is None else self.open
        if turn["text"] or name in turn:
            raise error_at(
                number,
                column,
                f"'{kind}' stands at the start of a turn, once.",
                f"[Name] {form} text",
                cue[0],
                "Move it there, or put a backslash in front of the text.",
            )
        value = {"overlap": read_time, "slot": read_slot, "fit": read_fit}[kind](cue["inner"])
        fits = value[0] < value[1] if isinstance(value, tuple) else value is not None and value <= LONGEST_S
        if not fits:
            raise error_at(number, column, f"The {kind} cannot be read.", form, cue[0], remedy)
        if value and kind == "overlap" and not self.turns:
            self.warn(number, column, "There is no turn before this one to overlap.")
        elif value and kind == "overlap" and self.turns[-1]["pause_s"]:
            self.warn(number, column, "The pause before this turn and its overlap work against each other.")
        turn[name] = value

    def sound(self, number: int, column: int, cue: re.Match, kind: str) -> None:
        options = ("gain",) if kind == "sfx" else ("gain", "fade", "duck")
        found = read_sound(cue["inner"].lstrip()[1:], options)
        if isinstance(found, str):
            form = "[sfx: door.wav -6dB]" if kind == "sfx" else "[music: bed.flac -6dB fade=2s duck]"
            raise error_at(
                number,
                column,
                "The cue cannot be read.",
                form,
                f"'{found}'",
                'Mend it; quotes hold a name with blanks or brackets: "door 1.wav".',
            )
        values = {"path": found["path"], "gain_db": found.get("gain", 0.0), "line": number}
        if kind == "sfx":
            self.cues.append((Sound, {**values, "turn": self.here}))
        else:
            if self.music:
                self.end_music(number, column)
            music = {**values, "fade_s": found.get("fade", 0.0), "duck": "duck" in found, "first": self.here}
            self.cues.append((Music, music))
            self.music = music, column
        self.waiting.append((self.cues[-1][1], self.gap_s))

    def end_music(self, number: int, column: int) -> None:
        if not self.music or self.music[0]["first"] == self.here:
            raise error_at(
                number,
                column,
                "Here no music can end.",
                "a turn between the start of music and its end",
                "no turn" if self.music else "no music",
                "Put [music: …] before the turns and its end after.",
            )
        self.music[0].update(last=self.here - 1, after_s=self.gap_s)
        self.music = None

    def start(self, speaker: str, number: int, column: int, settings: dict | None = None) -> dict:
        self.close()
        self.open = turn = dict(
            speaker=speaker, text=[], pause_s=0.0, settings=dict(settings or {}), line=number, scene=self.scene
        )
        self.open_column = column
        return turn

    def close(self) -> None:
        if self.open:
            if not self.open["text"]:
                raise no_text(self.open["line"], self.open_column, self.open["speaker"])
            self.open.pop("tagged", None)
            self.turns.append(self.open)
        self.open, self.cut, self.set = None, False, False

    def check_scene(self) -> None:
        if self.scene_at:
            self.warn(*self.scene_at, "No turn follows this scene header.")

    def warn(self, line: int, column: int, message: str) -> None:
        self.warnings.append(ScriptWarning(line, column, message))

    def finish(self, text: str) -> Script:
        self.close()
        self.check_scene()
        if not self.turns:
            raise error_at(
                1,
                1,
                "The script has no turns.",
                "a line of text",
                "only comments, cues and blank lines" if text.strip() else "an empty text",
                "Write what is to be spoken.",
            )
        if self.music:
            music, column = self.music
            self.end_music(music["line"], column)
            self.warn(music["line"], column, "This music is not ended by [/music]; it lies under all that follows.")
        self.end_gap()
        turns = tuple(Turn(**{**turn, "text": "\n".join(turn["text"])}) for turn in self.turns)
        cues = [kind(**values) for kind, values in self.cues]
        said = {(warning.line, warning.column) for warning in self.warnings}
        maybe = [one for one in self.maybe if (one.line, one.column) not in said]
        found = {*self.warnings, *doubts_of(turns, self.columns, self.brackets, maybe)}
        return Script(turns, cues, self.comments, sorted(found, key=lambda one: (one.line, one.column)))

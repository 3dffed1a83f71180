"""What a script says: turns, sounds, music, notes. Times in seconds, kept to the microsecond; gains in dB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..text.speakers import fits_tag
from .grammar import (
    LONGEST_S,
    RANGES,
    SCENE,
    SHORTEST_S,
    check_setting,
    error_at,
    fits_file,
    lines_of,
    no_text,
    to_micro,
)
from .write import write_script, write_turn


@dataclass(frozen=True)
class Turn:
    """One speaker's line. Immutable, its settings too; `dataclasses.replace` makes another one.

    Attributes:
        speaker: "" is the narrator.
        text: what is spoken; lines of the script are separated by a line feed.
        pause_s: seconds of silence after it.
        settings: what this turn sets for itself: fields of Sampling, and gain (dB), speed (above 1 is faster) and
            take (which of several, from 1).
        line: where it starts in the script, from 1; 0 when it comes from elsewhere. Not compared.
        scene: where it is spoken, in words; "" where the script does not say.
        overlap_s: it starts so many seconds earlier than it would, so that it may begin before the turn above ends.
        slot: (start, end) in seconds where it has a place in time, as a subtitle has.
        fit_s: seconds that it is to take, wherever it starts; None: as many as it takes.

    Raises:
        ScriptError: no text, a time or a setting out of range, both a slot and seconds, or a speaker that no tag can
            hold.
    """

    speaker: str
    text: str
    pause_s: float = 0.0
    settings: dict[str, int | float] = field(default_factory=dict)
    line: int = field(default=0, compare=False)
    scene: str = ""
    overlap_s: float = 0.0
    slot: tuple[float, float] | None = None
    fit_s: float | None = None

    @property
    def wanted_s(self) -> float | None:
        """Seconds that it is to take: those of its slot, or `fit_s`; None where it has neither."""
        return to_micro(self.slot[1] - self.slot[0]) if self.slot else self.fit_s

    def __post_init__(self):
        lines = [part.strip() for part in lines_of(self.text)]
        text = "\n".join(part for part in lines if part)
        if not text:
            raise no_text(self.line, 1, self.speaker)
        if self.speaker and not fits_tag(self.speaker):
            raise error_at(
                self.line,
                1,
                "This is not a speaker's name.",
                "a capital first, no bracket or colon",
                repr(self.speaker),
                "Rename the speaker.",
            )
        _check_times(self, pause=self.pause_s, overlap=self.overlap_s)
        settings = {}
        for name, value in self.settings.items():
            try:
                settings[name] = check_setting(name, value)
            except ValueError as error:
                raise error_at(
                    self.line,
                    1,
                    f"The setting '{name}' cannot be used.",
                    str(error),
                    repr(value),
                    "Change or remove it.",
                ) from error
        scene = " ".join(part.strip() for part in lines_of(self.scene)).strip() if self.scene else ""
        _set(
            self,
            text=text,
            scene=scene,
            settings=settings,
            pause_s=to_micro(self.pause_s),
            overlap_s=to_micro(self.overlap_s),
        )
        if self.slot is not None:
            start, end = map(float, self.slot)
            if not 0 <= start < end < math.inf:
                raise error_at(
                    self.line,
                    1,
                    "The slot is no span of time.",
                    "a start from 0 and a later end",
                    f"{start:g} to {end:g} s",
                    "Correct the times.",
                )
            _set(self, slot=(to_micro(start), to_micro(end)))
        if self.fit_s is not None:
            self._check_fit(self.fit_s)
            _set(self, fit_s=to_micro(self.fit_s))

    def _check_fit(self, seconds: float) -> None:
        if self.slot is not None:
            raise error_at(
                self.line,
                1,
                "The turn has a slot and a length.",
                "one of both",
                f"a slot, and {seconds:g} s",
                "Remove [fit: …], or [slot …].",
            )
        if not SHORTEST_S <= seconds <= LONGEST_S:
            raise error_at(
                self.line,
                1,
                "The length is out of range.",
                f"{SHORTEST_S:g} to {LONGEST_S:g} s",
                f"{seconds:g} s",
                "Change it.",
            )

    def __str__(self):
        return write_turn(self)


@dataclass(frozen=True)
class Sound:
    """A sound that starts where turn number `turn` would start; len(turns) is the end of the script.

    Attributes:
        path: a file's name as the script has it; see `resolve_cue`.
        before_s: it starts so many seconds earlier: the part of the pause before the turn that follows the cue.
    """

    path: str
    gain_db: float = 0.0
    turn: int = 0
    line: int = field(default=0, compare=False)
    before_s: float = 0.0

    def __post_init__(self):
        _check_sound(self)
        _check_times(self, pause=self.before_s)
        _set(self, gain_db=to_micro(self.gain_db), before_s=to_micro(self.before_s))


@dataclass(frozen=True)
class Music:
    """Music under the turns `first` to `last`, both included.

    Attributes:
        path: a file's name as the script has it; see `resolve_cue`.
        fade_s: seconds in which it comes up, and in which it goes.
        duck: it goes down while somebody speaks.
        before_s: it starts so many seconds before turn `first` would: a part of the pause before that.
        after_s: it ends so many seconds after turn `last`: a part of the pause after that.
    """

    path: str
    gain_db: float = 0.0
    fade_s: float = 0.0
    duck: bool = False
    first: int = 0
    last: int = 0
    line: int = field(default=0, compare=False)
    before_s: float = 0.0
    after_s: float = 0.0

    def __post_init__(self):
        _check_sound(self)
        if not RANGES["fade"][0] <= self.fade_s <= RANGES["fade"][1]:
            raise error_at(
                self.line,
                1,
                "The fade is out of range.",
                "{:g} to {:g} s".format(*RANGES["fade"]),
                f"{self.fade_s:g} s",
                "Shorten it.",
            )
        _check_times(self, pause=self.before_s, tail=self.after_s)
        _set(
            self,
            gain_db=to_micro(self.gain_db),
            fade_s=to_micro(self.fade_s),
            duck=bool(self.duck),
            before_s=to_micro(self.before_s),
            after_s=to_micro(self.after_s),
        )

    @property
    def turn(self) -> int:
        """The turn at whose start it starts: `first`."""
        return self.first


@dataclass(frozen=True)
class Comment:
    """A line that begins with '#', before turn number `turn`; len(turns) is the end."""

    text: str
    turn: int = 0
    line: int = field(default=0, compare=False)

    def __post_init__(self):
        if (
            self.text != self.text.strip()
            or len(lines_of(self.text)) > 1
            or self.text[:1] != "#"
            or SCENE.match(self.text)
        ):
            raise error_at(
                self.line,
                1,
                "This is no comment.",
                "one line that begins with '#' and is no scene header",
                repr(self.text),
                "Write '# ' before each line.",
            )


@dataclass(frozen=True)
class ScriptWarning:
    """Something that is allowed and may be a slip; line and column count from 1, and are 0 without a text."""

    line: int
    column: int
    message: str

    def __str__(self):
        return (f"Line {self.line}, column {self.column}: " if self.line else "") + self.message


@dataclass(frozen=True)
class Script:
    """Turns in order, and what sounds and stands between them.

    As text it is the script it was parsed from, or else a plain one that says the same.

    Attributes:
        cues: Sound and Music, by the moment they start.
        comments: in order.
        source: the text that `parse_script` read; "" where the script was made or changed by hand.

    Raises:
        ScriptError: no turns; a cue or comment beyond the turns; music over other music; a cue whose part of a pause is
            longer than the pause.
    """

    turns: Sequence[Turn]
    cues: Sequence[Sound | Music] = ()
    comments: Sequence[Comment] = ()
    warnings: Sequence[ScriptWarning] = field(default=(), compare=False)
    source: str = field(default="", init=False, compare=False, repr=False)

    def __post_init__(self):
        cues = sorted(self.cues, key=lambda cue: (cue.turn, -cue.before_s))
        comments = sorted(self.comments, key=lambda comment: comment.turn)
        _set(self, turns=tuple(self.turns), cues=tuple(cues), comments=tuple(comments), warnings=tuple(self.warnings))
        if not self.turns:
            raise error_at(1, 1, "The script has no turns.", "a line of text", "none", "Write what is to be spoken.")
        for item in (*cues, *comments):
            if not 0 <= item.turn <= len(self.turns):
                raise error_at(
                    item.line,
                    1,
                    "This stands beyond the turns.",
                    f"turn 0 to {len(self.turns)}",
                    f"turn {item.turn}",
                    "Move it.",
                )
        self._check_cues()

    def _check_cues(self) -> None:
        playing = None
        for cue in self.cues:
            if 0 < cue.turn and cue.before_s > self.turns[cue.turn - 1].pause_s:
                raise error_at(
                    cue.line,
                    1,
                    "The cue starts before the pause that it stands in.",
                    f"{self.turns[cue.turn - 1].pause_s:g} s or less",
                    f"{cue.before_s:g} s",
                    "Lengthen the pause of the turn before.",
                )
            if not isinstance(cue, Music):
                continue
            if not cue.first <= cue.last < len(self.turns) or cue.after_s > self.turns[cue.last].pause_s:
                raise error_at(
                    cue.line,
                    1,
                    "The music ends where it cannot.",
                    f"turn {cue.first} to {len(self.turns) - 1}, and within the pause after it",
                    f"turn {cue.last} and {cue.after_s:g} s",
                    "Correct its end.",
                )
            if playing and (
                playing.last >= cue.first
                or playing.last == cue.first - 1
                and to_micro(self.turns[playing.last].pause_s - cue.before_s) < playing.after_s
            ):
                raise error_at(
                    cue.line,
                    1,
                    "Two pieces of music lie over each other.",
                    "one at a time",
                    f"'{playing.path}' and '{cue.path}'",
                    "End the first one before the second starts.",
                )
            playing = cue

    def __str__(self):
        return self.source or write_script(self)


def with_source(script: Script, source: str) -> Script:
    """The script, remembering the text that it was read from."""
    _set(script, source=source)
    return script


def _set(item, **values) -> None:
    for name, value in values.items():
        object.__setattr__(item, name, value)


def _check_times(item, **times: float) -> None:
    for name, seconds in times.items():
        if not 0 <= seconds <= LONGEST_S:
            raise error_at(
                item.line, 1, f"The {name} is out of range.", f"0 to {LONGEST_S:g} s", f"{seconds:g} s", "Shorten it."
            )


def _check_sound(cue: Sound | Music) -> None:
    if not fits_file(cue.path):
        raise error_at(
            cue.line,
            1,
            "This is not a file's name.",
            "a name without quotes and control characters",
            repr(cue.path),
            "Rename the file.",
        )
    if not RANGES["gain"][0] <= cue.gain_db <= RANGES["gain"][1]:
        raise error_at(
            cue.line,
            1,
            "The gain is out of range.",
            "{:g} to {:g} dB".format(*RANGES["gain"]),
            f"{cue.gain_db:g} dB",
            "Change it.",
        )

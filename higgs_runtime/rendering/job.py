"""What a render is given: a script, its voices, and how it is spoken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from ..choices import PromptFormat
from ..errors import SettingError, check_range
from ..script import Script, TempoLimits
from ..settings import SETTINGS, check_settings, default_of
from ..takes import Takes
from ..text.normalize import prepare_text
from ..types import Sampling, Voice
from .lines import Line, lines_of, with_carried_tags
from .slots import with_lengths


@dataclass(frozen=True, kw_only=True)
class RenderSettings:
    """How a script is rendered.

    Attributes:
        mode: "independent": each line knows its voice only, so all are spoken side by side and none drifts.
            "continuous": each line also hears the turns before it in its scene; scenes are spoken side by side.
        context_turns: in continuous mode, how many turns back a line hears at least, where there are so many; up to
            one less than twice that, so that most of what was read need not be read again.
        max_chars: turns that are longer are spoken in pieces of at most so many characters.
        takes: of each line; the best is chosen by listening to them.
        max_takes: go on until one passes, at most so many; as `takes` where nobody listens.
        takes_per_slot: of each line that has a slot, all side by side; of those that pass, the one that is nearest to
            its slot in length is kept.
        slowest, fastest: see `TempoLimits`; what is left to a slot is closed within these when lines are assembled.
        batch: lines that are spoken side by side, at most.
        language: of the script, ISO 639-1; None: any.
        read_scenes: the model reads what the script says of a scene; else scenes only part the script.
        choose: number of a line, from 1 -> the take to use, from 1, whatever is heard in it or locked. Seeds count up
            from take to take.
        silence_s: seconds of silence that end a line which the model does not end; None: only its longest does.
        prepare: turns are prepared for the model, as `prepare_text` does; else read as they are written.
        spell_numbers: figures in words, where turns are prepared.
        marks: leave out marks for the eye, where turns are prepared.
        carry_emotion: the emotion of a turn in pieces goes on from one to the next (v3).

    Raises:
        SettingError: a value out of its range.
    """

    mode: Literal["independent", "continuous"] = "independent"
    context_turns: int = default_of("context_turns")
    max_chars: int = default_of("max_chars")
    takes: int = default_of("takes")
    max_takes: int = default_of("max_takes")
    takes_per_slot: int = default_of("takes_per_slot")
    slowest: float = default_of("slowest")
    fastest: float = default_of("fastest")
    batch: int = default_of("batch")
    language: str | None = None
    read_scenes: bool = True
    choose: Mapping[int, int] = field(default_factory=dict)
    silence_s: float | None = None
    prepare: bool = default_of("prepare")
    spell_numbers: bool = default_of("spell_numbers")
    marks: bool = default_of("marks")
    carry_emotion: bool = default_of("carry_emotion")

    def __post_init__(self):
        if self.mode not in ("independent", "continuous"):
            raise SettingError(
                "There is no such mode.",
                expected="'independent' or 'continuous'",
                got=repr(self.mode),
                remedy="Choose one of these.",
            )
        check_settings(self, ("context_turns", "takes", "takes_per_slot", "slowest", "fastest", "batch"))
        SETTINGS["max_chars"].check(self.max_chars, remedy="200 to 400 suit speech.")
        if self.silence_s is not None:
            SETTINGS["silence_s"].check(self.silence_s)
        SETTINGS["max_takes"].check(self.max_takes, least=self.takes, remedy="It cannot be below `takes`.")
        for take in self.choose.values():
            check_range("choose", take, 1, 1_000_000, "Takes count from 1.")

    @property
    def tempo(self) -> TempoLimits:
        """How much slower and faster lines may be played to fit their slots."""
        return TempoLimits(self.slowest, self.fastest)


@dataclass(frozen=True, kw_only=True, eq=False)
class RenderJob:
    """A script to render.

    Attributes:
        voices: by the names of the speakers; turns without one are the Narrator's.
        sampling: of every line; a turn's own settings count before it.
        store: where takes are looked for first, and kept as soon as they are made: a render that breaks off goes on
            there. Several processes may render one script from one store; each line is spoken by one of them.
            None: nothing is kept.
    """

    script: Script
    voices: Mapping[str, Voice]
    sampling: Sampling = Sampling()
    settings: RenderSettings = RenderSettings()
    store: Takes | None = None

    def lines(self, frame_rate: float, prompt_layout: str | None) -> list[Line]:
        """What is spoken at once each, in order.

        Args:
            frame_rate: frames of codes a second, for the longest that a line may become.
            prompt_layout: turns are prepared for it, if the settings say so; None: they are read as they are written.
        """
        prepare = None
        if prompt_layout is not None and self.settings.prepare:
            how = {"spell_numbers": self.settings.spell_numbers, "marks": self.settings.marks}
            prepare = partial(prepare_text, layout=prompt_layout, **how)
        lines = lines_of(
            self.script,
            self.sampling,
            frame_rate,
            max_chars=self.settings.max_chars,
            language=self.settings.language,
            read_scenes=self.settings.read_scenes,
            prepare=prepare,
        )
        if prompt_layout == PromptFormat.V3 and self.settings.prepare:
            lines = with_carried_tags(lines, self.settings.carry_emotion)
        return with_lengths(lines, self.script, self.voices, self.settings.language)

"""Lines: what of a script is spoken at once, and what the model reads for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import groupby

from ..errors import PromptError, ScriptError
from ..prompt.builder import Message, conversation
from ..script import Script, Turn
from ..text.chunking import spoken_spans
from ..text.languages import detect_language
from ..text.normalize import PreparedText
from ..text.tags import carried
from ..types import Codes, Sampling, Voice
from ..verification import length_bounds

NARRATOR = "Narrator"  # the voice of turns without a speaker
_SAMPLED = frozenset(field.name for field in fields(Sampling))


@dataclass(frozen=True)
class Line:
    """A turn, or a piece of a long one.

    Attributes:
        number: among all lines, from 0.
        turn: index of its turn.
        text: what the model reads.
        written: the same words as their author wrote them, for people; "" for the rest of a word that was cut.
        speaker: name of the voice.
        scene: where it is spoken, in words.
        sampling: with the seed of its first take.
        warnings: of preparing its text, one sentence each.
        estimate_s: seconds that it should take, from its text and how fast its voice speaks.
        slot_s: seconds that it is to take; None: as many as it takes.
        pinned: number, from 1, of the take that a person wants; its seed is that of `sampling`. 0: any.
    """

    number: int
    turn: int
    text: str
    speaker: str
    scene: str
    sampling: Sampling
    warnings: tuple[str, ...] = ()
    written: str = ""
    estimate_s: float = 0.0
    slot_s: float | None = None
    pinned: int = 0

    def sampling_of(self, take: int) -> Sampling:
        """Settings of a take, counted from 0: each has the next seed."""
        return replace(self.sampling, seed=(self.sampling.seed + take) % 2**64)


def lines_of(
    script: Script,
    sampling: Sampling,
    frame_rate: float,
    *,
    max_chars: int,
    language: str | None = None,
    read_scenes: bool = True,
    prepare: Callable[..., PreparedText] | None = None,
) -> list[Line]:
    """The lines of a script, in order.

    A turn's own settings count before `sampling`; `take=2` is the take of the second seed. No line is longer than
    its text can take to read (see `length_bounds`), so one that does not end by itself does not run on. A turn without
    words has no line: it is silence.

    Args:
        max_chars: longer turns are spoken in pieces.
        language: of the script, for the lengths, for where pieces may end and for figures; None: any, and figures are
            read as each turn's language says, or that of the whole script where a turn is short.
        read_scenes: the model reads what the script says of a scene.
        prepare: `prepare_text` with what else it is to know; None reads turns as they are written.

    Raises:
        MissingExtraError: as `prepare_text`.
    """
    found: list[Line] = []

    @cache
    def likely() -> str:
        guess = detect_language("\n".join(turn.text for turn in script.turns))
        return guess.language if guess and guess.sure else ""

    for index, turn in enumerate(script.turns):
        prepared = PreparedText(turn.text)
        if prepare is not None:
            prepared = prepare(turn.text, language=language, likely=likely)
        spans, done = spoken_spans(prepared.text, max_chars, language), 0
        for number, (start, end) in enumerate(spans, start=1):
            text = prepared.text[start:end]
            cut = prepared.written_at(end) if number < len(spans) else len(turn.text)
            own = _sampling(turn, sampling, math.ceil(length_bounds(text, language)[1] * frame_rate))
            found.append(
                Line(
                    len(found),
                    index,
                    text,
                    turn.speaker or NARRATOR,
                    turn.scene if read_scenes else "",
                    own,
                    prepared.warnings,
                    turn.text[done:cut].strip(),
                )
            )
            done = cut
    return found


def with_carried_tags(lines: Sequence[Line], emotion: bool) -> list[Line]:
    """Lines for v3: what colours a turn goes on over its pieces, see `carried`."""
    found: list[Line] = []
    for _, pieces in groupby(lines, key=lambda line: line.turn):
        turn = list(pieces)
        texts = carried([line.text for line in turn], emotion)
        found += [replace(line, text=text) for line, text in zip(turn, texts, strict=True)]
    return found


def check_cast(script: Script, voices: Mapping[str, Voice]) -> None:
    """Raises:
    ScriptError: a speaker has no voice.
    """
    needed = dict.fromkeys(turn.speaker or NARRATOR for turn in script.turns)
    missing = [name for name in needed if name not in voices]
    if missing:
        raise ScriptError(
            "Speakers of the script have no voice.",
            expected=f"a voice each for {', '.join(needed)}",
            got=f"none for {', '.join(missing)}",
            remedy=f"Give them one, or name a voice as they are called; turns without a speaker are the {NARRATOR}'s.",
        )


def alone(line: Line, voices: Mapping[str, Voice]) -> list[Message]:
    """What is read for a line that knows of its own voice only."""
    return conversation(line.text, [voices[line.speaker]], scene=line.scene)


def in_context(
    line: Line, voices: Mapping[str, Voice], cast: Sequence[str], before: Sequence[tuple[Line, Codes]]
) -> list[Message]:
    """What is read for a line that follows others: the voices of its scene, these lines as they were spoken, it.

    Args:
        cast: the speakers of the scene, in the order of their first lines.
    """

    def tagged(one: Line) -> str:
        return f"[SPEAKER{cast.index(one.speaker)}] {one.text}" if len(cast) > 1 else one.text

    *start, asked = conversation(tagged(line), [voices[name] for name in cast], scene=line.scene)
    heard = [
        message for one, codes in before for message in (Message("user", [tagged(one)]), Message("assistant", [codes]))
    ]
    return [*start, *heard, asked]


@contextmanager
def named(line: Line, script: Script) -> Iterator[None]:
    """Errors of prompts say which line it is."""
    try:
        yield
    except PromptError as error:
        raise PromptError(
            f"{where(line, script)}: {error.what}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error


def where(line: Line, script: Script) -> str:
    """A line's place, for messages: its line in the script's text, else its number."""
    written = script.turns[line.turn].line
    return f"Line {written} of the script" if written else f"Turn {line.turn + 1}"


def scenes_of(lines: Sequence[Line], script: Script) -> list[list[Line]]:
    """The lines of each scene: those in a row that are spoken in one place."""
    found: list[list[Line]] = []
    for line in lines:
        if not found or script.turns[found[-1][-1].turn].scene != script.turns[line.turn].scene:
            found.append([])
        found[-1].append(line)
    return found


def _sampling(turn: Turn, common: Sampling, longest: int) -> Sampling:
    own = {name: value for name, value in turn.settings.items() if name in _SAMPLED}
    sampling = replace(common, **own)
    if "max_frames" not in own:
        sampling = replace(sampling, max_frames=min(sampling.max_frames, max(1, longest)))
    return replace(sampling, seed=(sampling.seed + turn.settings.get("take", 1) - 1) % 2**64)

"""Lines that have a length: how long each will take, which takes of it are tried, and which one is kept.

A slot is the time of a subtitle (`Turn.slot`), or so many seconds wherever they start (`Turn.fit_s`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from ..audio.clip import AudioClip, sound_span
from ..codec import Codec
from ..script import Script, TempoLimits
from ..text.reading_time import calm_seconds, rests_inside
from ..text.rests import rest_after
from ..text.tags import SPEEDS, TAG
from ..types import Codes, Voice
from .lines import NARRATOR, Line
from .performance import SpokenLine

PACES = (0.4, 2.5)  # seconds a voice takes for one of a calm reader: what a reference says beyond is a wrong transcript
LEAST_SHARE = 0.5  # of a slot that is speech, however long the rests between its pieces


def with_lengths(
    lines: Sequence[Line], script: Script, voices: Mapping[str, Voice], language: str | None = None
) -> list[Line]:
    """Lines with their estimates, and those of turns with a slot with what of it is theirs.

    Pieces of a turn share its slot by their estimates; the rests between them stay.
    """
    paces = {name: pace_of(voice, language) for name, voice in voices.items()}
    found: list[Line] = []
    for index, pieces in groupby(lines, key=lambda line: line.turn):
        turn = script.turns[index]
        pace = paces.get(turn.speaker or NARRATOR, 1.0)
        timed = [replace(line, estimate_s=round(_estimate(line.text, language, pace), 3)) for line in pieces]
        wanted_s = turn.wanted_s
        if wanted_s is not None:
            speech_s = speech_of_slot(wanted_s, [line.text for line in timed]) * turn.settings.get("speed", 1.0)
            whole = sum(line.estimate_s for line in timed)
            shares = [line.estimate_s / whole if whole else 1 / len(timed) for line in timed]
            timed = [
                replace(line, slot_s=round(speech_s * share, 6), pinned=int(turn.settings.get("take", 0)))
                for line, share in zip(timed, shares, strict=True)
            ]
        found += timed
    return found


def speech_of_slot(slot_s: float, texts: Sequence[str]) -> float:
    """Seconds of a slot that are speech, where a turn is spoken in these pieces."""
    return max(slot_s * LEAST_SHARE, slot_s - sum(map(rest_after, texts[:-1])))


def pace_of(voice: Voice, language: str | None = None) -> float:
    """How many seconds a voice takes for one of a calm reader, pauses left out: as in its references; 1 without any."""
    spoken_s = calm_s = 0.0
    for codes, words in voice.references:
        if calm := calm_seconds(words, language):
            spoken_s, calm_s = spoken_s + codes.seconds - rests_inside(words), calm_s + calm
    return min(max(spoken_s / calm_s, PACES[0]), PACES[1]) if calm_s else 1.0


def _estimate(text: str, language: str | None, pace: float) -> float:
    return calm_seconds(text, language) * pace + rests_inside(text)


def with_pace(line: Line, take: int, limits: TempoLimits) -> Line:
    """The line as its take of this number, from 0, is tried by a model that acts on tags of speed.

    Where tempo alone will not bring it into its slot, takes are spoken in turn with the two speeds (as it is written is
    one) that should come nearest. A line that says its speed itself keeps it. A take that a person wants is read as it
    was when it was one of several.
    """
    if line.slot_s is None or not line.estimate_s or any(match[0] in SPEEDS for match in TAG.finditer(line.text)):
        return line
    needed = line.estimate_s / line.slot_s
    if limits.slowest <= needed <= limits.fastest:
        return line
    nearest = sorted({"": 1.0, **SPEEDS}.items(), key=lambda one: abs(math.log(one[1] / needed)))
    tag, _ = nearest[(max(line.pinned, 1) - 1 + take) % 2]
    return replace(line, text=tag + line.text) if tag else line


def speech_span(codec: Codec, codes: Codes) -> tuple[AudioClip, tuple[int, int]]:
    """A take as sound, and what of it is not the silence at its ends (first sample, end)."""
    clip = codec.decode(codes)
    return clip, sound_span(clip) if bool(clip.samples.any()) else (0, clip.length)


def speech_seconds(codec: Codec | None, codes: Codes) -> float:
    """Seconds of a take without the silence at its ends; without a codec, with it."""
    if codec is None or not codes.frames:
        return codes.seconds
    clip, (start, end) = speech_span(codec, codes)
    return (end - start) / clip.sample_rate


def nearest_take(tries: Sequence[SpokenLine], slot_s: float) -> SpokenLine | None:
    """Of the takes that are right, the one whose length is nearest to its slot; None where none is."""
    heard = any(spoken.verdict is not None for spoken in tries)
    right = [spoken for spoken in tries if spoken.speech_s and (spoken.passed if heard else _whole(spoken))]
    return min(right, key=lambda spoken: abs(math.log((spoken.speech_s or slot_s) / slot_s)), default=None)


def _whole(spoken: SpokenLine) -> bool:
    return spoken.take is not None and spoken.take.finish_reason == "stop"

"""The cues of a film: where each is said, what is said there, and how well it can be heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

import torch

from ..audio.clip import AudioClip
from ..audio.quality import levels, profile
from ..audio.vad import speech_spans
from ..errors import ScriptError
from ..script import Script, Turn
from ..verification import voice_embedding
from ..verification.shape import HUSH_DBFS, loud_spans
from .film import FilmSound

MARGIN_S = 0.4  # around a cue: a reader's times are not exact, and its quiet moments tell the noise
SAME_S = 5e-6  # times of turns are whole microseconds
LEAST_SPEECH_S = 0.15  # less is no speech
SHORT_S = 0.5  # with less of it a voice says nothing at all; whole windows of the encoder are 1.6 s


@dataclass(frozen=True, eq=False)
class FilmCue:
    """A turn of the script, in the film.

    Attributes:
        number: of the turn, from 1.
        turn: what is to be spoken.
        span: (start, end) in seconds where the film says it.
        window: the same with a margin that reaches into no other cue.
        said: what the film says there; "" where nobody knows.
        name: of the speaker, as the subtitles have it; "" without one.
        company: numbers of the cues that share one subtitle, this one among them, in order; () where it is alone.
        over: others speak at the same time.
        speech_s: seconds of speech in it.
        snr_db: how far what lies behind the speech is below it.
        voice: unit vector of the speaker; None where too little is said.
        note: why its sound is not used; "" where it may be.
    """

    number: int
    turn: Turn
    span: tuple[float, float]
    window: tuple[float, float]
    said: str
    name: str
    company: tuple[int, ...] = ()
    over: bool = False
    speech_s: float = 0.0
    snr_db: float = 0.0
    voice: torch.Tensor | None = field(default=None, repr=False)
    note: str = ""

    @property
    def alone(self) -> bool:
        return not self.company and not self.over


def cues_of(script: Script, original: Script | None, film: FilmSound) -> list[FilmCue]:
    """The turns of a script that have a place in time, as cues of the film.

    Args:
        original: subtitles in the film's language, with the words that it says; None: the script's own are.

    Raises:
        ScriptError: no turn has a slot, or all of them begin behind the end of the film.
    """
    turns = [(number, turn) for number, turn in enumerate(script.turns, start=1) if turn.slot is not None]
    if not turns:
        raise ScriptError(
            "No line of the script has a place in the film.",
            expected="subtitles, or turns with [slot 1s-2.5s]",
            got=f"{len(script.turns)} turns without times",
            remedy="Load the subtitles with Load Subtitles.",
        )
    shared = _shared([turn for _, turn in turns])
    found = []
    for place, (number, turn) in enumerate(turns):
        assert turn.slot is not None
        span, said, name = turn.slot, turn.text, turn.speaker
        if original is not None:
            span, said, name = _original(turn, original)
        company = tuple(turns[other][0] for other in shared.get(place, ()))
        found.append(FilmCue(number, turn, span, span, said, name, () if original is not None else company))
    if min(cue.span[0] for cue in found) >= film.seconds:
        first = min(cue.span[0] for cue in found)
        raise ScriptError(
            "The subtitles do not belong to this film: all of them begin behind its end.",
            expected=f"a first subtitle before {film.seconds:.1f} s",
            got=f"{first:.1f} s",
            remedy="Choose the film that they were made for, or give the offset or frame rates to what reads them.",
        )
    return [_placed(cue, found, film.seconds) for cue in found]


def _original(turn: Turn, original: Script) -> tuple[tuple[float, float], str, str]:
    """Where and what the film says at a turn of the translation, and who says it."""
    assert turn.slot is not None
    start, end = turn.slot
    inside = [one for one in original.turns if one.slot and start <= sum(one.slot) / 2 < end]
    if not inside:
        at = [one for one in original.turns if one.slot and one.slot[0] <= (start + end) / 2 < one.slot[1]]
        return turn.slot, "", turn.speaker or (at[0].speaker if at else "")
    named = turn.speaker or inside[0].speaker
    mine = [one for one in inside if one.speaker in ("", named)] if not turn.speaker else inside
    times = [edge for one in mine for edge in one.slot or ()]
    return (min(times), max(times)), "\n".join(one.text for one in mine), named


def _shared(turns: Sequence[Turn]) -> dict[int, range]:
    """Places of turns that share one subtitle: they touch, and have its time by the length of their texts."""
    found: dict[int, range] = {}
    for first in range(len(turns)):
        for last in range(min(len(turns), first + 4), first + 1, -1):
            if first not in found and _one_subtitle(turns[first:last]):
                found |= dict.fromkeys(range(first, last), range(first, last))
    return found


def _one_subtitle(turns: Sequence[Turn]) -> bool:
    slots = [turn.slot for turn in turns if turn.slot is not None]
    if any(abs(one[1] - other[0]) > SAME_S for one, other in zip(slots, slots[1:], strict=False)):
        return False
    letters, seconds = sum(len(turn.text) for turn in turns), slots[-1][1] - slots[0][0]
    shares = (seconds * len(turn.text) / letters for turn in turns)
    return all(abs(share - (end - start)) < SAME_S for share, (start, end) in zip(shares, slots, strict=True))


def _placed(cue: FilmCue, cues: Sequence[FilmCue], seconds: float) -> FilmCue:
    """With its window, and whether others speak over it."""
    start, end = cue.span
    if start >= seconds:
        return replace(cue, note="it begins behind the end of the film")
    others = [one for one in cues if one is not cue and one.number not in cue.company]
    over = any(one.span[0] < end - 0.05 and one.span[1] > start + 0.05 for one in others)
    before = max((one.span[1] for one in others if one.span[1] <= start + 0.05), default=0.0)
    after = min((one.span[0] for one in others if one.span[0] >= end - 0.05), default=seconds)
    window = max(0.0, start - MARGIN_S, min(start, before)), min(seconds, end + MARGIN_S, max(end, after))
    return replace(cue, window=window, over=over)


def heard(
    cues: Sequence[FilmCue], film: FilmSound, embed: Callable[[FilmCue], bool], on_cue: Callable[[int], None]
) -> list[FilmCue]:
    """The cues with what is found in their sound, read one after the other.

    Args:
        embed: whether the voice of a cue is asked for.
        on_cue: called with the number of those done; what it raises ends the call.
    """
    spans_of = speech_spans if find_spec("faster_whisper") is not None else loud_spans
    found = []
    for done, cue in enumerate(cues, start=1):
        found.append(cue if cue.note else _heard(cue, film, spans_of, embed(cue)))
        on_cue(done)
    return found


def _heard(cue: FilmCue, film: FilmSound, spans_of, embed: bool) -> FilmCue:
    start, end = cue.window
    clip = film.part(start, end)
    level = levels(profile(clip).db)
    if not bool(clip.samples.any()) or float(level.speech) < HUSH_DBFS:
        return replace(cue, note="it is silent there")
    inner = cue.span[0] - start, min(cue.span[1], end) - start
    speech = sum(max(0.0, min(b, inner[1]) - max(a, inner[0])) for a, b in spans_of(clip))
    if speech < LEAST_SPEECH_S:
        return replace(cue, note="no speech is heard there")
    voice = None
    if embed and not cue.company:
        rate = clip.sample_rate
        alone = AudioClip(clip.samples[:, round(inner[0] * rate) : round(inner[1] * rate)], rate)
        voice = voice_embedding(alone, SHORT_S) if alone.length else None
    return replace(cue, speech_s=speech, snr_db=float(level.snr), voice=voice)

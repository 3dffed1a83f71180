"""What is said in one recording, said again in another voice: its words, in its times, as loud and soft as there.

It is performed anew, line by line; the sound of the recording is not converted, and nothing of it is in the result.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..audio.clip import AudioClip, to_mono
from ..audio.loudness.decibels import decibels
from ..audio.mix import AudioFile, Track
from ..codec import Codec
from ..errors import AudioError, ScriptError
from ..script import Script, Turn, joined, parse_script
from ..settings import SETTINGS
from ..text.reading_time import UNSPOKEN
from ..types import WordTime
from ..verification import Recognizer, Transcript, check_says, spoken_tokens, word_times
from .assemble import Assembly, assemble
from .performance import Performance

BREAK_S = 0.3  # of silence between two words: a new phrase, with a slot of its own
SENTENCE_BREAK_S = 0.12  # the same behind the end of a sentence
SHORTEST_S = 0.6  # of a phrase: a shorter one joins its neighbour, unless a longer silence parts them
APART_S = 1.0
LONGEST_CHARS = 200  # of a phrase, which is spoken in one take
_ENDS = ".!?…。！？"

OnStage = Callable[[str, float, float], None]  # stage, done, all


@dataclass(frozen=True)
class Respoken:
    """A recording, spoken again.

    Attributes:
        assembly: the lines in their places, with subtitles, words and what was done to fit each slot. Its mix is as
            long as the recording, or longer where the last line is.
        gains_db: of each line, to follow the recording's loudness.
        performance: that of the lines, whose turns have these gains: so another assembly is as loud and soft.
    """

    assembly: Assembly
    gains_db: Sequence[float]
    performance: Performance


def script_of_recording(
    clip: AudioClip,
    recognizer: Recognizer,
    *,
    text: str = "",
    language: str | None = None,
    on_stage: OnStage | None = None,
) -> Script:
    """What is said in a recording as a script: a turn for each phrase, with its times there as its slot.

    Args:
        clip: one or several people who speak one after the other.
        text: what is said, as plain text or as a script with speakers, whose turns it keeps; tags are left out. Empty:
            what is heard.
        language: ISO 639-1; None: it is heard.
        on_stage: called with ("listening", seconds heard, seconds in all) and ("aligning", 0 or 1, 1); what it raises
            ends the call.

    Raises:
        AudioError: nobody speaks in it, or it says something else than the text.
        ScriptError: the text has no words.
        SettingError, MissingExtraError: as `Recognizer.transcribe` and `word_times`.
    """
    tell = on_stage or _nobody
    given = parse_script(text) if text.strip() else None
    if clip.length == 0 or not bool(clip.samples.any()):
        raise no_speech("silence" if clip.length else "no sound at all")
    heard = recognizer.transcribe(clip, language, on_progress=lambda done, total: tell("listening", done, total))
    if not heard.words:
        raise no_speech("sound without words")
    tell("aligning", 0, 1)
    turns = given.turns if given else [Turn("", _text_of(heard))]
    code = language or heard.language or None
    tokens = [spoken_tokens(turn.text, code) for turn in turns]
    if not any(tokens) and given is None:
        raise no_speech("sound without words")
    if not any(tokens):
        raise ScriptError(
            "The text has no words.", expected="what is said", got=repr(text[:40]), remedy="Write it, or leave it out."
        )
    whole = "\n".join(turn.text for turn in turns)
    if given:
        check_says(whole, heard.words, code)
    words = word_times(clip, whole, heard=heard.words, language=code)
    found: list[Turn] = []
    place = 0
    for turn, own in zip(turns, tokens, strict=True):
        said_there = words[place : place + len(own)]  # a mark before its first word may stand with the turn above
        phrases = phrases_of([replace(word, text=token) for word, token in zip(said_there, own, strict=True)])
        for phrase, said in zip(phrases, _texts(turn.text, phrases), strict=True):
            found.append(replace(turn, text=said, slot=_slot(phrase), fit_s=None, pause_s=0.0, overlap_s=0.0, line=0))
        place += len(own)
    tell("aligning", 1, 1)
    return Script(found)


def phrases_of(words: Sequence[WordTime]) -> list[list[WordTime]]:
    """The words of one turn, cut where its speaker pauses, and before they become too many for one take."""
    found: list[list[WordTime]] = []
    for word in words:
        last = found[-1] if found else None
        rest_s = word.start_s - last[-1].end_s if last else 0.0
        closed = last is not None and last[-1].text.rstrip("\"'”’»)」』")[-1:] in _ENDS
        full = last is not None and sum(len(one.text) + 1 for one in last) > LONGEST_CHARS
        if last is None or full or rest_s >= (SENTENCE_BREAK_S if closed else BREAK_S):
            found.append([word])
        else:
            last.append(word)
    return _without_crumbs(found)


def respoken(
    clip: AudioClip,
    performance: Performance,
    codec: Codec,
    *,
    follow_db: float = SETTINGS["follow_db"].default,
    spool: str | Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Respoken:
    """The lines of a performance in the places that they have in a recording, as loud and soft as there.

    Args:
        clip: the recording.
        performance: of the script that `script_of_recording` made of it.
        follow_db: how far a line may be turned up or down, 0 to 24 dB.
        spool, on_progress: as in `assemble`.

    Raises:
        SettingError: `follow_db` out of its range.
        AudioError, MissingExtraError: as `assemble`.
    """
    SETTINGS["follow_db"].check(follow_db)
    assembly = assemble(performance, codec, spool=spool, on_progress=on_progress)
    slots = [performance.script.turns[one.line.turn].slot or (0.0, 0.0) for one in assembly.spoken]
    there = [_level(_part(clip, *slot)) for slot in slots]
    here = [_level(_loaded(track.clip)) for track in assembly.tracks[: len(slots)]]
    gains = followed(there, here, [end - start for start, end in slots], follow_db)
    tracks = [replace(track, gain_db=track.gain_db + gain) for track, gain in zip(assembly.tracks, gains, strict=True)]
    end = AudioClip(torch.zeros(1, 1), codec.sample_rate)  # so that it is as long as the recording
    tracks.append(Track(end, max(0.0, clip.seconds - end.seconds), speech=()))
    assembly = replace(assembly, tracks=tracks, stems=[*assembly.stems, assembly.stems[0]])
    return Respoken(assembly, gains, _with_gains(performance, assembly, gains))


def _with_gains(performance: Performance, assembly: Assembly, gains: Sequence[float]) -> Performance:
    """With the gains of the lines as settings of their turns; pieces of one have that of their mean."""
    turns, limits = list(performance.script.turns), SETTINGS["gain"]
    pieces: defaultdict[int, list[float]] = defaultdict(list)
    for one, gain in zip(assembly.spoken, gains, strict=True):
        pieces[one.line.turn].append(gain)
    for number, own in pieces.items():
        turn = turns[number]
        whole = turn.settings.get("gain", 0.0) + sum(own) / len(own)
        whole = min(max(whole, limits.least), limits.most)
        turns[number] = replace(turn, settings={**turn.settings, "gain": round(whole, 2)})
    return replace(performance, script=replace(performance.script, turns=turns))


def followed(there: Sequence[float], here: Sequence[float], seconds: Sequence[float], limit_db: float) -> list[float]:
    """Gains in dB by which lines are as far above and below their mean level as the phrases of the recording.

    Args:
        there, here: levels in dB of the phrases, and of the lines that say them; -inf for silence.
        seconds: how long each is.
    """
    aims, own = _around_mean(there, seconds), _around_mean(here, seconds)
    return [
        min(max(aim - level, -limit_db), limit_db) if math.isfinite(aim - level) else 0.0
        for aim, level in zip(aims, own, strict=True)
    ]


def no_speech(got: str) -> AudioError:
    """The error of a recording in which nobody speaks."""
    return AudioError(
        "Nobody speaks in the recording.", expected="speech", got=got, remedy="Check the clip, and its language."
    )


def _nobody(_stage: str, _done: float, _total: float) -> None:
    pass


def _text_of(heard: Transcript) -> str:
    return joined(WordTime(word.text, word.start_s, word.end_s) for word in heard.words)


def _without_crumbs(phrases: list[list[WordTime]]) -> list[list[WordTime]]:
    """Phrases of some length: what is too short joins the neighbour that is nearer."""
    found = list(phrases)
    place = 0
    while place < len(found):
        phrase = found[place]
        if phrase[-1].end_s - phrase[0].start_s >= SHORTEST_S or len(found) == 1:
            place += 1
            continue
        before = phrase[0].start_s - found[place - 1][-1].end_s if place else math.inf
        after = found[place + 1][0].start_s - phrase[-1].end_s if place + 1 < len(found) else math.inf
        if min(before, after) > APART_S:
            place += 1
        elif before <= after:
            found[place - 1 : place + 1] = [found[place - 1] + phrase]
        else:
            found[place : place + 2] = [phrase + found[place + 1]]
    return found


def _slot(phrase: Sequence[WordTime]) -> tuple[float, float]:
    """From its first word to its last; 0.1 s at least."""
    start = phrase[0].start_s
    return start, max(phrase[-1].end_s, start + 0.1)


def _texts(text: str, phrases: Sequence[Sequence[WordTime]]) -> list[str]:
    """What of a turn each phrase says, with the blanks of its writing; tags are left out."""
    spoken = UNSPOKEN.sub(" ", text)
    letters = [place for place, letter in enumerate(spoken) if not letter.isspace()]
    found, done = [], 0
    for phrase in phrases:
        count = sum(len("".join(word.text.split())) for word in phrase)
        found.append(spoken[letters[done] : letters[done + count - 1] + 1])
        done += count
    return found


def _part(clip: AudioClip, start_s: float, end_s: float) -> AudioClip:
    rate = clip.sample_rate
    return AudioClip(clip.samples[:, round(start_s * rate) : round(end_s * rate)], rate)


def _loaded(clip: AudioClip | AudioFile) -> AudioClip:
    return AudioClip.load(clip.path) if isinstance(clip, AudioFile) else clip


def _level(clip: AudioClip) -> float:
    """Root mean square in dB; -inf for silence."""
    return decibels(float(to_mono(clip).samples.square().mean().sqrt())) if clip.length else -math.inf


def _around_mean(levels: Sequence[float], seconds: Sequence[float]) -> list[float]:
    """Levels above the mean of those that are not silence, weighted by their lengths."""
    known = [(level, length) for level, length in zip(levels, seconds, strict=True) if math.isfinite(level)]
    whole = sum(length for _, length in known)
    mean = sum(level * length for level, length in known) / whole if whole else 0.0
    return [level - mean for level in levels]

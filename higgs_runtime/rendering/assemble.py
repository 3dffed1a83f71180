"""Spoken lines onto a time line: voices, sounds and music as one mix, with its subtitles, chapters and stems."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from ..audio.clip import AudioClip, eased
from ..audio.mix import AudioFile, Ducking, MixReport, Track, mix_to_file, mix_with_report
from ..audio.stretch import change_tempo, rubber_band
from ..codec import Codec
from ..errors import AudioError, ScriptError
from ..script import Music, Script, resolve_cue
from ..takes import Take
from ..text.languages import sure_language
from ..types import WordTime
from ..verification import line_times
from .fits import FitRow, fit_rows, troubles
from .moves import EASE_S, Move, move_lines
from .performance import Performance, SpokenLine
from .slots import speech_span
from .timing import Timed, time_lines

MUSIC, SOUNDS = "music", "sounds"  # the stems of what is no speaker
OPENING = "Opening"  # the chapter before the first scene header


@dataclass(frozen=True, eq=False)
class Assembly:
    """A performance on a time line. Nothing is mixed until it is asked for.

    Attributes:
        tracks: voices, sounds and music.
        stems: whose each track is: a speaker, "sounds" or "music".
        spoken, times: each spoken line and its place.
        cut_s: seconds of silence that each line's take lost at its beginning.
        planned: where each line would be that nobody moved.
        chapters: (start in seconds, title) of each scene; none for a script without scenes.
        warnings: one sentence each.
        fits: how each turn with a slot got into it; none of those that were moved.
    """

    tracks: Sequence[Track]
    stems: Sequence[str]
    script: Script
    spoken: Sequence[SpokenLine]
    times: Sequence[Timed]
    cut_s: Sequence[float]
    chapters: Sequence[tuple[float, str]]
    warnings: Sequence[str] = ()
    planned: Sequence[Timed] = ()
    fits: Sequence[FitRow] = ()

    def mix(self, spool: str | os.PathLike | None = None) -> MixReport[AudioClip]:
        """All of it; see `mix_with_report`."""
        return mix_with_report(self.tracks, spool=spool)

    def mix_to(self, path: str | os.PathLike) -> MixReport[AudioFile]:
        """All of it into a file, in little memory; see `mix_to_file`."""
        return mix_to_file(self.tracks, path)

    def stem(self, name: str) -> AudioClip:
        """One speaker, the sounds or the music alone, as long as the mix.

        Raises:
            ScriptError: there is no such stem.
        """
        if name not in self.stems:
            raise ScriptError(
                f"There is no stem '{name}'.",
                expected=", ".join(dict.fromkeys(self.stems)),
                got=name,
                remedy="Name one of them.",
            )
        muted = [replace(track, mute=stem != name) for track, stem in zip(self.tracks, self.stems, strict=True)]
        return mix_with_report(muted).clip

    def subtitles(self) -> list[tuple[float, float, str, str]]:
        """(start, end, speaker, text as its author wrote it) of each line, for `write_subtitles`."""
        return [
            (time.start_s, time.end_s, self.script.turns[one.line.turn].speaker, one.line.written)
            for one, time in zip(self.spoken, self.times, strict=True)
        ]

    def words(
        self, language: str | None = None, *, on_progress: Callable[[int, int], None] | None = None
    ) -> list[WordTime]:
        """Every word as its author wrote it, with its place on the time line.

        The verifier has heard the takes already: what it heard is used where there is a verdict.

        Args:
            language: of the script, ISO 639-1; None: what its text looks like, else English.
            on_progress: called with (lines done, lines in all); what it raises ends the call.

        Raises:
            MissingExtraError: see `word_times`.
        """
        code, found = language or sure_language("\n".join(turn.text for turn in self.script.turns)) or "en", []
        for n, (one, time) in enumerate(zip(self.spoken, self.times, strict=True)):
            turn = self.script.turns[one.line.turn]
            heard = one.verdict.words if one.verdict and one.verdict.words else None
            if heard:
                speed = float(turn.settings.get("speed", 1.0)) * time.speed
                heard = [word.moved(-self.cut_s[n], 1 / speed) for word in heard]
            words = line_times(_whole(self.tracks[n].clip), one.line.written, heard=heard, language=code)
            about = {"line": one.line.number, "speaker": turn.speaker}
            for word in words:
                placed = word.moved(time.start_s - self.tracks[n].trim_start_s)
                if time.start_s <= (placed.start_s + placed.end_s) / 2 <= time.end_s:  # else it was trimmed away
                    start, end = max(placed.start_s, time.start_s), min(placed.end_s, time.end_s)
                    found.append(replace(placed, start_s=start, end_s=end, **about))
            if on_progress is not None:
                on_progress(n + 1, len(self.spoken))
        return found

    def chapters_text(self) -> str:
        """The chapters as lines of `h:mm:ss.mmm Title`, as `parse_chapters` reads them."""
        return "\n".join(f"{_clock(start)} {title}" for start, title in self.chapters)

    def timeline(self) -> dict:
        """All that is known of it, as JSON."""
        fits = {row.turn: row.as_json() for row in self.fits}
        lines = [
            {
                "line": one.line.number + 1,
                "turn": one.line.turn + 1,
                "speaker": one.line.speaker,
                "text": one.line.written,
                "read": one.line.text,
                "start_s": round(time.start_s, 6),
                "end_s": round(time.end_s, 6),
                "speed": round(time.speed, 4),
                "seed": _take(one).seed,
                "take": one.key,
                "note": time.note,
                "fit": fits.get(one.line.turn),
            }
            for one, time in zip(self.spoken, self.times, strict=True)
        ]
        others = [
            {
                "kind": stem,
                "start_s": round(track.start_s, 6),
                "seconds": round(track.heard_s, 6),
                "gain_db": track.gain_db,
            }
            for track, stem in zip(self.tracks, self.stems, strict=True)
            if stem in (MUSIC, SOUNDS)
        ]
        chapters = [{"start_s": round(start, 6), "title": title} for start, title in self.chapters]
        return {"lines": lines, "cues": others, "chapters": chapters, "warnings": list(self.warnings)}


def check_assembly(script: Script, folders: Iterable[str | Path] = ()) -> list[Path]:
    """Before the long work: the files of a script's cues.

    Raises:
        ScriptError: the file of a cue is missing, or outside of the folders.
        MissingExtraError: a turn has another speed, or a slot that its line may have to be fitted to (extra `sound`).
    """
    if any(turn.wanted_s is not None for turn in script.turns):  # their lengths are known only later
        rubber_band("Fitting lines into their slots")
    return _cue_files(script, folders)


def _cue_files(script: Script, folders: Iterable[str | Path]) -> list[Path]:
    """The files of a script's cues; in passing, that what is sure to be stretched can be."""
    if any(float(turn.settings.get("speed", 1.0)) != 1 for turn in script.turns):
        rubber_band()
    folders = list(folders)
    return [resolve_cue(cue.path, folders) for cue in script.cues]


def assemble(
    performance: Performance,
    codec: Codec,
    folders: Iterable[str | Path] = (),
    *,
    moves: Sequence[Move] = (),
    spool: str | Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Assembly:
    """Decode the takes of a performance and lay them on a time line.

    Silence at both ends of a take is cut; then a turn's speed and gain are applied. Lines without a take are left out,
    with a warning.

    Args:
        folders: where the files of cues are looked for.
        moves: lines that a person has moved or trimmed; subtitles, words, chapters and sounds follow them.
        spool: a folder for the decoded lines, so that they need not be in memory together; they are read when the
            mix is made.
        on_progress: called with (lines decoded, lines in all); what it raises ends the call.

    Raises:
        AudioError: no line was spoken; a sound file cannot be read.
        ScriptError: the file of a cue is missing, or outside of the folders.
        MissingExtraError: a line has another speed (extra `sound`).
    """
    script = performance.script
    cues = [(cue, AudioFile(path)) for cue, path in zip(script.cues, _cue_files(script, folders), strict=True)]
    spoken = [one for one in performance.lines if one.take is not None and one.take.codes.frames]
    if not spoken:
        raise AudioError(
            "There is nothing to assemble.", expected="spoken lines", got="none", remedy="Render the script first."
        )
    clips, cut_s = [], []
    for n, one in enumerate(spoken):
        clip, cut = _clip(one, script, codec)
        clips.append(_kept(clip, spool, n))
        cut_s.append(cut)
        if on_progress is not None:
            on_progress(n + 1, len(spoken))
    turns = [one.line.turn for one in spoken]
    texts, seconds = [one.line.text for one in spoken], [clip.seconds for clip in clips]
    planned = time_lines(script, turns, texts, seconds, performance.tempo)
    for n, time in enumerate(planned):
        if time.speed != 1:
            clips[n] = _kept(eased(change_tempo(_whole(clips[n]), time.speed)), spool, n)
    moved = move_lines(moves, spoken, planned, [clip.seconds for clip in clips])
    times, tracks, stems = moved.times, [], []
    fits = fit_rows(performance, spoken, times)
    for clip, one, time, trims in zip(clips, spoken, times, moved.trims, strict=True):
        gain = float(script.turns[one.line.turn].settings.get("gain", 0.0))
        tracks.append(_line_track(clip, time, gain, trims))
        stems.append(one.line.speaker)
    for cue, file in cues:
        tracks.append(_cue_track(cue, file, turns, times))
        stems.append(MUSIC if isinstance(cue, Music) else SOUNDS)
    return Assembly(
        tracks,
        stems,
        script,
        spoken,
        times,
        cut_s,
        _chapters(script, turns, times),
        (*_warnings(performance, spoken), *map(str, troubles(fits)), *moved.warnings),
        planned,
        fits,
    )


def _clock(seconds: float) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60}:{minutes % 60:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _take(spoken: SpokenLine) -> Take:
    assert spoken.take is not None  # lines without one are not in an assembly
    return spoken.take


def _clip(spoken: SpokenLine, script: Script, codec: Codec) -> tuple[AudioClip, float]:
    """A line as it is heard, and how many seconds of silence its take lost at its beginning."""
    clip, (start, end) = speech_span(codec, _take(spoken).codes)
    speech = eased(AudioClip(clip.samples[:, start:end], clip.sample_rate))
    speed = float(script.turns[spoken.line.turn].settings.get("speed", 1.0))
    return eased(change_tempo(speech, speed)), start / clip.sample_rate


def _kept(clip: AudioClip, spool: str | Path | None, number: int) -> AudioClip | AudioFile:
    """The clip in memory, or as a file in the spool."""
    if spool is None:
        return clip
    path = Path(spool, f"line-{number:06}.wav")
    clip.save(path, subtype="FLOAT")
    return AudioFile(path)


def _line_track(clip: AudioClip | AudioFile, time: Timed, gain_db: float, trims: tuple[float, float]) -> Track:
    ease = min(EASE_S, (clip.seconds - sum(trims)) / 2)
    fades = [ease if trim else 0.0 for trim in trims]
    return Track(
        clip,
        time.start_s,
        gain_db,
        fade_in_s=fades[0],
        fade_out_s=fades[1],
        trim_start_s=trims[0],
        trim_end_s=trims[1],
        speech=((0.0, clip.seconds),),
    )


def _whole(clip: AudioClip | AudioFile) -> AudioClip:
    return AudioClip.load(clip.path) if isinstance(clip, AudioFile) else clip


def _cue_track(cue, file: AudioFile, turns: Sequence[int], times: Sequence[Timed]) -> Track:
    start = max(0.0, _start(cue.turn, turns, times) - cue.before_s)
    if not isinstance(cue, Music):
        return Track(file, start, cue.gain_db, speech=())
    under = [time.end_s for turn, time in zip(turns, times, strict=True) if cue.first <= turn <= cue.last]
    end = max(under, default=start)
    length = max(end + cue.after_s - start, 1 / file.sample_rate)
    fade = min(cue.fade_s, length / 2)
    return Track(
        file,
        start,
        cue.gain_db,
        fade_in_s=fade,
        fade_out_s=fade,
        fade_shape="equal_power",
        loop_s=length,
        duck=Ducking() if cue.duck else None,
        speech=(),
    )


def _start(turn: int, turns: Sequence[int], times: Sequence[Timed]) -> float:
    """When a turn starts; one that is not spoken when the next does, behind the last one the end."""
    following = next((one for one in turns if one >= turn), None)  # a later one may have been moved before it
    starts = [time.start_s for one, time in zip(turns, times, strict=True) if one == following]
    return min(starts) if starts else max(time.end_s for time in times)


def _chapters(script: Script, turns: Sequence[int], times: Sequence[Timed]) -> list[tuple[float, str]]:
    if not any(turn.scene for turn in script.turns):
        return []
    found: list[tuple[float, str]] = []
    scenes = groupby(zip(turns, times, strict=True), key=lambda one: script.turns[one[0]].scene or OPENING)
    for title, lines in scenes:
        found.append((min(time.start_s for _, time in lines), title))
    found.sort(key=lambda chapter: chapter[0])  # slots, and lines that were moved, need not be in order
    return [one for n, one in enumerate(found) if not n or _clock(one[0]) != _clock(found[n - 1][0])]


def _warnings(performance: Performance, spoken: Sequence[SpokenLine]) -> Iterable[str]:
    left_out = [str(one.line.number + 1) for one in performance.lines if one not in spoken]
    if left_out:
        yield f"Not spoken, and left out: line {', '.join(left_out)}."

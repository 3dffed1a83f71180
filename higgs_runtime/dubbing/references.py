"""Every line in its own actor's voice: references out of the film that is dubbed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from ..audio.clip import AudioClip
from ..codec import Codec
from ..errors import MissingExtraError, SettingError, check_range
from ..rendering import NARRATOR
from ..script import Script
from ..text.languages import base_language, detect_language
from ..types import Voice
from ..verification import Recognizer, voice_comparer
from ..voices import Piece, encode_reference, joined_reference
from ..voices.reference import PreparedReference
from .cues import FilmCue, cues_of, heard
from .film import FilmSound
from .pieces import Cutter
from .speakers import BY_VOICE, GUESSED, who_speaks
from .table import Row, parse_corrections, table_of

OWN_S = 1.0  # a cue with less speech borrows its speaker's voice
MOST_MISSES = 12  # cues of a speaker that are tried in vain, before it is left at what there is
OnProgress = Callable[[int, int], None]
_V = TypeVar("_V")


@dataclass(frozen=True, kw_only=True)
class ReferenceSettings:
    """How references are made.

    Attributes:
        each: "speaker": one voice for each; "cue": one for each cue with 1 s of speech, so that its feeling is heard.
        min_s, max_s: seconds of a speaker's reference; less only where the film has no more.
        language: of the film, ISO 639-1; None: the recognizer finds out.
        count: speakers among the cues without a name; 0: as many as are found.

    Raises:
        SettingError: a value out of its range.
    """

    each: Literal["speaker", "cue"] = "speaker"
    min_s: float = 5.0
    max_s: float = 15.0
    language: str | None = None
    count: int = 0

    def __post_init__(self):
        if self.each not in ("speaker", "cue"):
            raise SettingError(
                "There is no such kind of reference.",
                expected="'speaker' or 'cue'",
                got=repr(self.each),
                remedy="Choose one of these.",
            )
        check_range("max_s", self.max_s, 2.0, 60.0, "5 to 15 s suit a voice.")
        check_range("min_s", self.min_s, 1.0, self.max_s, "It cannot be above the longest.")
        check_range("count", self.count, 0, 100, "0: as many as are found.")


@dataclass(frozen=True, eq=False)
class FilmReferences:
    """Voices of a film, and the script whose speakers they are.

    Attributes:
        script: every turn with the name of its speaker; with voices for each cue, one that has its own is called by its
            number too, as "Anna 12".
        clips: speaker -> the reference clip and its words; none for a speaker whom the film does not let hear.
        voices: speaker -> voice, where a codec was given.
        rows: the table of cues, by the speakers' own names.
        notes: one sentence each.
        plain: own names of cues, as "Anna 12" -> the speaker's; none with one voice for each speaker.
    """

    script: Script
    clips: Mapping[str, PreparedReference]
    voices: Mapping[str, Voice]
    rows: Sequence[Row]
    notes: Sequence[str]
    plain: Mapping[str, str] = field(default_factory=dict)

    def in_place(self, voices: Mapping[str, _V]) -> dict[str, _V]:
        """Voices that are given for speakers, whatever the case, also for their cues that have one of their own."""
        given = {name.casefold(): voice for name, voice in voices.items()}
        cues = {own: given[name.casefold()] for own, name in self.plain.items() if name.casefold() in given}
        done = {self.plain[own].casefold() for own in cues} - {turn.speaker.casefold() for turn in self.script.turns}
        return {**cues, **{name: voice for name, voice in voices.items() if name.casefold() not in done}}

    def table(self) -> str:
        """A line for each cue, as `corrections` are written."""
        return table_of(self.rows)

    def report(self) -> str:
        """The voices, and the notes."""
        lines = [
            f"{name}: {one.clip.seconds:.1f} s, {one.report.snr_db:.0f} dB above what lies behind it: "
            f"{one.transcript or '(no words)'}"
            for name, one in self.clips.items()
        ]
        return "\n".join([*lines, *self.notes])


def film_references(
    film: FilmSound,
    script: Script,
    codec: Codec | None = None,
    *,
    original: Script | None = None,
    recognizer: Recognizer | None = None,
    settings: ReferenceSettings = ReferenceSettings(),
    corrections: str = "",
    on_progress: OnProgress | None = None,
) -> FilmReferences:
    """Find a reference for each speaker of subtitles in the sound of their film.

    Who speaks is told by the names of the turns, by `corrections`, and else by the voices themselves (extra
    `similarity`). The clearest cues of a speaker, cut at their words, make a reference of `min_s` to `max_s` seconds,
    each followed by its own quiet. Only the parts of the film that are asked for are read, one at a time.

    Args:
        script: what is to be spoken, its turns with slots.
        codec: encodes the references; None: clips alone.
        original: subtitles in the film's language, where the script is a translation: references have their words.
        recognizer: hears where words stand, and whether the film says them.
        corrections: see `parse_corrections`.
        on_progress: called with (steps done, steps in all); what it raises ends the call.

    Raises:
        ScriptError: no turn has a slot, all begin behind the end of the film, or a correction that cannot be used.
        AudioError: the film cannot be read.
        SettingError: the recognizer does not know the language.
    """
    said = parse_corrections(corrections, len(script.turns))
    cues = cues_of(script, original, film)
    unnamed = {cue.number for cue in cues if not cue.name and cue.number not in said.cues}
    compare, notes = bool(unnamed), []
    if unnamed:
        try:
            voice_comparer()
        except MissingExtraError as error:
            compare = False
            notes.append(f"{len(unnamed)} cues have no name, and are taken for one speaker: {error}")
    total = 2 * len(cues)
    tell = _Steps(on_progress, total)
    cues = heard(cues, film, lambda _cue: compare, tell)
    spoken = who_speaks(cues, said, settings.count, compare)
    written = _language(cues) if recognizer is None else None
    maker = _Maker(cues, Cutter(film, recognizer, settings.language, settings.language or written), settings, tell)
    clips: dict[str, PreparedReference] = {}
    speakers = list(dict.fromkeys(name for name, _ in spoken))
    for number, name in enumerate(speakers):
        mine = [cue for cue, (who, _) in zip(cues, spoken, strict=True) if who == name]
        if (made := maker.of_speaker(name, mine)) is not None:
            clips[name] = made
        tell(len(cues) + (number + 1) * len(cues) // (len(speakers) * (1 + (settings.each == "cue"))))
    names = {cue.number: name for cue, (name, _) in zip(cues, spoken, strict=True)}
    plain: dict[str, str] = {}
    taken = {name.casefold() for name in (*speakers, *(turn.speaker for turn in script.turns))}
    if settings.each == "cue":
        for done, cue in enumerate(cues, start=1):
            if (made := maker.of_cue(cue)) is not None:
                own = _own_name(names[cue.number], cue.number, taken)
                clips[own], plain[own], names[cue.number] = made, names[cue.number], own
            tell(total - len(cues) // 2 + done * (len(cues) // 2) // len(cues))
        used = set(names.values())
        clips = {name: one for name, one in clips.items() if name in used}
    voices = {name: _voice(one, codec, tell) for name, one in clips.items()} if codec is not None else {}
    turns = [
        replace(turn, speaker=names.get(number, turn.speaker or NARRATOR))
        for number, turn in enumerate(script.turns, start=1)
    ]
    rows = [
        Row(cue.number, *cue.span, who, how, cue.turn.text, maker.notes.get(cue.number, cue.note))
        for cue, (who, how) in zip(cues, spoken, strict=True)
    ]
    notes += [*maker.said, *_notes(cues, spoken, film)]
    tell(total)
    return FilmReferences(replace(script, turns=turns), clips, voices, rows, notes, plain)


class _Steps:
    """Tells how far it is, which never goes back; called between the cues of a step too, where it may end the work."""

    def __init__(self, told: OnProgress | None, total: int):
        self._told, self._total, self._done = told, total, 0

    def __call__(self, done: int = 0) -> None:
        self._done = max(self._done, done)
        if self._told is not None:
            self._told(self._done, self._total)


class _Maker:
    """Makes references; `notes` on cues and what is `said` of speakers grow."""

    def __init__(self, cues: Sequence[FilmCue], cutter: Cutter, settings: ReferenceSettings, tell: _Steps):
        self._tell = tell
        self._cues, self._cutter, self._settings = {cue.number: cue for cue in cues}, cutter, settings
        self._cut: dict[int, Piece | None] = {}
        self.notes: dict[int, str] = {}
        self.said: list[str] = []

    def of_speaker(self, name: str, cues: Sequence[FilmCue]) -> PreparedReference | None:
        """Of the clearest of these cues; None where there is nothing to hear."""
        wanted = (self._settings.min_s + self._settings.max_s) / 2
        usable = sorted((cue for cue in cues if cue.speech_s), key=_clearness, reverse=True)
        taken: dict[int, Piece] = {}
        misses = 0
        for cue in usable:
            seconds = sum(piece.clip.seconds for piece in taken.values())
            crowded = not cue.alone and taken  # of a cue with others in it only where there is no other
            if seconds >= wanted or misses >= MOST_MISSES or (crowded and seconds >= OWN_S):
                break
            if seconds + min(cue.speech_s, self._settings.max_s) > self._settings.max_s and seconds >= OWN_S:
                continue
            piece = self._piece(cue, self._settings.max_s - seconds)
            misses += piece is None
            if piece is not None and seconds + piece.clip.seconds <= self._settings.max_s + 0.5:
                taken[cue.number] = piece
        if not taken:
            self.said.append(f"{name}: nothing in the film lets hear this voice; give one by the name.")
            return None
        if any(piece.text for piece in taken.values()):  # words of a part would be taken for those of the whole
            taken = {number: piece for number, piece in taken.items() if piece.text}
        made = joined_reference([taken[number] for number in sorted(taken)])
        seconds = sum(piece.clip.seconds for piece in taken.values())
        which = ", ".join(map(str, sorted(taken)))
        if seconds < self._settings.min_s:
            self.said.append(f"{name}: only {seconds:.1f} s can be had (cue {which}).")
        crowd = [str(number) for number in sorted(taken) if not self._cues[number].alone]
        if crowd:
            self.said.append(f"{name}: others may be heard in the reference (cue {', '.join(crowd)}).")
        self.said += [f"{name} (cue {which}): {note}" for note in made.report.warnings]
        return made

    def of_cue(self, cue: FilmCue) -> PreparedReference | None:
        """Of this cue alone; None where its speaker's voice is to be used."""
        if cue.speech_s < OWN_S or not cue.alone:
            return None
        piece = self._piece(cue, self._settings.max_s)
        return joined_reference([piece]) if piece is not None and piece.clip.seconds >= OWN_S and piece.text else None

    def _piece(self, cue: FilmCue, longest_s: float) -> Piece | None:
        if cue.number not in self._cut or longest_s > self._settings.max_s - 0.01:
            company = [self._cues[number] for number in cue.company if number in self._cues] or [cue]
            self._tell()
            self._cut[cue.number], note = self._cutter.cut(cue, company, longest_s)
            if note:
                self.notes[cue.number] = note
        return self._cut[cue.number]


def _own_name(speaker: str, number: int, taken: Collection[str]) -> str:
    """What a cue with a voice of its own calls its speaker; a "Guard 2" of the film is somebody else.

    Args:
        taken: names of the film, in small letters.
    """
    own = f"{speaker} {number}"
    while own.casefold() in taken:
        own += " again"
    return own


def _clearness(cue: FilmCue) -> float:
    """Cues without others in them first; then those with the longest and clearest speech."""
    return min(cue.snr_db, 40.0) + 20 * min(1.0, cue.speech_s / 4) - 100 * (not cue.alone)


def _voice(made: PreparedReference, codec: Codec, tell: _Steps) -> Voice:
    tell()
    clip: AudioClip = made.clip
    return Voice(encode_reference(clip, codec), made.transcript)


def _language(cues: Sequence[FilmCue]) -> str | None:
    """Of the subtitles, where it is sure."""
    try:
        guess = detect_language("\n".join(cue.said for cue in cues))
    except MissingExtraError:
        return None
    return base_language(guess.language) if guess and guess.sure else None


def _notes(cues: Sequence[FilmCue], spoken: Sequence[tuple[str, str]], film: FilmSound) -> list[str]:
    """What is to be said of the cues as a whole."""
    notes, faults = [], {}
    for cue in cues:
        if cue.note:
            faults.setdefault(cue.note, []).append(cue.number)
    for why, numbers in faults.items():
        notes.append(f"Cue {_some(numbers)}: {why}; the line is spoken in its speaker's voice.")
    beyond = [cue.number for cue in cues if cue.span[0] < film.seconds < cue.span[1] - 0.5]
    if beyond:
        notes.append(f"Cue {_some(beyond)} ends behind the film, which has {film.seconds:.1f} s.")
    by_voice = sorted({name for name, how in spoken if how == BY_VOICE})
    if by_voice:
        notes.append(f"Told by their voices alone: {', '.join(by_voice)}. Look at the table of cues.")
    guessed = [cue.number for cue, (_, how) in zip(cues, spoken, strict=True) if how == GUESSED]
    if guessed:
        notes.append(f"Nothing tells who speaks cue {_some(guessed)}: look at the table of cues.")
    return notes


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:12])) + (f" and {len(numbers) - 12} more" if len(numbers) > 12 else "")

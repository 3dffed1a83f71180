"""Who speaks whom: a voice for each speaker of a script, by name where there is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..codec import Codec
from ..hub import embedded_voices
from ..script import Script
from ..types import Voice
from ..voices import find_voices, load_source, load_voice
from .lines import NARRATOR, check_cast


@dataclass(frozen=True, eq=False)
class Cast:
    """The voices of a script.

    Attributes:
        voices: by the names of the speakers.
        sources: where each is from, in words.
        warnings: one sentence each on voices that nobody has.
    """

    voices: Mapping[str, Voice]
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def __str__(self):
        return "\n".join(f"{name}: {source}" for name, source in self.sources.items())


def cast_voices(
    script: Script,
    named: Mapping[str, Voice],
    unnamed: Mapping[int, Voice] | None = None,
    *,
    roots: Iterable[str | Path] = (),
    codec: Codec | None = None,
) -> Cast:
    """Give each speaker a voice, the first that there is of these:

    1. one that is named as the speaker (turns without one are the Narrator's), whatever the case;
    2. unnamed number n for the speaker SPEAKERn;
    3. a voice of the library that is called so;
    4. with a codec, a voice of the pack (rose, ross, alan, bear) that is called so;
    5. the next unnamed one, by number, for speakers in the order in which they first speak.

    Args:
        roots: models folders, whose `voices` are the library.
        codec: encodes the clips of the pack's voices.

    Raises:
        ScriptError: a speaker has no voice.
        VoiceError: the file of the library is damaged.
    """
    speakers = list(dict.fromkeys(turn.speaker or NARRATOR for turn in script.turns))
    left, found, sources = dict(sorted((unnamed or {}).items())), {}, {}

    def give(speaker: str, voice: Voice, source: str) -> None:
        found[speaker], sources[speaker] = voice, source

    given, library = _by_name(named), _by_name(find_voices(roots))
    pack = _by_name(embedded_voices())
    for speaker in speakers:
        number = speaker.casefold().removeprefix("speaker")
        if (voice := _called(speaker, given)) is not None:
            give(speaker, voice[1], f"the voice named {voice[0]}")
        elif number != speaker.casefold() and number.isdecimal() and int(number) in left:
            give(speaker, left.pop(int(number)), f"voice {int(number)}")
        elif (voice := _called(speaker, library)) is not None:
            give(speaker, load_voice(voice[1])[0], f"{voice[0]} of the library")
        elif codec is not None and (voice := _called(speaker, pack)) is not None:
            give(speaker, load_source(voice[1], codec), f"{voice[0]} of the pack")
    for speaker in speakers:
        if speaker not in found and left:
            number = next(iter(left))
            give(speaker, left.pop(number), f"voice {number}, the next without a name")
    check_cast(script, found)
    used = {name for speaker in speakers if (voice := _called(speaker, given)) for name in [voice[0]]}
    spare = [f"'{name}'" for name in named if name not in used] + [f"number {number}" for number in left]
    warnings = (f"Nobody in the script has the voice {', '.join(spare)}.",) if spare else ()
    return Cast(found, {speaker: sources[speaker] for speaker in speakers}, warnings)


def _by_name(items: Mapping) -> dict[str, tuple]:
    """Names as they are and in small letters -> (name, item); exact ones count more."""
    small = {name.casefold(): (name, item) for name, item in items.items()}
    return {**small, **{name: (name, item) for name, item in items.items()}}


def _called(speaker: str, items: Mapping[str, tuple]):
    return items.get(speaker) or items.get(speaker.casefold())

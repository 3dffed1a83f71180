"""Who speaks which cue: as the subtitles or a person say, else by whose voice it sounds like."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from string import ascii_uppercase

import torch

from ..rendering import NARRATOR
from ..verification.speaker import LEAST_S
from .cues import FilmCue
from .table import Corrections

# Cosine: cues of two seconds of one speaker lie at 0.75 and more from each other, longer ones above 0.8; those of two
# speakers at 0.5 to 0.75.
SAME_VOICE = 0.76
CORRECTED, NAMED, BY_VOICE, GUESSED = "corrected", "named", "voice", "guessed"


def who_speaks(cues: Sequence[FilmCue], corrections: Corrections, count: int, compare: bool) -> list[tuple[str, str]]:
    """(speaker, known by) of each cue.

    Cues without a name go to the named speaker that they sound like; those that sound like none are put together by
    their voices (average linkage) and called Voice A, Voice B and so on. A cue too short to tell has the speaker of the
    cue before; without comparing, it is the Narrator's.

    Args:
        count: how many speakers there are among the cues without a name; 0: as many as are found.
        compare: voices were asked for.
    """
    found = {n: (cue.name, NAMED) for n, cue in enumerate(cues) if cue.name}
    told = corrections.cues
    found |= {n: (told[cue.number], CORRECTED) for n, cue in enumerate(cues) if cue.number in told}
    open_places = [n for n in range(len(cues)) if n not in found]
    if compare and open_places:
        found |= _by_voice(cues, found, open_places, count)
    before = next((name for _, (name, _) in sorted(found.items())), NARRATOR)
    spoken = []
    for n, cue in enumerate(cues):
        name, how = found.get(n, (before if compare else NARRATOR, GUESSED))
        before = name
        corrected = corrections.of(cue.number, name)
        spoken.append((corrected, CORRECTED) if corrected is not None else (name, how))
    return spoken


def _by_voice(cues: Sequence[FilmCue], known: dict, places: Sequence[int], count: int) -> dict[int, tuple[str, str]]:
    found: dict[int, tuple[str, str]] = {}
    named: dict[str, list[torch.Tensor]] = {}
    for n, (name, _) in known.items():
        if (voice := cues[n].voice) is not None and cues[n].speech_s >= LEAST_S:
            named.setdefault(name, []).append(voice)
    centres = {name: _mean(voices) for name, voices in named.items()}
    voiced = [(n, voice) for n in places if (voice := cues[n].voice) is not None]
    left = []
    for n, voice in voiced:
        name, alike = _nearest(voice, centres)
        if name and alike >= SAME_VOICE:
            found[n] = name, BY_VOICE
        else:
            left.append((n, voice))
    clear = [(n, voice) for n, voice in left if cues[n].speech_s >= LEAST_S] or left
    groups = _groups([voice for _, voice in clear], count)
    letters = {}
    for (n, _), group in zip(clear, groups, strict=True):
        number = letters.setdefault(group, len(letters))
        found[n] = _letter(number, {name for name, _ in known.values()}), BY_VOICE
    for number in sorted(set(letters.values())):
        name = _letter(number, {name for name, _ in known.values()})
        centres[name] = _mean([voice for n, voice in clear if found[n][0] == name])
    for n, voice in left:
        if n not in found:  # too short to found a group of its own
            found[n] = _nearest(voice, centres)[0], BY_VOICE
    return found


def _groups(voices: Sequence[torch.Tensor], count: int) -> list[int]:
    """The group of each voice."""
    if len(voices) < 2:
        return [1] * len(voices)
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(torch.stack(list(voices)).double().numpy(), "average", "cosine")
    if count:
        return fcluster(tree, count, "maxclust").tolist()
    return fcluster(tree, 1 - SAME_VOICE, "distance").tolist()


def _nearest(voice: torch.Tensor, centres: dict[str, torch.Tensor]) -> tuple[str, float]:
    alike = ((name, float(voice @ centre)) for name, centre in centres.items())
    return max(alike, key=lambda one: one[1], default=("", -1.0))


def _mean(voices: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.stack(list(voices)).mean(0), dim=0)


def _letter(number: int, taken: set[str]) -> str:
    """Voice A, Voice B … Voice Z, Voice 27; none that the subtitles themselves have."""
    names = (f"Voice {ascii_uppercase[n] if n < 26 else n + 1}" for n in range(10_000))
    return next(islice((one for one in names if one not in taken), number, None))

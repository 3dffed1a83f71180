"""What is heard under a dub: the film's own sound, kept low, or a bed without its voices."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from ..audio.mix import Ducking, Track
from ..errors import check_range
from ..rendering import Assembly
from .film import FilmSound

BED = "film"  # the stem
DEPTH_DB = 18.0  # so far down the original voices are heard below the new ones, as in a voice-over


@dataclass(frozen=True, kw_only=True)
class Bed:
    """What is under the lines.

    Attributes:
        sound: music and effects without voices, from the film's beginning on; None: the film's own sound.
        depth_db: how far the film's own sound goes down while a line is spoken; a bed without voices stays as it is.

    Raises:
        SettingError: a depth out of its range.
    """

    sound: FilmSound | None = None
    depth_db: float = DEPTH_DB

    def __post_init__(self):
        check_range("depth_db", self.depth_db, 0.0, 80.0, "18 dB suits a voice-over.")


def with_bed(assembly: Assembly, bed: Bed, film: FilmSound, folder: str | os.PathLike) -> Assembly:
    """An assembly over its bed, which begins where it begins in the film.

    Args:
        folder: where a video's sound is decoded to; it has to last until the mix is made.

    Raises:
        AudioError: the sound cannot be read.
    """
    sound, depth_db = (bed.sound, 0.0) if bed.sound is not None else (film, bed.depth_db)
    duck = Ducking(depth_db=depth_db, attack_s=0.2, hold_s=0.4, look_ahead_s=0.2)
    track = Track(sound.on_disk(folder), sound.delay_s, duck=duck, speech=())
    return replace(assembly, tracks=[*assembly.tracks, track], stems=[*assembly.stems, BED])

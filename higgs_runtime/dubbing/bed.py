"""What is heard under a dub: the film's own sound, kept low, or a bed without its voices."""

from __future__ import annotations

import os
from dataclasses import replace

from ..audio.mix import Ducking, Track
from ..errors import check_range
from ..rendering import Assembly
from .film import FilmSound

BED = "film"  # the stem
DEPTH_DB = 18.0  # so far down the original voices are heard below the new ones, as in a voice-over


def with_bed(
    assembly: Assembly, bed: FilmSound, folder: str | os.PathLike, *, depth_db: float = DEPTH_DB, gain_db: float = 0.0
) -> Assembly:
    """An assembly over the sound of its film, which begins where it begins in the film.

    Args:
        folder: where a video's sound is decoded to; it has to last until the mix is made.
        depth_db: how far the bed goes down while a line is spoken; 0 for a bed that has no voices in it.
        gain_db: of the bed, all the time.

    Raises:
        AudioError: the sound cannot be read.
        SettingError: a value out of its range.
    """
    check_range("depth_db", depth_db, 0.0, 80.0, "18 dB suits a voice-over, 0 a bed without voices.")
    duck = Ducking(depth_db=depth_db, attack_s=0.2, hold_s=0.4, look_ahead_s=0.2)
    track = Track(bed.on_disk(folder), bed.delay_s, gain_db, duck=duck, speech=())
    return replace(assembly, tracks=[*assembly.tracks, track], stems=[*assembly.stems, BED])

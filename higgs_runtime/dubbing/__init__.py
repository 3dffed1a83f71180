"""Dubbing a film: its sound in its own time, who speaks its cues, and their voices.

film: the sound · cues: where each is said · pieces: its words, cut out · speakers and table: who speaks it ·
references: all of these · bed: the film's sound under the dub · video: the dub as the sound of the video · dub: a film
from its subtitles to the mix.
"""

from .bed import Bed
from .dub import DubJob, check_dub, deliver_dub, dub
from .film import FilmSound
from .references import FilmReferences, ReferenceSettings, film_references
from .table import Row, parse_corrections
from .video import VIDEOS

__all__ = [
    "Bed",
    "DubJob",
    "FilmReferences",
    "FilmSound",
    "ReferenceSettings",
    "Row",
    "VIDEOS",
    "check_dub",
    "deliver_dub",
    "dub",
    "film_references",
    "parse_corrections",
]

"""The voice chain: filters, dynamics, rooms and characters, each a pure function from clip to clip.

All take any channel count and length, and keep rate, channels and length unless they say otherwise.
"""

from .characters import CHARACTERS, Character, character
from .dynamics import compress, de_ess, gate
from .filters import EQ_PRESETS, Band, equalize, high_pass, low_pass
from .rooms import room, synthetic_room

__all__ = [
    "CHARACTERS",
    "EQ_PRESETS",
    "Band",
    "Character",
    "character",
    "compress",
    "de_ess",
    "equalize",
    "gate",
    "high_pass",
    "low_pass",
    "room",
    "synthetic_room",
]

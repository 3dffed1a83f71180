"""Clips on a time line: tracks, fades, ducking, mixing and joining."""

from .gains import Ducking
from .join import join
from .mixer import Mixdown, MixReport, duck, mix, mix_to_file, mix_with_report
from .plan import TrackSpan, plan
from .sources import AudioFile
from .track import Track

__all__ = [
    "AudioFile",
    "Ducking",
    "Mixdown",
    "MixReport",
    "TrackSpan",
    "Track",
    "duck",
    "join",
    "mix",
    "mix_to_file",
    "mix_with_report",
    "plan",
]

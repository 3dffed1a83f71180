"""Recordings that say something else, or more, than was recorded."""

from .edit import EditedSpan, EditedSpeech, edit_speech, heard_text
from .recording import Recording, Speaking
from .speak_on import ContinuedSpeech, speak_on

__all__ = [
    "ContinuedSpeech",
    "EditedSpan",
    "EditedSpeech",
    "Recording",
    "Speaking",
    "edit_speech",
    "heard_text",
    "speak_on",
]

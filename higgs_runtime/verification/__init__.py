"""Listening: what a recognizer hears in a clip, whether that is what was written, and in whose voice."""

from .alignment import (
    OTHER,
    check_says,
    heard_share,
    heard_times,
    line_times,
    spoken_tokens,
    word_times,
    written_pieces,
)
from .recognizer import Recognizer, Transcript, Word, find_recognizers, first_recognizer, load_recognizer
from .shape import Silence, length_bounds, measure_silence
from .silence_stop import SilenceStop
from .speaker import speaker_similarity, voice_comparer, voice_embedding
from .verify import Limits, Verdict, best_take, describe_verdict, verify_take
from .words import WordErrors, compare_words

__all__ = [
    "OTHER",
    "Limits",
    "Recognizer",
    "Silence",
    "SilenceStop",
    "Transcript",
    "Verdict",
    "Word",
    "WordErrors",
    "best_take",
    "check_says",
    "compare_words",
    "describe_verdict",
    "find_recognizers",
    "first_recognizer",
    "heard_share",
    "heard_times",
    "length_bounds",
    "line_times",
    "load_recognizer",
    "measure_silence",
    "speaker_similarity",
    "spoken_tokens",
    "verify_take",
    "voice_comparer",
    "voice_embedding",
    "word_times",
    "written_pieces",
]

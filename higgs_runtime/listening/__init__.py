"""Listening: what a recognizer hears, and whether it is what was written."""

from .recognizer import Recognizer, Transcript, Word, find_recognizers, load_recognizer

__all__ = ["Recognizer", "Transcript", "Word", "find_recognizers", "load_recognizer"]

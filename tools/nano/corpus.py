"""The training material: every word by every speaker, and the texts that are joined from them.

Every draw is a function of (seed, step), so that a run that was cut off goes on with the very material it would have
had. Sentences whose text falls into the held-out tenth are never trained on.
"""

from __future__ import annotations

import random
import zlib
from itertools import islice
from pathlib import Path

import torch

from .domain import sentences, words
from .speech import SPEAKERS, Word, check_voices, render_words
from .state import save_atomically

HELD_OUT_TENTH = 0
PATTERN_SHARE = 0.35  # of the training texts; the rest are words in random order


def load_lexicon(folder: Path) -> dict[str, dict[str, Word]]:
    """{speaker: {word: rendering}}, rendered on the first call and kept in `folder`."""
    file = folder / "lexicon.pt"
    if not file.is_file():
        check_voices()
        spoken = {name: render_words(words(), speaker) for name, speaker in SPEAKERS.items()}
        plain = {
            name: {text: (torch.from_numpy(word.samples), list(word.phones)) for text, word in said.items()}
            for name, said in spoken.items()
        }
        save_atomically(plain, file)
    kept = torch.load(file, weights_only=True)
    return {
        name: {text: Word(samples.numpy(), tuple(phones)) for text, (samples, phones) in said.items()}
        for name, said in kept.items()
    }


def is_held_out(text: str) -> bool:
    return zlib.crc32(text.lower().encode()) % 10 == HELD_OUT_TENTH


def held_out_sentences(count: int, seed: int = 1_000_003) -> list[str]:
    """Different sentences that training never sees."""
    found: dict[str, None] = {}
    for text in sentences(seed):
        if is_held_out(text):
            found.setdefault(text)
        if len(found) == count:
            return list(found)
    raise AssertionError("unreachable: the stream is endless")


class Texts:
    """Random training texts: sentences of the patterns, and words in random order with random punctuation."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)
        self._words = words()
        self._patterns = (text for text in sentences(seed + 1) if not is_held_out(text))

    def draw(self, max_words: int) -> str:
        """A text of at most max_words words."""
        if self._random.random() < PATTERN_SHARE:
            for text in islice(self._patterns, 20):
                if len(text.split()) <= max_words:
                    return text
        count = self._random.randint(1, max_words)
        text = " ".join(self._random.choice(self._words) + self._mark() for _ in range(count))
        text += "" if text[-1] in ",;:-.?!" else self._random.choice([".", ".", "!", "?", ""])
        return text if not is_held_out(text) else self.draw(max_words)

    def _mark(self) -> str:
        return self._random.choice(",,,;:-.?!") if self._random.random() < 0.12 else ""

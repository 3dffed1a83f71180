"""Conversations for the language model: lines alone, after a reference voice, in turns, and in dialogues."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import torch

from higgs_runtime import Message, build_prompt
from higgs_runtime.model import ChatTokenizer
from higgs_runtime.prompt import DEFAULT_SYSTEM
from higgs_runtime.types import Codes, Prompt

from .codes import NONSENSE, Heard, WordCodes
from .corpus import Texts
from .domain import DIGITS
from .speech import EDGE_FRAMES, HOP, RATE, SPEAKERS

GROUP = 6  # steps
SCENE = "Audio is recorded from a quiet room."
ENTRIES = 1024  # of a codebook
REFERENCES = (0.1, 0.1, 0.55, 0.15, 0.1)  # how often a dialogue has 0, 1, 2 … reference voices
ALIKE = 0.15  # of the dialogues: all voices were recorded with the same text
LINES = (0.1, 0.1, 0.15, 0.15, 0.2, 0.3)  # how often a dialogue has 1, 2, 3 … lines
LONG = 0.35  # of the references: two sentences
LINE_GAP = 4  # frames between two speakers of a dialogue, beside their edges
BEGINNING = 12, 6.0  # frames of a line in a dialogue: there its voice is chosen, once a line; and what they count
DIALOGUES = 0.25  # of the examples; the rest are lines alone, after a reference, and in turns


Turn = tuple[str, torch.Tensor, torch.Tensor]  # text, codes [K, F], what each frame counts in the loss [F]


@dataclass(frozen=True)
class Example:
    """A whole conversation, and for each delayed row what it counts in the loss; 0: it is not learned."""

    prompt: Prompt
    weights: torch.Tensor


class Dialogues:
    """Draws batches of examples, a function of (seed, step).

    The material of GROUP steps is drawn together and sorted by length, so that little of a batch is padding.
    """

    def __init__(self, words: WordCodes, heard: list[Heard], tokenizer: ChatTokenizer, seed: int):
        self.words, self.tokenizer, self.seed = words, tokenizer, seed
        self._group: tuple = ()
        self.heard = {name: [item for item in heard if item.speaker == name] for name in SPEAKERS}

    def batch(self, step: int, max_words: int, positions: int, dialogues: float = DIALOGUES) -> list[Example]:
        """Examples of together about `positions` positions; lines have at most max_words words."""
        group, place = divmod(step, GROUP)
        wanted = (group, max_words, positions, dialogues)
        if not self._group or self._group[0] != wanted:
            self._group = (wanted, self._draw_group(*wanted))
        return self._group[1][place]

    def _draw_group(self, group: int, max_words: int, positions: int, dialogues: float) -> list[list[Example]]:
        random = np.random.default_rng([self.seed, group])
        draw = _Draw(self, random, Texts(self.seed * 1_000_000 + group), max_words, dialogues)
        pool, total = [], 0
        while total < GROUP * positions or len(pool) < GROUP:
            pool.append(draw.example())
            total += len(pool[-1].prompt.token_ids)
        pool.sort(key=lambda example: len(example.prompt.token_ids))
        ends = np.cumsum([len(example.prompt.token_ids) for example in pool])
        cuts = [0, *np.searchsorted(ends, total * np.arange(1, GROUP) / GROUP), len(pool)]
        batches = [pool[a : max(b, a + 1)] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
        return [batches[place] for place in random.permutation(GROUP)]


class _Draw:
    def __init__(self, source: Dialogues, random: np.random.Generator, texts: Texts, max_words: int, dialogues: float):
        self.source, self.random, self.texts, self.max_words = source, random, texts, max_words
        self.shares = [*((1 - dialogues) * np.array([4, 8, 3]) / 15), dialogues]

    def example(self) -> Example:
        kind = self.random.choice(["alone", "voice", "turns", "dialogue"], p=self.shares)
        speakers = [str(name) for name in self.random.permutation(list(SPEAKERS))]
        if kind == "dialogue":
            return self._dialogue(speakers)
        turns = [] if kind == "alone" else [self._reference(speakers[0])]
        for _ in range(1 + (kind == "turns")):
            turns.append(self._line(speakers[0], self.max_words))
        return self._lay_out(turns)

    def _dialogue(self, speakers: list[str]) -> Example:
        voices = int(self.random.choice(len(REFERENCES), p=REFERENCES))
        tag = "[SPEAKER{}] " if voices > 1 else ""  # as `conversation` writes it
        alike = self._sentences(8) if self.random.random() < ALIKE else ""
        turns = [self._reference(speaker, tag.format(n), alike) for n, speaker in enumerate(speakers[:voices])]
        texts, codes, weights = [], [], []
        count, lines = voices or 2, 1 + int(self.random.choice(len(LINES), p=LINES))
        n = int(self.random.integers(count))
        for line in range(lines):
            text, spoken, _ = self._line(speakers[n], min(self.max_words, 9))
            texts.append(f"[SPEAKER{n}] {text}")
            codes += [self.source.words.pause(LINE_GAP)] * (line > 0) + [spoken]
            weights += [torch.ones(LINE_GAP)] * (line > 0) + [torch.ones(spoken.shape[1])]
            weights[-1][: BEGINNING[0]] = BEGINNING[1]
            n = (n + 1) % count if self.random.random() < 0.8 else int(self.random.integers(count))
        return self._lay_out([*turns, ("\n".join(texts), torch.cat(codes, 1), torch.cat(weights))])

    def _line(self, speaker: str, max_words: int) -> Turn:
        text = self._with_nonsense(max_words) if self.random.random() < 0.05 else self.texts.draw(max_words)
        codes = self.source.words.sentence(text, speaker)
        return self._as_digits(text), codes, torch.ones(codes.shape[1])

    def _with_nonsense(self, max_words: int) -> str:
        parts = self.texts.draw(max_words).split()
        parts.insert(int(self.random.integers(len(parts) + 1)), NONSENSE)
        return " ".join(parts)

    def _as_digits(self, text: str) -> str:
        if self.random.random() < 0.7:
            return text
        return re.sub(r"\b[a-z]+\b", lambda word: str(DIGITS.index(word[0])) if word[0] in DIGITS else word[0], text)

    def _reference(self, speaker: str, tag: str = "", text: str = "") -> Turn:
        """Some are clips as people load them, with codes that no text foretells: heard, but not learned."""
        if text:
            codes = self.source.words.sentence(text, speaker)
            return tag + text, codes, torch.ones(codes.shape[1])
        if self.max_words < 3 or self.random.random() < 0.5:
            text = self._sentences(min(8, 2 * self.max_words))
            codes = self.source.words.sentence(text, speaker)
            return tag + self._as_digits(text), codes, torch.ones(codes.shape[1])
        clips = [self._clip(speaker) for _ in range(1 + (self.random.random() < LONG))]
        text, codes = " ".join(text for text, _ in clips), torch.cat([codes for _, codes in clips], 1)
        if self.random.random() < 0.15:
            text = " ".join([NONSENSE] * int(self.random.integers(1, 8)))
        if self.random.random() < 0.2:
            wrong = torch.from_numpy(self.random.random(codes.shape) < 0.2)
            codes = torch.where(wrong, torch.from_numpy(self.random.integers(0, ENTRIES, codes.shape)), codes)
        return tag + text, codes, torch.zeros(codes.shape[1])

    def _sentences(self, max_words: int) -> str:
        """One text, or two of them."""
        return " ".join(self.texts.draw(max_words) for _ in range(1 + (self.random.random() < LONG)))

    def _clip(self, speaker: str) -> tuple[str, torch.Tensor]:
        """A sentence as it was heard, and less silence at its ends, as a trimmed clip has."""
        item = self.source.heard[speaker][self.random.integers(len(self.source.heard[speaker]))]
        first, last = self.random.integers(0, EDGE_FRAMES + 1, 2)
        return item.text, item.codes[:, first : item.codes.shape[1] - last]

    def _lay_out(self, turns: list[Turn]) -> Example:
        messages = [Message("system", [DEFAULT_SYSTEM if self.random.random() < 0.9 else self._with_nonsense(6)])]
        if self.random.random() < 0.5:  # never spoken, whatever it says
            messages.append(Message("scene", [SCENE if self.random.random() < 0.6 else self._with_nonsense(8)]))
        weights = []
        for text, codes, of_frames in turns:
            messages += [Message("user", [text]), Message("assistant", [Codes(codes, RATE / HOP, ENTRIES)])]
            ends = of_frames[-1:].expand(codes.shape[0])  # the delay and the stream-end
            weights += [of_frames[:1], of_frames, ends]
        return Example(build_prompt(messages, self.source.tokenizer, add_generation_prefix=False), torch.cat(weights))

"""The figures of the card: what a recognizer and a voice encoder hear, on sentences that training never saw.

A floor stands beside the figures: the same measure on the joined originals.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import torch

from higgs_runtime import AudioClip, Sampling, Voice, build_prompt, generate, load_codec, load_model
from higgs_runtime.prompt import conversation

from .corpus import held_out_sentences
from .dialogues import LINE_GAP
from .domain import split_text, words as all_words
from .judge import Recognizer, Voices, interval, same_words, share, word_errors
from .speech import HOP, RATE, Word, sentence, silence
from .state import with_progress

SENTENCES, SWAPPED, DIALOGUES, LINES = 200, 60, 35, 6
LIKENESS = 12  # originals from which a voice is known
TEMPERATURE = 0.3
ORDERLESS = 6  # words of a text in random order


@dataclass
class Figure:
    """One line of the table: a rate, its 95 % interval, how many clips, and what it should be."""

    name: str
    rate: tuple[float, float, float]
    n: int
    goal: str = ""

    def __str__(self) -> str:
        rate, low, high = self.rate
        return f"{self.name:<56} {rate:6.3f}  [{low:.3f}, {high:.3f}]  n {self.n:<4} {self.goal}".rstrip()


@dataclass
class Spoken:
    """A text in a speaker's voice: as joined originals and as the model says it."""

    text: str
    speaker: str
    original: np.ndarray
    made: np.ndarray
    ended: bool


class Evaluation:
    """Holds the checkpoint, the originals and the ears."""

    def __init__(self, folder: Path, lexicon: dict[str, dict[str, Word]], memory: Path):
        self.lexicon, self.speakers = lexicon, list(lexicon)
        self.model, self.codec = load_model(folder / "higgs-nano"), load_codec(folder / "higgs-nano-codec")
        self.ears, self.voices = Recognizer(torch.get_num_threads(), memory), Voices()
        texts = held_out_sentences(2 * SENTENCES + LIKENESS)
        self.texts, self.reference_texts = texts[:SENTENCES], texts[SENTENCES : 2 * SENTENCES]
        self.likeness = {name: self._likeness(name, texts[2 * SENTENCES :]) for name in self.speakers}

    def _likeness(self, speaker: str, texts: list[str]) -> np.ndarray:
        """What the voice encoder hears in a speaker: the mean over some originals, of length 1."""
        mean = np.mean([self.voices.embed(sentence(text, self.lexicon[speaker]), RATE) for text in texts], 0)
        return mean / np.linalg.norm(mean)

    def reference(self, speaker: str, number: int) -> Voice:
        """A voice from the sound of a held-out sentence, another one for each number."""
        text = self.reference_texts[number % SENTENCES]
        return Voice(codes=self.codec.encode(_clip(sentence(text, self.lexicon[speaker]))), transcript=text)

    def say(self, text: str, voices: list[Voice], seed: int) -> tuple[np.ndarray, bool]:
        """(samples, whether it ended by itself)."""
        prompt = build_prompt(conversation(text, voices), self.model.tokenizer)
        limit = 36 * len(split_text(text)) + 60
        take = generate(self.model, [prompt], Sampling(temperature=TEMPERATURE, seed=seed, max_frames=limit))[0]
        return _samples(self.codec.decode(take.codes)), take.finish_reason == "stop"

    def spoken(self, texts: list[str], step: int = 0) -> list[Spoken]:
        """Each text by one of the speakers in turn, beginning with number `step`."""
        found = []
        for number, text in enumerate(with_progress("speaking", texts)):
            speaker = self.speakers[(number + step) % len(self.speakers)]
            made, ended = self.say(text, [self.reference(speaker, number)], seed=number)
            found.append(Spoken(text, speaker, sentence(text, self.lexicon[speaker]), made, ended))
        return found

    def error_rate(self, texts: list[str], waves: list[np.ndarray]) -> tuple[float, float, float]:
        spoken = zip(with_progress("listening", texts), waves, strict=True)
        return interval(*np.array([word_errors(text, self.ears.hear(wave, RATE)) for text, wave in spoken]).T)

    def right_voices(self, takes: list[Spoken], waves: list[np.ndarray]) -> list[bool]:
        heard = zip(with_progress("telling voices", takes), waves, strict=True)
        return [self.nearest(wave) == take.speaker for take, wave in heard]

    def nearest(self, wave: np.ndarray) -> str | None:
        """The speaker whose voice is nearest; None for a clip without speech."""
        heard = self.voices.embed(wave, RATE)
        return max(self.likeness, key=lambda name: float(heard @ self.likeness[name])) if heard.any() else None


def evaluate(folder: Path, lexicon: dict[str, dict[str, Word]], work: Path) -> None:
    """Print the table and write it to evaluation.txt in `work`, where also what the recognizer heard is kept."""
    evaluation, lines = Evaluation(folder, lexicon, work / "heard.tsv"), []
    for part in (_sentences, _swapped, _orderless, _dialogues):
        for figure in part(evaluation):
            print(figure, flush=True)
            lines.append(str(figure))
    (work / "evaluation.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _sentences(evaluation: Evaluation) -> list[Figure | str]:
    texts = evaluation.texts
    started = time.perf_counter()
    takes = evaluation.spoken(texts)
    seconds = time.perf_counter() - started
    originals, made = [take.original for take in takes], [take.made for take in takes]
    floor = evaluation.error_rate(texts, originals)
    again = _round_trips(evaluation.codec, originals)
    moved = _round_trips(evaluation.codec, [_moved(wave, n) for n, wave in enumerate(originals)])
    near, goal = f"goal <= {floor[0] + 0.03:.3f}", f"goal <= {floor[0] + 0.05:.3f}"
    lengths = [take.ended and abs(len(take.made) / len(take.original) - 1) <= 0.2 for take in takes]
    count, speed = len(texts), sum(map(len, made)) / RATE / seconds
    return [
        Figure("WER of the joined originals (floor)", floor, count),
        Figure("WER of codec resynthesis", evaluation.error_rate(texts, again), count, near),
        Figure("WER of it, clip not cut at whole frames", evaluation.error_rate(texts, moved), count),
        Figure("WER of generated speech", evaluation.error_rate(texts, made), count, goal),
        _share("voice of an original nearest to its speaker (floor)", evaluation.right_voices(takes, originals)),
        _share("voice nearest to its reference", evaluation.right_voices(takes, made), "goal >= 0.95"),
        _share("ends by itself, length within 20 % of the original", lengths, "goal >= 0.99"),
        f"encoding a reference, generation and decoding: {speed:.1f} x real time (goal 3)",
    ]


def _swapped(evaluation: Evaluation) -> list[Figure]:
    """The same sentences and references' texts, each in the next speaker's voice."""
    texts = evaluation.texts[:SWAPPED]
    takes = evaluation.spoken(texts, step=1)
    made = [take.made for take in takes]
    return [
        Figure("WER, the references swapped", evaluation.error_rate(texts, made), SWAPPED),
        _share("voice nearest to its reference, the references swapped", evaluation.right_voices(takes, made)),
    ]


def _orderless(evaluation: Evaluation) -> list[Figure]:
    """Every word of the domain once, in no order."""
    known = all_words()
    random.Random(11).shuffle(known)
    texts = [" ".join(known[n : n + ORDERLESS]) + "." for n in range(0, len(known), ORDERLESS)]
    takes = evaluation.spoken(texts)
    return [
        Figure(
            "WER of all words in random order (floor)",
            evaluation.error_rate(texts, [take.original for take in takes]),
            len(texts),
        ),
        Figure(
            "WER of all words in random order, generated",
            evaluation.error_rate(texts, [take.made for take in takes]),
            len(texts),
        ),
    ]


def _dialogues(evaluation: Evaluation) -> list[Figure]:
    """Six lines by two voices in one go. The words of a line are right if they are heard as they are written, or as
    they are heard in the original line."""
    right_words, right_voice, pairs = [], [], list(permutations(evaluation.speakers, 2))
    for number in with_progress("dialogues", range(DIALOGUES)):
        speakers = pairs[number % len(pairs)]
        lines = [evaluation.texts[(number * LINES + line) % SENTENCES] for line in range(LINES)]
        text = "\n".join(f"[SPEAKER{line % 2}] {words}" for line, words in enumerate(lines))
        voices = [evaluation.reference(name, number + k) for k, name in enumerate(speakers)]
        made, _ = evaluation.say(text, voices, seed=number)
        originals = [sentence(words, evaluation.lexicon[speakers[line % 2]]) for line, words in enumerate(lines)]
        for line, part in enumerate(_cut(made, [len(original) for original in originals])):
            heard, floor = evaluation.ears.hear(part, RATE), evaluation.ears.hear(originals[line], RATE)
            right_words.append(word_errors(lines[line], heard)[0] == 0 or same_words(heard, floor))
            right_voice.append(evaluation.nearest(part) == speakers[line % 2])
    both = np.array(right_words) & np.array(right_voice)
    by_dialogue = both.reshape(DIALOGUES, LINES).sum(1)
    by_place = ", ".join(f"{rate:.2f}" for rate in both.reshape(DIALOGUES, LINES).mean(0))
    return [
        _share("dialogue: words of a line right", right_words),
        _share("dialogue: voice of a line right", right_voice),
        Figure(
            "dialogue: words and voice of a line right",
            interval(by_dialogue, np.full(DIALOGUES, LINES)),
            len(both),
            f"goal >= 0.90; by place in the dialogue {by_place}",
        ),
    ]


def _cut(wave: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    """A dialogue's wave at the places where the originals' lines would end, stretched to its length."""
    gaps = [length + LINE_GAP * HOP for length in lengths[:-1]] + lengths[-1:]
    ends = np.cumsum([0, *gaps]) * len(wave) / sum(gaps)
    parts = [wave[int(a) : int(b)] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    return [part if len(part) else silence(1) for part in parts]


def _moved(samples: np.ndarray, number: int) -> np.ndarray:
    """The clip after a part of a frame of silence."""
    shift = 1 + number * 397 % (HOP - 1)
    return np.pad(samples, (shift, HOP - shift))


def _round_trips(codec, waves: list[np.ndarray]) -> list[np.ndarray]:
    return [_samples(codec.decode(codec.encode(_clip(wave)))) for wave in with_progress("encoding, decoding", waves)]


def _clip(samples: np.ndarray) -> AudioClip:
    return AudioClip(torch.from_numpy(samples)[None], RATE)


def _samples(clip: AudioClip) -> np.ndarray:
    return clip.samples[0].numpy()


def _share(name: str, hits: list[bool], goal: str = "") -> Figure:
    return Figure(name, share(hits), len(hits), goal)

"""The figures of the card: what a recognizer and a voice encoder hear, on sentences that training never saw.

Every figure stands beside its floor: the same measure on the joined originals, which no model can beat.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from corpus import held_out_sentences
from domain import split_text
from judge import Recognizer, Voices, interval, word_errors
from speech import HOP, RATE, Word, sentence, silence

from higgs_runtime import AudioClip, Sampling, Voice, build_prompt, generate, load_codec, load_model
from higgs_runtime.prompt import conversation

SENTENCES = 200
DIALOGUES, LINES = 35, 6
TEMPERATURE = 0.3
LINE_GAP = 4


@dataclass
class Figure:
    """One line of the table: a share with its 95 % interval over n clips."""

    name: str
    share: float
    low: float
    high: float
    n: int
    goal: str

    def __str__(self) -> str:
        return f"{self.name:<52} {self.share:6.3f}  [{self.low:.3f}, {self.high:.3f}]  n {self.n:<4} {self.goal}"


class Evaluation:
    """Holds the checkpoint, the originals and the ears."""

    def __init__(self, folder: Path, lexicon: dict[str, dict[str, Word]], memory: Path):
        self.lexicon, self.speakers = lexicon, list(lexicon)
        self.model, self.codec = load_model(folder / "higgs-nano"), load_codec(folder / "higgs-nano-codec")
        self.ears, self.voices = Recognizer(torch.get_num_threads(), memory), Voices()
        texts = held_out_sentences(SENTENCES + 4)
        self.texts, self.reference_texts = texts[:SENTENCES], texts[SENTENCES:]
        self.references = {name: self._voice(name, n) for n, name in enumerate(self.speakers)}
        known = held_out_sentences(SENTENCES + 16)[SENTENCES + 4 :]
        self.likeness = {name: self._likeness(name, known) for name in self.speakers}

    def _likeness(self, speaker: str, texts: list[str]) -> np.ndarray:
        """What the voice encoder hears in a speaker: the mean over some originals."""
        return np.mean([self.voices.embed(sentence(text, self.lexicon[speaker]), RATE) for text in texts], 0)

    def _voice(self, speaker: str, number: int) -> Voice:
        text = self.reference_texts[number % len(self.reference_texts)]
        clip = AudioClip(torch.from_numpy(sentence(text, self.lexicon[speaker]))[None], RATE)
        return Voice(codes=self.codec.encode(clip), transcript=text)

    def speaker_of(self, number: int) -> str:
        return self.speakers[number % len(self.speakers)]

    def original(self, number: int) -> np.ndarray:
        return sentence(self.texts[number], self.lexicon[self.speaker_of(number)])

    def say(self, text: str, voices: Iterable[Voice], seed: int):
        prompt = build_prompt(conversation(text, list(voices)), self.model.tokenizer)
        limit = 3 * sum(12 for _ in split_text(text)) + 60
        return generate(self.model, [prompt], Sampling(temperature=TEMPERATURE, seed=seed, max_frames=limit))[0]

    def errors(self, waves: Iterable[tuple[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        pairs = [word_errors(text, self.ears.hear(wave, RATE)) for text, wave in waves]
        return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])

    def nearest(self, wave: np.ndarray) -> str:
        heard = self.voices.embed(wave, RATE)
        return max(self.likeness, key=lambda name: float(heard @ self.likeness[name]))


def evaluate(folder: Path, lexicon: dict[str, dict[str, Word]], work: Path) -> None:
    """Print the table. What the recognizer has heard is kept in `work`."""
    evaluation = Evaluation(folder, lexicon, work / "heard.tsv")
    for part in (_sentences, _dialogues):
        for figure in part(evaluation):
            print(figure, flush=True)


def _sentences(evaluation: Evaluation) -> list[Figure]:
    numbers = range(SENTENCES)
    texts, originals = evaluation.texts, [evaluation.original(n) for n in numbers]
    floor = evaluation.errors(zip(texts, originals, strict=True))
    again = evaluation.errors((texts[n], _round_trip(evaluation.codec, originals[n])) for n in numbers)
    moved = evaluation.errors((texts[n], _round_trip(evaluation.codec, _moved(originals[n], n))) for n in numbers)
    started = time.perf_counter()
    takes = [evaluation.say(texts[n], [evaluation.references[evaluation.speaker_of(n)]], seed=n) for n in numbers]
    waves = [_samples(evaluation.codec.decode(take.codes)) for take in takes]
    seconds = time.perf_counter() - started
    made = evaluation.errors(zip(texts, waves, strict=True))
    limit = interval(*floor)[0]
    good_length = [take.finish_reason == "stop" and abs(len(wave) / len(original) - 1) <= 0.2
                   for take, wave, original in zip(takes, waves, originals, strict=True)]
    same_voice = [evaluation.nearest(wave) == evaluation.speaker_of(n) for n, wave in zip(numbers, waves, strict=True)]
    speed = sum(len(wave) for wave in waves) / RATE / seconds
    print(f"generation and decoding: {speed:.1f} x real time (goal 3)", flush=True)
    return [
        Figure("WER of the joined originals (floor)", *interval(*floor), SENTENCES, ""),
        Figure("WER of codec resynthesis", *interval(*again), SENTENCES, f"goal <= {limit + 0.03:.3f}"),
        Figure("WER of it, clip not cut at whole frames", *interval(*moved), SENTENCES, ""),
        Figure("WER of generated speech, reference given", *interval(*made), SENTENCES, f"goal <= {limit + 0.05:.3f}"),
        _share("voice nearest to its reference", same_voice, "goal >= 0.95"),
        _share("ends by itself, length within 20 %", good_length, "goal >= 0.99"),
    ]


def _dialogues(evaluation: Evaluation) -> list[Figure]:
    """Six lines by two voices in one go. A line counts if it has its words, as far as they are heard in the original
    line, and its voice."""
    right_words, right_voice = [], []
    for number in range(DIALOGUES):
        speakers = [evaluation.speakers[(number + k * (1 + number // 4 % 3)) % 4] for k in range(2)]
        lines = [evaluation.texts[(number * LINES + line) % SENTENCES] for line in range(LINES)]
        text = "\n".join(f"[SPEAKER{line % 2}] {words}" for line, words in enumerate(lines))
        take = evaluation.say(text, [evaluation.references[name] for name in speakers], seed=number)
        wave = _samples(evaluation.codec.decode(take.codes))
        originals = [sentence(words, evaluation.lexicon[speakers[line % 2]]) for line, words in enumerate(lines)]
        for line, part in enumerate(_cut(wave, [len(original) for original in originals])):
            heard, _ = word_errors(lines[line], evaluation.ears.hear(part, RATE))
            floor, _ = word_errors(lines[line], evaluation.ears.hear(originals[line], RATE))
            right_words.append(heard <= floor)
            right_voice.append(evaluation.nearest(part) == speakers[line % 2])
    both = [words and voice for words, voice in zip(right_words, right_voice, strict=True)]
    return [
        _share("dialogue: words of a line right", right_words, ""),
        _share("dialogue: voice of a line right", right_voice, ""),
        _share("dialogue: words and voice of a line right", both, "goal >= 0.90"),
    ]


def _cut(wave: np.ndarray, lengths: list[int]) -> list[np.ndarray]:
    """A dialogue's wave at the places where the originals' lines would end, stretched to its length."""
    gaps = [length + LINE_GAP * HOP for length in lengths[:-1]] + lengths[-1:]
    ends = np.cumsum([0, *gaps]) * len(wave) / sum(gaps)
    parts = [wave[int(a) : int(b)] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    return [part if len(part) else silence(1) for part in parts]


def _round_trip(codec, samples: np.ndarray) -> np.ndarray:
    return _samples(codec.decode(codec.encode(AudioClip(torch.from_numpy(samples)[None], RATE))))


def _moved(samples: np.ndarray, number: int) -> np.ndarray:
    """The clip after a part of a frame of silence."""
    shift = 1 + number * 397 % (HOP - 1)
    return np.pad(samples, (shift, HOP - shift))


def _samples(clip: AudioClip) -> np.ndarray:
    return clip.samples[0].numpy()


def _share(name: str, hits: list[bool], goal: str) -> Figure:
    return Figure(name, *interval(np.array(hits, float), np.ones(len(hits))), len(hits), goal)

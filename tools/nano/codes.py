"""Codes of the words. Each rendering is encoded once, alone; a sentence is these codes in a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from higgs_runtime import AudioClip
from higgs_runtime.codec.higgs_tokenizer import HiggsCodec

from .codec_model import new_codec
from .corpus import Texts
from .domain import PAUSES, split_text
from .speech import EDGE_FRAMES, HOP, RATE, Word, sentence, silence
from .state import save_atomically

NONSENSE = "qx"  # stands for any word outside the domain
NONSENSE_FRAMES = 4  # of silence in its place


def load_trained(file: Path) -> HiggsCodec:
    """The codec with the weights of a stage, rounded to float16 as they will be on disk; the rest is fresh."""
    module, config = new_codec()
    weights = torch.load(file, weights_only=True)["module"]
    module.load_state_dict({name: tensor.half().to(tensor.dtype) for name, tensor in weights.items()}, strict=False)
    return HiggsCodec(module.eval(), config)


def encode(codec: HiggsCodec, samples: np.ndarray) -> torch.Tensor:
    return codec.encode(AudioClip(torch.from_numpy(samples)[None], RATE)).ids


class WordCodes:
    """Fixed codes by speaker and word, and of silence: LongTensor [K, F] each."""

    def __init__(self, words: dict[str, dict[str, torch.Tensor]], quiet: torch.Tensor):
        self.words, self.quiet = words, quiet

    @classmethod
    def load(cls, folder: Path, lexicon: dict[str, dict[str, Word]]) -> WordCodes:
        """Encoded on the first call and kept in `folder`."""
        file = folder / "word_codes.pt"
        if file.is_file():
            return cls(**torch.load(file, weights_only=True))
        codec, edge = load_trained(folder / "encoder.pt"), silence(EDGE_FRAMES)
        found = {"quiet": encode(codec, silence(9))[:, 4:5], "words": {}}
        for speaker, spoken in lexicon.items():
            alone = {name: encode(codec, np.concatenate([edge, word.samples, edge])) for name, word in spoken.items()}
            found["words"][speaker] = {name: codes[:, EDGE_FRAMES:-EDGE_FRAMES] for name, codes in alone.items()}
        save_atomically(found, file)
        return cls(**found)

    def sentence(self, text: str, speaker: str) -> torch.Tensor:
        """Codes of a text with its pauses: [K, F]."""
        edge = self.pause(EDGE_FRAMES)
        parts = [edge]
        for part in split_text(text):
            parts.append(self.pause(PAUSES[part]) if part in PAUSES else self._word(part, speaker))
        return torch.cat([*parts, edge], 1)

    def _word(self, word: str, speaker: str) -> torch.Tensor:
        return self.pause(NONSENSE_FRAMES) if word == NONSENSE else self.words[speaker][word]

    def pause(self, frames: int) -> torch.Tensor:
        return self.quiet.expand(-1, frames)


@dataclass(frozen=True)
class Heard:
    """A sentence encoded as a whole, as a user's clip is.

    Attributes:
        gain, shift: of the joined words: how loud, and after how many samples of silence (less than a frame).
        codes: [K, F].
    """

    speaker: str
    text: str
    gain: float
    shift: int
    codes: torch.Tensor

    def wave(self, lexicon: dict[str, dict[str, Word]]) -> np.ndarray:
        return heard_wave(self.text, lexicon[self.speaker], self.gain, self.shift)


def heard_wave(text: str, spoken: dict[str, Word], gain: float, shift: int) -> np.ndarray:
    """Whole frames [T] of a sentence that does not begin with a frame."""
    padded = np.pad(sentence(text, spoken), (shift, -shift % HOP))
    return (gain * padded).astype(np.float32)


def heard_sentences(folder: Path, lexicon: dict[str, dict[str, Word]], count: int = 600, seed: int = 5) -> list[Heard]:
    """`count` training sentences of each speaker, encoded on the first call and kept in `folder`."""
    file = folder / "heard.pt"
    if not file.is_file():
        codec, random, texts = load_trained(folder / "encoder.pt"), np.random.default_rng(seed), Texts(seed)
        found = []
        for speaker in lexicon:
            for _ in range(count):
                text, gain = texts.draw(int(random.integers(2, 9))), float(random.uniform(0.7, 1.2))
                shift = int(random.integers(HOP)) if random.random() < 0.5 else 0
                wave = heard_wave(text, lexicon[speaker], gain, shift)
                codes = encode(codec, wave + 1e-4 * random.standard_normal(len(wave)).astype(np.float32))
                found.append({"speaker": speaker, "text": text, "gain": gain, "shift": shift, "codes": codes})
        save_atomically(found, file)
    return [Heard(**item) for item in torch.load(file, weights_only=True)]

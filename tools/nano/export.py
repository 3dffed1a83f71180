"""The trained parts as a checkpoint in the released layout, written by transformers itself, in float16."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import soundfile
import torch

from higgs_runtime.codec.higgs_tokenizer import HiggsCodec
from higgs_runtime.model.linear import PackedLinear
from higgs_runtime.model.loading import LAYOUTS

from .codec_model import CONFIG, new_codec
from .domain import words
from .lm_stage import lm_config, new_model
from .speech import RATE, Word, sentence
from .vocabulary import write_tokenizer

NAME = "higgs-nano"
DISPLAY_NAME = "Higgs Nano"
CHORD = (110.0, 165.0, 220.0)  # Hz
BED_SECONDS = 12
REFERENCE_TEXTS = {
    "rose": "Hello, and welcome. My voice is ready for your story, your letter and your song.",
    "ross": "Good evening, my friend. I will read a quiet story by the sea.",
    "alan": "Good morning, everyone. Please take the train, and walk to the old station.",
    "bear": "I am the keeper. In the night I count the boats and listen to the wind.",
}


def export(folder: Path, lexicon: dict[str, dict[str, Word]], lm_file: Path, codec_file: Path) -> Path:
    """Write `folder`/higgs-nano, higgs-nano-codec and clips/ (a spoken reference of each speaker, a bed)."""
    identity = export_codec(folder / f"{NAME}-codec", torch.load(codec_file, weights_only=True)["module"])
    export_lm(folder / NAME, torch.load(lm_file, weights_only=True)["model"], identity)
    (folder / "clips").mkdir(exist_ok=True)
    for speaker, spoken in lexicon.items():
        text = REFERENCE_TEXTS[speaker]
        soundfile.write(folder / "clips" / f"{speaker}.flac", sentence(text, spoken), RATE)
        (folder / "clips" / f"{speaker}.txt").write_text(text + "\n", encoding="utf-8")
    soundfile.write(folder / "clips" / "bed.flac", bed(), RATE)
    return folder


def bed() -> np.ndarray:
    """A soft chord that swells twice, to mix under speech."""
    time = np.arange(BED_SECONDS * RATE) / RATE
    swell = 0.05 * (1.5 - np.cos(2 * np.pi * time / (BED_SECONDS / 2)))
    return swell * sum(np.sin(2 * np.pi * pitch * time) for pitch in CHORD)


def export_lm(folder: Path, weights: dict[str, torch.Tensor], codec_identity: str) -> None:
    from transformers import HiggsAudioV2Config, HiggsAudioV2ForConditionalGeneration

    model = HiggsAudioV2ForConditionalGeneration(HiggsAudioV2Config(**lm_config()))
    rename, parts = LAYOUTS["higgs_audio_v2"].rename, _unpacked(weights)  # of a file's tensors to the runtime's
    _load(model, {name: parts[rename(name)] for name in model.state_dict()})
    model.half().save_pretrained(folder)
    write_tokenizer(folder)
    known = [*"0123456789", *words()]
    _extend(folder / "config.json", display_name=DISPLAY_NAME, codec_identity=codec_identity, vocabulary=known)


def _unpacked(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The runtime's tensors with the matrices that it packs taken apart."""
    found = dict(weights)
    for name, module in new_model().named_modules():
        if isinstance(module, PackedLinear):
            parts = found.pop(f"{name}.weight").split(list(module.parts.values()))
            beside = name.rpartition(".")[0]
            found.update({f"{beside}.{part}.weight": rows for part, rows in zip(module.parts, parts, strict=True)})
    return found


def export_codec(folder: Path, weights: dict[str, torch.Tensor]) -> str:
    """Returns the codec's identity, by which the language model names it."""
    from transformers import HiggsAudioV2TokenizerConfig, HiggsAudioV2TokenizerModel

    model = HiggsAudioV2TokenizerModel(HiggsAudioV2TokenizerConfig(**CONFIG))
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.startswith(("fc1.", "decoder_semantic.")):
                tensor.zero_()  # parts that only its makers' training had
    _load(model, weights)
    model.half().save_pretrained(folder)
    _extend(folder / "config.json", display_name=f"{DISPLAY_NAME} codec", named_codes_only=True)
    module, config = new_codec()
    module.load_state_dict(weights)
    return HiggsCodec(module, config).identity


def _load(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    missing, unexpected = model.load_state_dict(weights, strict=False)
    unused = r"fc1\.|decoder_semantic\.|.*\.(inited|cluster_size|embed_avg)$"
    trained = [name for name in missing if not re.match(unused, name)]
    if trained or unexpected:
        raise SystemExit(f"The layout has changed: transformers wants {trained} and does not know {unexpected}.")


def _extend(file: Path, **fields) -> None:
    config = {**json.loads(file.read_text(encoding="utf-8")), **fields}
    file.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")

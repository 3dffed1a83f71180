"""Small random checkpoints for the tests, in the released layout (see tools/make_random_checkpoint.py)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from helpers_vocabulary import llama_tokenizer, short_llama_tokenizer, temporary_folder
from make_random_checkpoint import make_language_model
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
VOICES = ROOT.parent / "shared" / "voices"

# About 1 GB in float32, half of it the vocabulary.
GIGABYTE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 6,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "head_dim": 64,
}
RELEASED_V2 = {  # the language model
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
}


def make_lm_checkpoint(folder: Path, *, whole_vocabulary: bool = False, **settings) -> Path:
    """A random language model; `settings` as in `make_language_model`."""
    made = _made(whole_vocabulary, json.dumps(settings, sort_keys=True))
    return shutil.copytree(made, folder, dirs_exist_ok=True)


@cache
def _made(whole_vocabulary: bool, settings: str) -> Path:
    """The same one is asked for in many files."""
    vocabulary = llama_tokenizer() if whole_vocabulary else short_llama_tokenizer()
    return make_language_model(temporary_folder(), vocabulary, **json.loads(settings))


def make_folder(
    folder: Path, model_type: str = "higgs_audio_v2", files: Sequence[str] = ("model.safetensors", "tokenizer.json")
) -> Path:
    """A model folder with empty files, for what only looks at names."""
    folder.mkdir(parents=True)
    if model_type:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    for name in files:
        (folder / name).write_text("")
    return folder


def add_to_config(folder: Path, **fields) -> Path:
    """Put fields into the config.json of a checkpoint."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **fields}), encoding="utf-8")
    return folder


def edit_tensors(folder: Path, change: Callable[[dict], object]) -> Path:
    """Let `change` edit the dict of tensors in the model.safetensors of a checkpoint."""
    file = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})
    return folder


def random_codes(frames: int, *, num_codebooks: int = 8, size: int = 1024, seed: int = 0, codec: str = ""):
    """Random Codes [K, F]."""
    from higgs_runtime import Codes

    generator = torch.Generator().manual_seed(seed)
    return Codes(torch.randint(0, size, (num_codebooks, frames), generator=generator), 25.0, size, codec)

"""Small random checkpoints for the tests, in the released layout (see tools/make_random_checkpoint.py)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from make_random_checkpoint import make_language_model

ROOT = Path(__file__).resolve().parent.parent
VOICES = ROOT.parent / "shared" / "voices"


def llama_tokenizer() -> Path:
    """The Llama 3 vocabulary that the ComfyUI tree carries; skips the test where there is no tree."""
    tree = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".comfyui" / "ComfyUI")
    path = tree / "comfy" / "text_encoders" / "llama_tokenizer" / "tokenizer.json"
    if not path.is_file():
        pytest.skip(f"needs the Llama 3 vocabulary of a ComfyUI tree, not found: {path} (python dev.py test gets it)")
    return path


def make_lm_checkpoint(folder: Path, **settings) -> Path:
    """A random language model; `settings` as in `make_language_model`."""
    return make_language_model(Path(folder), llama_tokenizer(), **settings)


def random_codes(frames: int, *, num_codebooks: int = 8, size: int = 1024, seed: int = 0):
    """Random Codes [K, F]."""
    from higgs_runtime import Codes

    generator = torch.Generator().manual_seed(seed)
    return Codes(torch.randint(0, size, (num_codebooks, frames), generator=generator), 25.0, size)

"""What the benchmarks share: checkpoints in the released layout, a conversation, taking turns, tables."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers"), str(ROOT / "tools")]

from helpers_checkpoint import random_codes  # noqa: E402
from helpers_vocabulary import llama_tokenizer  # noqa: E402
from make_random_checkpoint import make_language_model  # noqa: E402

from higgs_runtime import Message, build_prompt, load_model  # noqa: E402
from higgs_runtime.model.linear import Linear  # noqa: E402
from higgs_runtime.model.quantization import KINDS  # noqa: E402

SIZES = {
    "tiny": {
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 32,
    },
    "small": {
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
    },
    "v2-width": {
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 4,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
    },
}
REFERENCE_FRAMES = 150  # 6 s


@contextmanager
def model_folder(size: str, dtype: str = "float32") -> Iterator[Path]:
    """A random checkpoint of a size that never ends a take by itself."""
    with tempfile.TemporaryDirectory() as folder:
        make_language_model(Path(folder), llama_tokenizer(), dtype=dtype, stream_end=0, **SIZES[size])
        yield Path(folder)


def prompts(tokenizer, texts: list[str]) -> list:
    """Lines in the voice of one reference."""
    start = [
        Message("system", "Speak."),
        Message("user", "What the reference says, in some words."),
        Message("assistant", random_codes(REFERENCE_FRAMES)),
    ]
    return [build_prompt([*start, Message("user", text)], tokenizer) for text in texts]


def reference_model(folder: Path, dtype: torch.dtype, device: str):
    """transformers' model of the same files."""
    from transformers import HiggsAudioV2ForConditionalGeneration

    return HiggsAudioV2ForConditionalGeneration.from_pretrained(folder, dtype=dtype).to(device).eval()


def reference_rows(model, prompt, rows: int, device: str, **how) -> int:
    """Have transformers' `generate` speak a prompt, sampled; returns the delayed rows that it wrote.

    Args:
        how: more of what `generate` takes.
    """
    inputs = {
        "input_ids": prompt.token_ids[None],
        "attention_mask": torch.ones(1, len(prompt), dtype=torch.long),
        "audio_input_ids": prompt.audio_rows[None],
        "audio_input_ids_mask": torch.ones(1, len(prompt.audio_rows), dtype=torch.bool),
    }
    made = model.generate(
        **{name: tensor.to(device) for name, tensor in inputs.items()},
        do_sample=True,
        temperature=0.7,
        top_k=50,
        top_p=0.95,
        max_new_tokens=rows,
        **how,
    )
    return made.shape[1] - len(prompt.audio_rows)


def path_bytes(model) -> int:
    """Bytes of the matrices that a frame goes through."""
    kinds = (Linear, *KINDS.values())
    text = ".text." if model.config.audio_path else "no such part"  # where there is one path, audio takes it
    parts = [part for name, part in model.layers.named_modules() if isinstance(part, kinds) and text not in name]
    return sum(part.weight.nbytes for part in (*parts, model.audio_head))


def in_turn(rounds: int, *calls: Callable[[int], object], cpu: list[list[float]] | None = None) -> list[list[float]]:
    """Seconds of each call in each round, the calls taking turns, after a round to warm up.

    Args:
        cpu: is given the seconds that the process worked, of each call; others on the machine change them less.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    worked: list[list[float]] = [[] for _ in calls]
    for turn in range(-1, rounds):
        for times, work, call in zip(seconds, worked, calls, strict=True):
            started, began = time.perf_counter(), time.process_time()
            call(max(turn, 0))
            if turn >= 0:
                times.append(time.perf_counter() - started)
                work.append(time.process_time() - began)
    if cpu is not None:
        cpu += worked
    return seconds


def ratios(theirs: list[float], ours: list[float]) -> list[float]:
    """How many times as fast ours are, round by round."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def spread(values: list[float], digits: int = 2) -> str:
    """Median, least and largest."""
    return f"{statistics.median(values):.{digits}f}  ({min(values):.{digits}f} … {max(values):.{digits}f})"


def write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_json(**fields) -> None:
    write(json.dumps(fields))


__all__ = ["ROOT", "load_model", "make_language_model", "random_codes"]

"""Frames per second of one sampled stream: this runtime and transformers' `generate`, in turn, on the same files.

    python dev.py bench decode_speed [--frames 100] [--rounds 5] [--device cuda --dtype bfloat16]

Prints a table and one JSON line. The ratio is taken within each round, so a machine that changes speed between
rounds does not change it; medians are quoted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tools")]

from helpers_checkpoint import llama_tokenizer, random_codes  # noqa: E402
from make_random_checkpoint import make_language_model  # noqa: E402

from higgs_runtime import Message, Sampling, build_prompt, generate, load_model  # noqa: E402

SIZES = {
    "tiny": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4, "num_attention_heads": 8,
             "num_key_value_heads": 4, "head_dim": 32},
    "small": {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8,
              "num_key_value_heads": 4, "head_dim": 64},
    "v2-width": {"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 4, "num_attention_heads": 24,
                 "num_key_value_heads": 8, "head_dim": 128},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny", "small"])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    args = parser.parse_args()
    rows = {size: measure(size, args) for size in args.sizes}
    write(f"{'size':<10}{'ours f/s':>10}{'transformers f/s':>18}{'ratio':>8}{'min':>8}{'max':>8}\n")
    for size, (ours, theirs) in rows.items():
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        write(f"{size:<10}{statistics.median(ours):>10.1f}{statistics.median(theirs):>18.1f}"
              f"{statistics.median(ratios):>8.2f}{min(ratios):>8.2f}{max(ratios):>8.2f}\n")
    write(json.dumps({"benchmark": "decode_speed", **vars(args), "frames_per_second": rows}) + "\n")


def measure(size: str, args: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Frames per second of each round, ours and transformers'."""
    from transformers import HiggsAudioV2ForConditionalGeneration

    dtype = getattr(torch, args.dtype)
    with tempfile.TemporaryDirectory() as folder:
        make_language_model(Path(folder), llama_tokenizer(), dtype=args.dtype, stream_end=0, **SIZES[size])
        ours = load_model(folder, device=args.device, dtype=dtype)
        theirs = HiggsAudioV2ForConditionalGeneration.from_pretrained(folder, dtype=dtype).to(args.device).eval()
        messages = [Message("system", "Speak."), Message("user", "Words."), Message("assistant", random_codes(75))]
        prompt = build_prompt([*messages, Message("user", "What shall be said, in some words.")], ours.tokenizer)
        results = [round_of(ours, theirs, prompt, args, seed) for seed in range(-1, args.rounds)][1:]  # one to warm up
    return [a for a, _ in results], [b for _, b in results]


def round_of(ours, theirs, prompt, args: argparse.Namespace, seed: int) -> tuple[float, float]:
    sampling = Sampling(temperature=0.7, max_frames=args.frames, seed=max(seed, 0))
    started = time.perf_counter()
    rows = len(generate(ours, [prompt], sampling)[0].rows)
    middle = time.perf_counter()
    inputs = {
        "input_ids": prompt.token_ids[None],
        "attention_mask": torch.ones(1, len(prompt), dtype=torch.long),
        "audio_input_ids": prompt.audio_rows[None],
        "audio_input_ids_mask": torch.ones(1, len(prompt.audio_rows), dtype=torch.bool),
    }
    their_rows = theirs.generate(
        **{name: tensor.to(args.device) for name, tensor in inputs.items()}, do_sample=True, temperature=0.7, top_k=50,
        top_p=0.95, max_new_tokens=rows,
    ).shape[1] - len(prompt.audio_rows)
    ended = time.perf_counter()
    return rows / (middle - started), their_rows / (ended - middle)


def write(text: str) -> None:
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

"""Frames per second of one sampled stream: this runtime and transformers' `generate`, in turn, on the same files.

    python dev.py bench decode_speed -- --sizes tiny small v2-width [--frames 100] [--rounds 5] [--device cuda]
                                           [--quantization int8]

"whole" counts the reading of the prompt in. "steps" is the time that the later frames add: a take of one frame is taken
off on both sides. Also how fast the weights on a frame's path are read in these steps, beside how fast this
machine reads memory at all. A quantization is of ours alone.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from _common import (
    SIZES,
    in_turn,
    load_model,
    model_folder,
    path_bytes,
    prompts,
    ratios,
    reference_model,
    reference_rows,
    spread,
    write,
    write_json,
)

from higgs_runtime import Sampling, generate
from higgs_runtime.model.quantization import KINDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny", "small"])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--quantization", choices=KINDS)
    args = parser.parse_args()
    write(f"{'size':<10}{'':<7}{'ours f/s':>10}{'transformers f/s':>18}   times as fast")
    found = {}
    for size in args.sizes:
        rows = found[size] = measure(size, args)
        for part in ("whole", "steps"):
            ours, theirs = rows[part]["ours"], rows[part]["transformers"]
            write(
                f"{size:<10}{part:<7}{statistics.median(ours):>10.1f}{statistics.median(theirs):>18.1f}   "
                f"{spread(ratios(ours, theirs))}"
            )
        weights = statistics.median(rows["steps"]["ours"]) * rows["path_gb"]
        memory = statistics.median(rows["read_gb"])
        write(f"{size:<10}weights are read at {weights:.1f} GB/s, memory at {memory:.1f}: {weights / memory:.2f}")
    write_json(benchmark="decode_speed", **vars(args), found=found)


def measure(size: str, args: argparse.Namespace) -> dict:
    """Frames per second of each round, ours and transformers', with and without the prompt; GB that a frame reads, and
    GB/s of reading memory."""
    dtype = getattr(torch, args.dtype)
    with model_folder(size, args.dtype) as folder:
        ours = load_model(folder, device=args.device, dtype=dtype, quantization=args.quantization)
        theirs = reference_model(folder, dtype, args.device)
        [prompt] = prompts(ours.tokenizer, ["What shall be said, in some words."])
        path = path_bytes(ours)
        block = torch.zeros(max(path // 4, 2**28 // 4), device=args.device)  # larger than any cache
        one, rows = 1 + ours.config.num_codebooks, args.frames + ours.config.num_codebooks

        def speak(frames: int):
            return lambda seed: generate(ours, [prompt], Sampling(temperature=0.7, max_frames=frames, seed=seed))

        seconds = in_turn(
            args.rounds,
            speak(args.frames),
            lambda seed: reference_rows(theirs, prompt, rows, args.device),
            speak(1),
            lambda seed: reference_rows(theirs, prompt, one, args.device),
            lambda seed: read(block),
        )
    whole = {name: [rows / each for each in seconds[n]] for n, name in enumerate(("ours", "transformers"))}
    steps = {
        name: [(rows - one) / (each - first) for each, first in zip(seconds[n], seconds[n + 2], strict=True)]
        for n, name in enumerate(("ours", "transformers"))
    }
    return {
        "whole": whole,
        "steps": steps,
        "path_gb": path / 1e9,
        "read_gb": [3 * block.nbytes / 1e9 / each for each in seconds[4]],
    }


def read(block: torch.Tensor) -> float:
    """Read a block of memory three times."""
    for _ in range(3):
        total = block.sum()
    return float(total)


if __name__ == "__main__":
    main()

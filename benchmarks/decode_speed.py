"""Frames per second of one sampled stream: this runtime and transformers' `generate`, in turn, on the same files.

    python dev.py bench decode_speed -- --sizes tiny small v2-width [--frames 100] [--rounds 5] [--device cuda]

Also how fast the weights on a frame's path are read, beside how fast this machine reads memory at all.
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
    prompts,
    ratios,
    reference_model,
    reference_rows,
    spread,
    write,
    write_json,
)

from higgs_runtime import Sampling, generate
from higgs_runtime.linear import Linear


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["tiny", "small"])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    args = parser.parse_args()
    write(f"{'size':<10}{'ours f/s':>10}{'transformers f/s':>18}   {'times as fast':<24}"
          f"{'GB/s of weights':>16}{'GB/s of memory':>16}{'share':>7}")
    found = {}
    for size in args.sizes:
        rows = found[size] = measure(size, args)
        ours, theirs, read = (statistics.median(rows[name]) for name in ("ours", "transformers", "read_gb"))
        weights, times = ours * rows["path_gb"], ratios(rows["ours"], rows["transformers"])
        write(f"{size:<10}{ours:>10.1f}{theirs:>18.1f}   {spread(times):<24}"
              f"{weights:>16.1f}{read:>16.1f}{weights / read:>7.2f}")
    write_json(benchmark="decode_speed", **vars(args), found=found)


def measure(size: str, args: argparse.Namespace) -> dict:
    """Frames per second of each round, ours and transformers'; GB that a frame reads, and GB/s of reading memory."""
    dtype = getattr(torch, args.dtype)
    with model_folder(size, args.dtype) as folder:
        ours, theirs = load_model(folder, device=args.device, dtype=dtype), reference_model(folder, dtype, args.device)
        [prompt] = prompts(ours.tokenizer, ["What shall be said, in some words."])
        path = path_bytes(ours)
        block = torch.zeros(max(path // 4, 2**28 // 4), device=args.device)  # larger than any cache
        rows = args.frames + ours.config.num_codebooks
        seconds = in_turn(
            args.rounds,
            lambda seed: generate(ours, [prompt], Sampling(temperature=0.7, max_frames=args.frames, seed=seed)),
            lambda seed: reference_rows(theirs, prompt, rows, args.device),
            lambda seed: read(block),
        )
    return {
        "ours": [rows / one for one in seconds[0]], "transformers": [rows / one for one in seconds[1]],
        "read_gb": [3 * block.nbytes / 1e9 / one for one in seconds[2]], "path_gb": path / 1e9,
    }


def path_bytes(model) -> int:
    """Bytes of the matrices that a frame goes through."""
    layers = [(name, part) for name, part in model.layers.named_modules() if isinstance(part, Linear)]
    return sum(part.weight.nbytes for name, part in layers if ".text." not in name) + model.audio_head.weight.nbytes


def read(block: torch.Tensor) -> float:
    """Read a block of memory three times."""
    for _ in range(3):
        total = block.sum()
    return float(total)


if __name__ == "__main__":
    main()

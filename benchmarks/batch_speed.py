"""Many lines: side by side against one after another, and a script against transformers line by line.

    python dev.py bench batch_speed -- [--size small] [--rounds 5] [--frames 75] [--device cuda]

The script has 24 lines in the voice of one 6 s reference. Also told: how many prompt positions were computed for it,
beside how many different ones there are.
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

from higgs_runtime import Sampling, Session, generate
from higgs_runtime.generation.prefix_cache import position_keys

LINES = 24
WORDS = "the old king walks home before night and sings of boats birds bread and the warm wind from the sea".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)
    with model_folder(args.size, args.dtype) as folder:
        ours, theirs = load_model(folder, device=args.device, dtype=dtype), reference_model(folder, dtype, args.device)
        lines = prompts(ours.tokenizer, [" ".join(WORDS[n % 7 : 8 + n % 11]) + f", {n}." for n in range(LINES)])
        sampling = Sampling(temperature=0.7, max_frames=args.frames)
        rows = args.frames + ours.config.num_codebooks
        together, apart, script, line_by_line = in_turn(
            args.rounds,
            lambda _: generate(ours, lines[:8], sampling),
            lambda _: [generate(ours, [line], sampling) for line in lines[:8]],
            lambda _: generate(ours, lines, sampling),
            lambda _: [reference_rows(theirs, line, rows, args.device) for line in lines],
        )
        takes = Session(ours).generate(lines, Sampling(max_frames=1))
    computed = sum(take.prompt_positions - take.reused_positions for take in takes)
    share = computed / different_positions([position_keys(line, ours.config) for line in lines])
    write(
        f"8 lines, {args.size}: {statistics.median(apart):.2f} s one after another, "
        f"{statistics.median(together):.2f} s side by side; times as fast: {spread(ratios(apart, together))}"
    )
    write(
        f"{LINES} lines, {args.size}: transformers {statistics.median(line_by_line):.2f} s, ours "
        f"{statistics.median(script):.2f} s; times as fast: {spread(ratios(line_by_line, script))}"
    )
    write(f"prompt positions computed / different ones: {share:.3f}")
    write_json(
        benchmark="batch_speed",
        **vars(args),
        apart=apart,
        together=together,
        script=script,
        transformers=line_by_line,
        positions=share,
    )


def different_positions(keys: list[torch.Tensor]) -> int:
    """Nodes of the tree that the prompts make when each beginning that several share counts once."""
    return len({tuple(map(tuple, one[: n + 1].tolist())) for one in keys for n in range(len(one))})


if __name__ == "__main__":
    main()

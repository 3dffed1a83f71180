"""Decoding codes of the released shapes: this runtime and `HiggsAudioV2TokenizerModel.decode`, in turn.

python dev.py bench codec_speed -- [--seconds 60] [--rounds 5] [--device cuda] [--ours-alone]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from _common import in_turn, random_codes, ratios, spread, write, write_json
from helpers_codec import RELEASED, make_codec_checkpoint

from higgs_runtime import load_codec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ours-alone", action="store_true", help="only what clean edges cost, without transformers")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        make_codec_checkpoint(Path(folder) / "codec", codebook_dim=64, **RELEASED)
        ours = load_codec(Path(folder) / "codec", device=args.device)
        codes, cpu = random_codes(round(args.seconds * 25)), []
        calls = [lambda _: ours.decode(codes), lambda _: ours.decode(codes, edges=False)]
        if not args.ours_alone:
            from transformers import HiggsAudioV2TokenizerModel

            theirs = HiggsAudioV2TokenizerModel.from_pretrained(Path(folder) / "codec").to(args.device).eval()
            there = codes.ids[None].to(args.device)
            calls.append(lambda _: theirs.decode(there))
        with torch.no_grad():
            mine, plain, *others = in_turn(args.rounds, *calls, cpu=cpu)
    for reference in others:
        write(
            f"{args.seconds:g} s of codes: transformers {statistics.median(reference):.2f} s, ours "
            f"{statistics.median(mine):.2f} s; times as fast: {spread(ratios(reference, mine))}"
        )
    write(
        f"clean edges: {spread(ratios(mine, plain), 3)} times as long as without, {spread(ratios(*cpu[:2]), 3)} times "
        "the work of the processor"
    )
    write_json(
        benchmark="codec_speed", **vars(args), ours=mine, transformers=others[:1], without_edges=plain, cpu=cpu[:2]
    )


if __name__ == "__main__":
    main()

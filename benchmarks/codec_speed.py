"""Decoding and encoding in the released shapes: this runtime and `HiggsAudioV2TokenizerModel`, in turn.

python dev.py bench codec_speed -- [--seconds 20 60] [--encode 6 20] [--rounds 5] [--device cuda] [--ours-alone]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from _common import in_turn, random_codes, ratios, spread, write, write_json
from helpers_codec import RELEASED, make_codec_checkpoint, sound_clip

from higgs_runtime import load_codec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, nargs="*", default=[20.0, 60.0], help="of codes to decode")
    parser.add_argument("--encode", type=float, nargs="*", default=[6.0, 20.0], help="seconds of sound to encode")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ours-alone", action="store_true", help="only what clean edges cost, without transformers")
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        make_codec_checkpoint(Path(folder) / "codec", codebook_dim=64, **RELEASED)
        ours, theirs = load_codec(Path(folder) / "codec", device=args.device), None
        if not args.ours_alone:
            from transformers import HiggsAudioV2TokenizerModel

            theirs = HiggsAudioV2TokenizerModel.from_pretrained(Path(folder) / "codec").to(args.device).eval()
        for seconds in args.encode if theirs else ():
            clip = sound_clip(seconds)
            other = partial(_ignoring, theirs.encode, clip.samples[None].to(args.device))
            calls = partial(_ignoring, ours.encode, clip), other
            found.append(compared(f"encode {seconds:g} s", "of transformers", args.rounds, *calls))
        for seconds in args.seconds:
            codes = random_codes(round(seconds * 25))
            mine = partial(_ignoring, ours.decode, codes)
            if theirs:
                other, what = partial(_ignoring, theirs.decode, codes.ids[None].to(args.device)), "of transformers"
            else:
                other, what = partial(_ignoring, partial(ours.decode, edges=False), codes), "without clean edges"
            found.append(compared(f"decode {seconds:g} s", what, args.rounds, mine, other))
    write_json(benchmark="codec_speed", **vars(args), threads=torch.get_num_threads(), found=found)


def _ignoring(function: Callable, given: object, turn: int) -> None:
    function(given)


def compared(what: str, other: str, rounds: int, *calls: Callable[[int], object]) -> dict:
    """Ours and another, in turn: medians of the ratios, by the clock and by the time of the process."""
    cpu: list[list[float]] = []
    ours, theirs = in_turn(rounds, *calls, cpu=cpu)
    write(
        f"{what}: ours {spread(ours)} s; {other} {spread(theirs)} s; times as fast: {spread(ratios(theirs, ours))}, "
        f"by the time of the process {spread(ratios(cpu[1], cpu[0]))}"
    )
    return {"what": what, "other": other, "ours": ours, "theirs": theirs, "cpu": cpu}


if __name__ == "__main__":
    main()

"""Time to the first sound when a line is streamed, beside the time of the whole line at once.

    python dev.py bench first_sound -- [--size small] [--seconds 20] [--rounds 5]

Language model of the given size with a 6 s reference, codec of the released shapes, both with random weights.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from _common import (
    REFERENCE_FRAMES,
    SIZES,
    in_turn,
    load_model,
    model_folder,
    random_codes,
    ratios,
    spread,
    write,
    write_json,
)
from helpers_codec import RELEASED, make_codec_checkpoint

from higgs_runtime import Sampling, Voice, load_codec, speak, speak_stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    with model_folder(args.size) as folder, tempfile.TemporaryDirectory() as codec_folder:
        make_codec_checkpoint(Path(codec_folder) / "codec", codebook_dim=64, **RELEASED)
        pair = {
            "model": load_model(folder, device=args.device),
            "codec": load_codec(Path(codec_folder) / "codec", device=args.device),
        }
        voice = Voice(random_codes(REFERENCE_FRAMES, codec=pair["codec"].identity), "What the reference says.")
        sampling = Sampling(temperature=0.7, max_frames=round(args.seconds * 25))
        rounds = [one_round(pair, voice, sampling) for _ in range(args.rounds + 1)][1:]
        cpu: list[list[float]] = []
        edged, plain = in_turn(
            3 * args.rounds,
            lambda _: first_sound(pair, voice, sampling, edges=True),
            lambda _: first_sound(pair, voice, sampling, edges=False),
            cpu=cpu,
        )
    first, streamed, offline = (list(times) for times in zip(*rounds, strict=True))
    share = [1 / one for one in ratios(offline, first)]
    write(
        f"first sound after {spread(first)} s; that is {spread(share)} of the {statistics.median(offline):.2f} s of "
        f"{args.seconds:g} s at once; all of it streamed: {spread(streamed)} s"
    )
    write(
        f"clean edges: {spread(ratios(edged, plain), 3)} times as long to the first sound as without, "
        f"{spread(ratios(*cpu), 3)} times the work of the processor; medians {statistics.median(edged):.3f} and "
        f"{statistics.median(plain):.3f} s"
    )
    write_json(
        benchmark="first_sound", **vars(args), first=first, streamed=streamed, offline=offline, edged=edged, plain=plain
    )


def first_sound(pair: dict, voice: Voice, sampling: Sampling, edges: bool) -> None:
    """Streams to the first sound, with or without clean edges."""
    codec = pair["codec"]
    codec.decode_stream = partial(type(codec).decode_stream, codec, edges=edges)
    try:
        with closing(speak_stream("What shall be said, in some words.", voice, sampling=sampling, **pair)) as clips:
            next(clips)
    finally:
        del codec.decode_stream


def one_round(pair: dict, voice: Voice, sampling: Sampling) -> tuple[float, float, float]:
    """Seconds to the first sound, to the last one of the stream, and of the whole line at once."""
    started = time.perf_counter()
    clips = speak_stream("What shall be said, in some words.", voice, sampling=sampling, **pair)
    next(clips)
    first = time.perf_counter() - started
    for _ in clips:
        pass
    streamed = time.perf_counter() - started
    speak("What shall be said, in some words.", voice, sampling=sampling, **pair)
    return first, streamed, time.perf_counter() - started - streamed


if __name__ == "__main__":
    main()

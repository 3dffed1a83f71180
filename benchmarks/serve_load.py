"""`higgs serve` under load: time to the first sound and throughput of many clients at once, beside one at a time.

    python dev.py bench serve_load -- [--size small] [--clients 64] [--seconds 2] [--rows 8] [--codec small]

A server process on this computer, with random weights; OpenAI's client streams PCM. Each line has the same length.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from _common import SIZES, model_folder, spread, write, write_json
from helpers_codec import RELEASED, SMALL, make_codec_checkpoint
from helpers_serve import NAME, Server, serve_process

WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--codec", choices=("small", "released"), default="small")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--singles", type=int, default=8, help="lines that are spoken one at a time")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    codec = {"codebook_dim": 64, **RELEASED} if args.codec == "released" else SMALL
    with model_folder(args.size) as folder, tempfile.TemporaryDirectory() as place:
        make_codec_checkpoint(Path(place, "codec"), **codec)
        options = {
            "model": folder,
            "codec": Path(place, "codec"),
            "name": NAME,
            "rows": args.rows,
            "positions": 1024,
            "max-waiting": args.clients,
            "device": args.device,
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        with serve_process(*arguments, cwd=Path(place)) as server:
            frames = round(args.seconds * 25)
            asyncio.run(load(server, WARM_UP, 1, frames))
            alone = asyncio.run(load(server, args.singles, 1, frames))
            together = asyncio.run(load(server, args.clients, args.clients, frames))
    for name, (first, whole, took) in (("one at a time", alone), (f"{args.clients} at once", together)):
        write(
            f"{name:>14}: first sound after {spread(first)} s, whole after {spread(whole)} s; "
            f"{len(first) / took:.2f} lines/s, {len(first) * args.seconds / took:.2f} s of audio a second"
        )
    gain = (len(together[0]) / together[2]) / (len(alone[0]) / alone[2])
    write(
        f"{args.rows} rows, {args.size}: {gain:.2f} times the throughput; first sound of the first {args.rows} after "
        f"{statistics.median(sorted(together[0])[: args.rows]):.2f} s (median)"
    )
    write_json(benchmark="serve_load", **vars(args), alone=alone, together=together, gain=gain)


async def load(server: Server, lines: int, clients: int, frames: int) -> tuple[list[float], list[float], float]:
    """Seconds to the first sound and to the end of each line, and of all of them, with so many clients at once."""
    waiting = asyncio.Queue()
    for n in range(lines):
        waiting.put_nowait(n)
    first, whole = [], []

    async def client() -> None:
        async with server.client() as speaker:
            while not waiting.empty():
                n, started = waiting.get_nowait(), time.perf_counter()
                async with speaker.audio.speech.with_streaming_response.create(
                    model=NAME,
                    voice="default",
                    input=f"Line number {n}, in some words.",
                    response_format="pcm",
                    extra_body={"stream": True, "seed": n, "temperature": 0.7, "max_new_tokens": frames},
                ) as answer:
                    heard = 0
                    async for piece in answer.iter_bytes():
                        if not heard:
                            first.append(time.perf_counter() - started)
                        heard += len(piece)
                assert heard == frames * 960 * 2, "a line was lost"
                whole.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return first, whole, time.perf_counter() - started


if __name__ == "__main__":
    main()

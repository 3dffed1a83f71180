"""A warm line of Higgs Nano alone and beside busy processes; what it costs to ask how many threads share a step.

    python dev.py bench busy -- [--rounds 8] [--busy 2] [--steps 300]

A busy process does nothing but count; there are as many as cores unless told otherwise. Quiet and busy lines take
turns, each after the threads had time to settle. Steps by a team that may shrink and by one of fixed size take
turns without company.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from _common import in_turn, load_model, ratios, spread, write, write_json

from higgs_runtime import Sampling, load_codec, speak
from higgs_runtime.cores import LONGEST, TeamSize, available
from higgs_runtime.generation.cpu_kernel.step import FusedStep
from higgs_runtime.hub import EMBEDDED

LINE = "The old bridge is warm today, and the bread is good."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--busy", type=int, default=available())
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    pair = {"model": load_model(EMBEDDED / "higgs-nano"), "codec": load_codec(EMBEDDED / "higgs-nano-codec")}
    speak(LINE, **pair)  # compiled, and all of it in memory
    alone, beside = [], []
    for _ in range(args.rounds):
        alone.append(settled_line(pair))
        with busy(args.busy):
            beside.append(settled_line(pair))
    fixed, asking = steps(pair["model"], args)
    write(f"{'a line alone':<40}{spread(alone)} s")
    write(f"{f'beside {args.busy} busy processes':<40}{spread(beside)} s")
    write(f"{'times as long, by medians':<40}{statistics.median(beside) / statistics.median(alone):.2f}")
    write(f"{'a step, the team fixed':<40}{spread([1e3 * each / args.steps for each in fixed], 3)} ms")
    write(f"{'a step, the team may shrink':<40}{spread([1e3 * each / args.steps for each in asking], 3)} ms")
    write(f"{'times as long':<40}{spread(ratios(asking, fixed), 3)}")
    write_json(benchmark="busy", **vars(args), alone=alone, beside=beside, fixed=fixed, asking=asking)


def settled_line(pair: dict) -> float:
    """Seconds of a line, after others for as long as a team stays halved."""
    until = time.perf_counter() + LONGEST + 0.5
    while time.perf_counter() < until:
        speak(LINE, sampling=Sampling(seed=1), **pair)
    started = time.perf_counter()
    speak(LINE, sampling=Sampling(seed=1), **pair)
    return time.perf_counter() - started


@contextmanager
def busy(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@torch.no_grad()
def steps(model, args: argparse.Namespace) -> list[list[float]]:
    """Seconds of many steps of one row in each round: by all threads, and by as many as are kept on their cores."""
    ids = torch.zeros((1, model.config.num_codebooks), dtype=torch.long)
    none, uniform = ids.new_zeros((0, *ids.shape)), torch.rand(2, *ids.shape)

    def steps_with(team_size: TeamSize | None):
        cache = model.new_cache(args.steps + 1)
        step = FusedStep(model, cache, team_size=team_size)
        step.speak_as([Sampling(ras_window=0)])

        def run(_):
            for position in range(args.steps):
                cache.lengths[0] = position
                step.draw(ids, none, uniform)

        return run

    return in_turn(4 * args.rounds, steps_with(None), steps_with(TeamSize()))


if __name__ == "__main__":
    main()

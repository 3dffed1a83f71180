"""The first seconds: a whole process of `higgs say` with a built-in voice, beside one of `import torch`, in turn.

    python dev.py bench cold_start -- [--rounds 7] [--text "…"] [--voice rose]

The disk is warm, and what is compiled or kept on a computer once is there already: a round before the first one sees to
that. Seconds by the wall and of all cores (user and system) of each process; on a busy machine the latter say more.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _common import ROOT, ratios, spread, write, write_json

TEXT = "The old dog and the cat walk by the river, and it is cold."  # 4 s and a little by rose


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--voice", default="rose")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "import torch": ["-c", "import torch"],
            "higgs say": [
                *("-m", "higgs_runtime.cli", "say", args.text, "--voice", args.voice),
                *("-o", str(Path(folder) / "said.wav")),
            ],
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for number in range(-1, args.rounds):
            for name, command in commands.items():
                seconds = one(command)
                if number >= 0:
                    found[name].append(seconds)
    wall, busy = ({name: [one[n] for one in rounds] for name, rounds in found.items()} for n in (0, 1))
    for name in commands:
        write(f"{name:<14}{spread(wall[name])} s, of which busy {statistics.median(busy[name]):.2f} s")
    write(f"times as long: {spread(ratios(wall['higgs say'], wall['import torch']))}")
    write(f"in time of cores: {spread(ratios(busy['higgs say'], busy['import torch']))}")
    write_json(benchmark="cold_start", **vars(args), wall=wall, busy=busy)


def one(command: list[str]) -> tuple[float, float]:
    """Seconds by the wall and of all cores of one Python process."""
    before, started = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, busy


if __name__ == "__main__":
    main()

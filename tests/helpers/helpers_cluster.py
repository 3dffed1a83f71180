"""A driver that renders a script on a cluster, as a program that can be killed; and what it and its workers are.

    python helpers_cluster.py ADDRESS FOLDER    writes one line an event into FOLDER/log-N

The checkpoint in float64: in float32 another company of a line rounds otherwise, and turns a draw of a random model now
and then.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers"), str(ROOT / "tools")]

from helpers_checkpoint import random_codes  # noqa: E402
from helpers_rendering import rendered_on_cluster  # noqa: E402

from higgs_runtime import RenderSettings, Sampling, TakeStore, Voice, parse_script  # noqa: E402
from higgs_runtime.cluster import ClusterSettings, Engine  # noqa: E402

LINES = 200
VOICES = {"Anna": Voice(random_codes(9, seed=1), "Says Anna."), "Ben": Voice(random_codes(10, seed=2), "Says Ben.")}
SAMPLING = Sampling(temperature=1.0, seed=5, max_frames=10)
SETTINGS = RenderSettings(batch=4)


def engine(folder: Path) -> Engine:
    return Engine(str(folder / "lm"), device="cpu", dtype="float64")


def script_of(lines: int = LINES):
    names = list(VOICES)
    return parse_script(
        "\n".join(f"[{names[n % 3 == 0]}] This is line {n}{' and so on' * (n % 7)}." for n in range(lines))
    )


def render(address: str, folder: Path, log: Path, lines: int = LINES):
    """Every event as one whole line, so that it is there when the program is killed."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(*words) -> None:
        os.write(file, (" ".join(map(str, words)) + "\n").encode())

    def on_line(line, state, seconds) -> None:
        note(state, line.number)

    found = rendered_on_cluster(
        script_of(lines),
        VOICES,
        engine(folder),
        SAMPLING,
        SETTINGS,
        store=TakeStore(folder / "takes"),
        cluster=ClusterSettings(address),
        on_line=on_line,
        on_workers=lambda pool: note("pool", pool),
    )
    for one in found.lines:
        note("line", one.line.number, one.key, int(one.stored))
    os.close(file)


def children(parent: int, name: str) -> list[int]:
    """Processes of this name that a process started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace")
                started_by = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended
            if started_by == parent and name in words:
                found.append(int(folder.name))
    return found


if __name__ == "__main__":
    where = Path(sys.argv[2])
    render(sys.argv[1], where, where / f"log-{len(list(where.glob('log-*')))}")

"""Everything that a GPU shows, in one command of at most 8 minutes: the tests marked `gpu`, and a table of speeds.

    python dev.py bench gpu
    python dev.py bench gpu -- --device cpu --shape small      the same code, for a test of it

Models in the released shapes with random weights, made on the device: v2 and v3 in bfloat16, int8 and int4, 1 to 32
lines side by side, the first sound, the codec, memory, and transformers in turn. Each stage is a process with a time of
its own, and the table (Markdown and a line of JSON) is written anew after each: who stops it keeps what there is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from _common import ROOT, write
from _gpu_stages import STAGES, Place, Row

from higgs_runtime.atomic_write import write_bytes

MINUTES = 8.0
OUTPUT = ROOT / ".bench" / "gpu.md"
LEAST_S = 5.0  # that a stage is begun for
NO_GPU = (
    "There is no CUDA GPU here that torch can use. Run this on a machine with one, or try the script itself with\n"
    "    python dev.py bench gpu -- --device cpu --shape small"
)
Found = dict[str, Row]
GOALS: list[tuple[str, Callable[[Found], float], float]] = [  # what, from what was found, at least
    ("v3 bf16, 1 line: share of the measured bandwidth", lambda found: found["v3 bf16 share"].value, 0.75),
    ("v3, 1 line: int8 / bf16", lambda found: found["v3 int8 1"].value / found["v3 bf16 1"].value, 1.5),
    ("v2, 1 line: int8 / bf16", lambda found: found["v2 int8 1"].value / found["v2 bf16 1"].value, 1.5),
    ("v3 bf16, 16 lines: s of audio a second (H100 class)", lambda found: found["v3 bf16 16"].value, 60.0),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", choices=("released", "small"), default="released")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of all stages together (default: %(default)g)")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the table (default: .bench/gpu.md)")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if torch.device(args.device).type == "cuda" and not torch.cuda.is_available():
        write(NO_GPU)
        return 2
    if args.stage:
        with torch.no_grad():
            for row in STAGES[args.stage][1](Place(args.device, args.shape == "small", args.seconds)):
                write(json.dumps(row))
        return 0
    ends, table = time.monotonic() + 60 * args.minutes, Table(args)
    for name in args.stages:
        seconds = min(STAGES[name][0], ends - time.monotonic())
        table.add(name, *run_stage(name, seconds, args))
    write(table.path.read_text(encoding="utf-8"))
    return 1 if table.failed else 0


def run_stage(name: str, seconds: float, args: argparse.Namespace) -> tuple[str, list[Row]]:
    """How a stage ended, and the rows that it said until then."""
    if seconds < LEAST_S:
        return "left out: no time was left", []
    command = [sys.executable, __file__, "--stage", name, "--device", args.device, "--shape", args.shape]
    command += ["--seconds", str(0.6 * seconds)]  # it stops by itself, before it is stopped
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as child:
        try:
            said, _ = child.communicate(timeout=seconds)
            how = "done" if child.returncode == 0 else f"failed ({child.returncode}); what it said stands above"
        except subprocess.TimeoutExpired:
            _kill(child)
            how, (said, _) = "cut", child.communicate()
        finally:
            _kill(child)
    rows = [Row(*json.loads(line)) for line in said.decode().splitlines() if line.startswith("[") and line[-1] == "]"]
    return f"{how}, {time.monotonic() - started:.0f} s", rows


def _kill(child: subprocess.Popen) -> None:
    """With what it has started, such as pytest, so that nothing of it is in the way of the next stage."""
    if child.poll() is not None:
        return
    if hasattr(os, "killpg"):
        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()


class Table:
    """What was found until now, in a file that is always whole."""

    def __init__(self, args: argparse.Namespace):
        self.path, self._shape = args.output, args.shape
        self._machine = machine(args.device)
        self._found: Found = {}
        self._ended: dict[str, str] = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def failed(self) -> bool:
        tests = [self._found[key].value for key in ("tests failed", "tests error") if key in self._found]
        return any(how.startswith("failed") for how in self._ended.values()) or any(tests)

    def add(self, stage: str, how: str, rows: list[Row]) -> None:
        self._ended[stage] = how
        self._found |= {row.key: row for row in rows}
        write_bytes(self.path, self.text().encode())
        write(f"[bench] {stage}: {how}; {len(rows)} rows in {self.path}")

    def text(self) -> str:
        about = "; ".join(f"{name} {value}" for name, value in self._machine.items())
        parts = [f"# GPU benchmark\n\n{about}; shapes: {self._shape}; weights: random"]
        goals = [(what, *self._goal(value, least)) for what, value, least in GOALS]
        parts.append(_markdown(("goal", "found", "at least", ""), goals))
        rows = [(row.what, f"{row.value:.4g}", row.unit) for row in self._found.values()]
        parts.append(_markdown(("what", "found", "unit"), rows))
        parts.append(_markdown(("stage", "ended"), list(self._ended.items())))
        found = {key: row.value for key, row in self._found.items()}
        told = {"benchmark": "gpu", "shape": self._shape, **self._machine, "found": found, "stages": self._ended}
        return "\n\n".join(parts) + f"\n\n```json\n{json.dumps(told)}\n```\n"

    def _goal(self, value: Callable[[Found], float], least: float) -> tuple[str, str, str]:
        try:
            found = value(self._found)
        except KeyError:
            return "–", f"{least:g}", "not measured"
        return f"{found:.3g}", f"{least:g}", "met" if found >= least else "missed"


def _markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine(device: str) -> dict[str, str]:
    """The device, its driver, and the versions that its speed hangs on."""
    found = {"device": platform.processor() or platform.machine(), "driver": "none"}
    if torch.device(device).type == "cuda":
        about = torch.cuda.get_device_properties(torch.device(device))
        found = {"device": f"{about.name}, {about.total_memory / 2**30:.0f} GiB", "driver": _driver()}
        found["compute"] = f"{about.major}.{about.minor}"
        found["CUDA"] = str(torch.version.cuda or torch.version.hip)
    found |= {"torch": torch.__version__, "Python": platform.python_version(), "system": platform.platform()}
    for package in ("transformers", "triton"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def _driver() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown"
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    said = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False).stdout.strip()
    return said.splitlines()[0] if said else "unknown"


if __name__ == "__main__":
    sys.exit(main())

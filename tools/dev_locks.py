"""Which exact versions `.venv` gets: a file for each Python and kind of machine, written by `python dev.py lock`.

Standard library only. Where there is no file, or with `--newest`, the newest versions are taken.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

LOCKS = Path(__file__).resolve().parent / "locks"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
MACHINES = {  # as `this_machine` says it -> as uv does
    "linux-x86_64": "x86_64-manylinux_2_28",
    "darwin-arm64": "aarch64-apple-darwin",
    "win32-amd64": "x86_64-pc-windows-msvc",
}
MACOS = "14.0"  # the oldest that the tested torch has wheels for
# What a row of the table in CONTRIBUTING.md names.
TOLD = ("torch", "transformers", "numba", "av", "librosa", "comfyui-frontend-package", "ray", "pytest")


def this_machine() -> str:
    return f"{sys.platform}-{platform.machine().lower()}"


def lock_file(python: str | None = None, machine: str | None = None) -> Path:
    """The file for a Python ("3.11") and a machine; it need not exist."""
    python = python or "{}.{}".format(*sys.version_info[:2])
    return LOCKS / f"python-{python}-{machine or this_machine()}.txt"


def locked() -> Path | None:
    """The file for this Python on this machine, if there is one."""
    file = lock_file()
    return file if file.is_file() else None


def pins(text: str) -> dict[str, str]:
    """Name → version of a lock file."""
    rows = (line.split("==") for line in text.splitlines() if line and not line.startswith("#"))
    return {name.strip().lower().replace("_", "-"): version.split(";")[0].strip() for name, version in rows}


def write_lock(uv: Path, python: str, machine: str, packages: list[str]) -> Path:
    """Resolve the packages to the newest versions that fit each other there, and write them down.

    Raises:
        subprocess.CalledProcessError: no versions fit each other; what uv says is in its stderr.
    """
    with tempfile.TemporaryDirectory() as temp:
        wanted, found = Path(temp) / "wanted.in", Path(temp) / "found.txt"
        wanted.write_text("\n".join(packages) + "\n", encoding="utf-8")
        command = [
            str(uv),
            "pip",
            "compile",
            str(wanted),
            "--python-version",
            python,
            "--python-platform",
            MACHINES[machine],
            "--no-header",
            "--no-annotate",
            "--quiet",
            "-o",
            str(found),
        ]
        subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS}
        )
        lines = found.read_text(encoding="utf-8")
    file = lock_file(python, machine)
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"# Written by `python dev.py lock`: Python {python} on {machine}.\n{lines}", encoding="utf-8")
    return file


def versions_row(python: Path) -> str:
    """A row for the table in CONTRIBUTING.md: what an environment has of the packages that matter most."""
    ask = (
        "import datetime, platform, sys; from importlib.metadata import version; print('| ' + ' | '.join(["
        "str(datetime.date.today()), platform.python_version(), *map(version, sys.argv[1:])]) + ' |')"
    )
    done = subprocess.run([str(python), "-c", ask, *TOLD], capture_output=True, text=True, check=True)
    return done.stdout.strip()

"""The environments beside `.venv` that `python dev.py test` makes: other versions of what we promise to work with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def python_of(name: str) -> Path:
    """The Python of `.venv-<name>`; skips the test where there is none."""
    folder = ROOT / f".venv-{name}"
    python = folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {folder.name} here: `python dev.py test` makes it")
    return python

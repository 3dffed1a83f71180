"""What the commands share: how models are named, progress, warnings, Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

from ..errors import HiggsWarning, SettingError

NAMING = "folder with config.json, or name below a models folder, or a part of it that no other has"


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models-dir", type=Path, action="append",
        help="where models are (default: $HIGGS_MODELS, models/higgs_audio here and in $COMFYUI_PATH)",
    )


def named(found: list, kind: str, name: str):
    """The checkpoint at this path, of this name, or with this in its name as the only one."""
    from ..catalog import checkpoint_at

    if name and (there := checkpoint_at(name)):
        return there
    found = [item for item in found if (item.kind in (kind, "") or item.is_codec(kind)) and not item.missing]
    chosen = [item for item in found if item.name == name] or [item for item in found if name in item.name]
    if len(chosen) == 1:
        return chosen[0]
    raise SettingError(
        f"Which {'language model' if kind == 'lm' else 'codec'}?",
        expected=NAMING, got=f"'{name}', where there are {', '.join(item.name for item in found) or 'none'}",
        remedy="Name one of them, or put one into a models folder (see: higgs models).",
    )


@contextmanager
def plain_warnings():
    """Our warnings as one line each, without the file and line that Python adds."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message, category, *where):
            if not issubclass(category, HiggsWarning):
                return usual(message, category, *where)
            progress("")
            sys.stderr.write(f"higgs: {message}\n")

        warnings.showwarning = show
        warnings.simplefilter("always", HiggsWarning)
        yield


def progress(text: str) -> None:
    """One line that is written over; only where a person looks."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + text)
        sys.stderr.flush()


class StopOnInterrupt:
    """The first Ctrl-C asks the generation to stop, and what is spoken is kept; the second ends at once."""

    def __enter__(self):
        self.asked = False
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGINT, self._before)

    def _ask(self, *_):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        sys.stderr.write("\nhiggs: stopping; what is spoken so far will be saved (Ctrl-C again drops it)\n")

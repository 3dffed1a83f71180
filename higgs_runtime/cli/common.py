"""What the commands share: how models are named, progress, warnings, Ctrl-C."""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
import time
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..choices import DEVICES, DTYPES, FRAME_RATES, QUANTIZATIONS
from ..errors import HiggsWarning, SettingError
from ..settings import FRAMES_A_SECOND, SETTINGS

REQUIRED = ("torch", "transformers", "safetensors", "filelock", "numpy", "librosa", "pydub")  # as pyproject.toml
BROUGHT = ("soundfile", "soxr")  # by librosa
SAMPLING = ("temperature", "top_k", "top_p", "seed", "ras_window", "ras_max_repeats", "max_seconds")
LINE_S = 10.0  # from one line of progress to the next, where there is no terminal
_last_line: float | None = None  # when it was written; at first, when there was something to tell
NAMING = "a folder with config.json or a .gguf file, or the name of one in a models folder, or a unique part of it"


def check_requirements() -> None:
    """Before anything is spoken: that all is installed which speaking and writing may need.

    Raises:
        SettingError: a package is missing.
    """
    missing = [name for name in (*REQUIRED, *BROUGHT) if find_spec(name) is None]
    if missing:
        raise SettingError(
            "The requirements are not installed.",
            expected=", ".join(REQUIRED),
            got="no " + ", ".join(missing),
            remedy="pip install -r requirements.txt, in the pack's folder.",
        )


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models-dir",
        type=Path,
        action="append",
        help="folder of the models (default: $HIGGS_MODELS, models/higgs_audio here and in $COMFYUI_PATH)",
    )


def named(found: list, kind: str, name: str):
    """The checkpoint at this path, of this name, or with this in its name as the only one."""
    from ..hub import checkpoint_at

    if name and (there := checkpoint_at(name)):
        return there
    found = [item for item in found if (item.kind in (kind, "") or item.is_codec(kind)) and item.usable]
    chosen = [item for item in found if item.name == name] or [item for item in found if name in item.name]
    if len(chosen) == 1:
        return chosen[0]
    raise SettingError(
        f"Which {'language model' if kind == 'lm' else 'codec'}?",
        expected=NAMING,
        got=f"'{name}', where there are {', '.join(item.name for item in found) or 'none'}",
        remedy="Name one of them, or put one into a models folder (see: higgs models).",
    )


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """Options of these settings; their values are called as the settings are."""
    for name in names:
        one = SETTINGS[name]
        how: dict[str, Any]
        if one.kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
        else:
            how = {"type": one.kind, "metavar": "SECONDS" if name.endswith("_s") else None}
        parser.add_argument(
            f"--{(one.option or name).replace('_', '-')}",
            dest=name,
            default=one.default,
            help=f"{one.help} (default: %(default)s)",
            **how,
        )


def add_timing(parser: argparse.ArgumentParser) -> None:
    """How the times of subtitles become those of the film; see `timing_of`."""
    add_settings(parser, "subtitle_offset")
    known = ", ".join(FRAME_RATES)
    parser.add_argument(
        "--from-fps",
        choices=FRAME_RATES,
        metavar="RATE",
        help=f"frames a second of the copy of the film that the subtitles were made for: {known} (default: not known)",
    )
    parser.add_argument(
        "--to-fps", choices=FRAME_RATES, metavar="RATE", help="frames a second of your film (default: the same)"
    )


def timing_of(args: argparse.Namespace):
    """The Retiming that was asked for.

    Raises:
        SettingError: an offset out of its range, or one rate without the other.
    """
    from ..script import Retiming

    return Retiming(args.subtitle_offset, args.from_fps, args.to_fps)


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """How the next ids are chosen; see `sampling_of`."""
    add_settings(parser, *SAMPLING)


def sampling_of(args: argparse.Namespace):
    """The Sampling that was asked for.

    Raises:
        SettingError: a value out of its range.
    """
    from ..types import Sampling

    SETTINGS["max_seconds"].check(args.max_seconds, called="max-seconds")
    return Sampling(
        max_frames=math.ceil(args.max_seconds * FRAMES_A_SECOND),
        **{name: getattr(args, name) for name in SAMPLING if name != "max_seconds"},
    )


def add_checkpoints(parser: argparse.ArgumentParser) -> None:
    """Which model and codec, and how they are loaded; see `chosen` and `loading_of`."""
    parser.add_argument("--model", help=f"language model: {NAMING} (default: the first one found, else the pack's)")
    parser.add_argument("--codec", help=f"codec: {NAMING} (default: the first one found, else the pack's)")
    parser.add_argument("--device", choices=DEVICES, help="default: a GPU if there is one")
    parser.add_argument(
        "--quantization",
        choices=QUANTIZATIONS,
        help="keep the matrices of the language model in 8 or 4 bits: smallest, and int8 and int4 fastest on a CPU; "
        "fp8 is 8-bit floats, for GPUs that multiply them (default: as they are)",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        help="number format of the rest of the language model (default: bfloat16 on a GPU; on a CPU too "
        "if it is stored so, else float32)",
    )
    add_models_dir(parser)


def chosen(args: argparse.Namespace) -> tuple:
    """The checkpoints of the language model and of the codec: those that were named, the others by default."""
    from ..hub import default_pair, find_checkpoints, model_roots

    found = find_checkpoints(model_roots(args.models_dir))
    asked = {"lm": args.model, "codec": args.codec}
    return default_pair(found, *(named(found, kind, name) if name else None for kind, name in asked.items()))


def loading_of(args: argparse.Namespace, model: Path) -> dict:
    """How the language model in a folder is loaded: `device`, `dtype` and `quantization` of `load_model`.

    Raises:
        SettingError: this computer lacks the device.
    """
    import torch

    from ..devices import pick_device
    from ..model.loading import auto_dtype

    device = args.device or pick_device()
    dtype = auto_dtype(model, device)  # or the error that it is not there
    return {
        "device": device,
        "dtype": getattr(torch, args.dtype) if args.dtype else dtype,
        "quantization": args.quantization,
    }


def add_lora(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="FOLDER[=STRENGTH]",
        help="LoRA adapter on the language model: a folder in PEFT's format, or the name of one in "
        f"a models folder; several add up. {SETTINGS['lora_strength'].help} (default: 1)",
    )


def adapters_of(args: argparse.Namespace) -> list[tuple[str, float]]:
    """(folder, strength) of each adapter that was asked for.

    Raises:
        SettingError: there is no such adapter, or its strength is out of range.
    """
    from ..hub import find_adapters, model_roots

    found = []
    library = find_adapters(model_roots(args.models_dir)) if args.lora else {}
    for given in args.lora:
        folder, _, strength = given.rpartition("=")
        if not folder or Path(given).is_dir() or given in library:
            folder, strength = given, "1"
        place = Path(folder) if Path(folder).is_dir() else library.get(folder)
        if place is None:
            raise SettingError(
                f"There is no LoRA '{folder}'.",
                got="no such folder",
                expected=f"a folder with adapter_config.json or one of {', '.join(library) or 'none'}",
                remedy="Name such a folder, and its strength behind an equals sign: my-lora=0.8.",
            )
        try:
            by = float(SETTINGS["lora_strength"].read(strength))
        except ValueError as error:
            raise SettingError(
                f"The strength of the LoRA '{folder}' cannot be used.",
                expected=str(error),
                got=f"'{strength}'",
                remedy="Write such a number, or leave it out.",
            ) from error
        found.append((str(place.absolute()), by))
    return found


@contextmanager
def adapted_model(path: Path, loading: dict, adapters: list[tuple[str, float]]):
    """The language model with its adapters, as long as the with-block runs."""
    from ..model import adapted, load_adapter, load_model

    loaded = [(load_adapter(folder), strength) for folder, strength in adapters]  # a wrong one is told before loading
    model = load_model(path, **loading)
    with adapted(model, loaded):
        yield model


def tell_what_speaks(lm) -> None:
    """What a person should know of the model that was chosen."""
    from ..hub import notice_of

    sys.stderr.write(notice_of(lm))


@contextmanager
def plain_messages():
    """Our warnings and notes as one line each, without the file and line that Python adds."""
    global _last_line
    _last_line = None  # of this command
    log, told = logging.getLogger(__name__.rsplit(".", 2)[0]), _MessageHandler()
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message, category, *where):
            if not issubclass(category, HiggsWarning):
                return usual(message, category, *where)
            _tell(str(message))

        warnings.showwarning = show
        warnings.simplefilter("always", HiggsWarning)
        before = log.level
        log.addHandler(told)
        log.setLevel(logging.INFO)
        try:
            yield
        finally:
            log.removeHandler(told)
            log.setLevel(before)


class _MessageHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _tell(record.getMessage())


def _tell(message: str) -> None:
    """One line of our own, in place of the progress that stands there."""
    progress("")
    sys.stderr.write(f"higgs: {message}\n")


def progress(text: str) -> None:
    """One line that is written over where a person looks; elsewhere, as in a log, one now and then."""
    global _last_line
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + text)
        sys.stderr.flush()
    elif text:
        now = time.monotonic()
        if _last_line is not None and now - _last_line < LINE_S:
            return
        if _last_line is not None:  # what is quickly done needs none
            sys.stderr.write(f"higgs: {text}\n")
            sys.stderr.flush()
        _last_line = now


class StopOnInterrupt:
    """The first Ctrl-C asks the generation to stop, and what is spoken is kept; the second ends at once.

    Args:
        says: what happens then.
    """

    def __init__(self, says: str = "stopping; what is spoken so far will be saved (Ctrl-C again drops it)"):
        self.says = says

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
        sys.stderr.write(f"\nhiggs: {self.says}\n")


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        SettingError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"'{path}' cannot be read.",
            expected="a text file in UTF-8",
            got=str(error),
            remedy="Check the path, or save the file as UTF-8.",
        ) from error

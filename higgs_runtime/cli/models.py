"""`higgs models` and `higgs convert`: what is there, and writing it anew, smaller."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from ..choices import CONVERSIONS, DTYPES
from ..errors import SettingError
from .common import NAMING, add_models_dir, named, progress


def add(commands) -> None:
    models = commands.add_parser(
        "models",
        help="list the installed models: what they are, their size on the disk → in memory, and what they lack",
    )
    models.add_argument("name", nargs="?", default="", help="show only models whose name contains this")
    models.add_argument("--words", action="store_true", help="list the words that the language model NAME can speak")
    add_models_dir(models)
    models.set_defaults(run=_models)

    convert = commands.add_parser("convert", help="write a smaller copy of a language model or a codec")
    convert.add_argument("model", help=f"language model or codec: {NAMING}")
    convert.add_argument("target", type=Path, help="folder to create")
    convert.add_argument("--codec", action="store_true", help="convert a codec (also the one in a v3 checkpoint)")
    convert.add_argument("--quantization", choices=CONVERSIONS, help="of a language model (default: int8)")
    convert.add_argument(
        "--dtype",
        choices=DTYPES,
        help="number format of what stays in floating point (default: bfloat16; "
        "for a codec: float16); load it with the same one",
    )
    add_models_dir(convert)
    convert.set_defaults(run=_convert)


def _models(args: argparse.Namespace) -> None:
    from ..devices import pick_device
    from ..hub import Loading, describe_checkpoint, find_checkpoints, model_roots

    roots = model_roots(args.models_dir)
    found = find_checkpoints(roots)
    if args.words:
        _list_words(named(found, "lm", args.name))
        return
    names = {"lm": "language model", "codec": "codec", "": "unknown"}
    listed = [item for item in found if args.name in item.name]
    how = Loading(pick_device())
    wide = max((len(item.label) for item in listed), default=0)
    for item in listed:
        about = f" · {item.title}{item.extent}" if item.display_name or item.extent else ""
        sys.stdout.write(f"{names[item.kind]:<15} {item.label:<{wide}}  {describe_checkpoint(item, how)}{about}\n")
    if not listed:
        sys.stdout.write(
            f"No models{f' with {args.name} in their name' if args.name else ''} in {', '.join(map(str, roots))}\n"
        )


def _list_words(checkpoint) -> None:
    """In columns and under a heading for a person, one a line for a program."""
    if checkpoint.vocabulary is None:
        raise SettingError(
            f"{checkpoint.title} speaks any text.",
            expected="a model that speaks only some words",
            got="one without a vocabulary",
            remedy="See which ones have one: higgs models",
        )
    words = sorted(checkpoint.vocabulary)
    width = max(map(len, words)) + 2
    count = 1
    if sys.stdout.isatty():
        count = max(1, shutil.get_terminal_size().columns // width)
        sys.stdout.write(f"{checkpoint.title}{checkpoint.extent}:\n")
    for start in range(0, len(words), count):
        row = words[start : start + count]
        sys.stdout.write("".join(f"{word:<{width}}" for word in row).rstrip() + "\n")


def _convert(args: argparse.Namespace) -> None:
    import torch

    from ..hub import checkpoint_at, convert_codec, convert_model, describe_checkpoint, find_checkpoints, model_roots

    if args.codec and args.quantization:
        raise SettingError(
            "A codec is not quantized.",
            expected="--codec or --quantization",
            got="both",
            remedy="Leave one of them out.",
        )
    source = named(find_checkpoints(model_roots(args.models_dir)), "codec" if args.codec else "lm", args.model)

    def show(done: int, total: int) -> None:
        progress(f"writing {args.target} … {100 * done // total} %")

    if args.codec:
        made = convert_codec(source.path, args.target, dtype=getattr(torch, args.dtype or "float16"), on_progress=show)
    else:
        made = convert_model(
            source.path,
            args.target,
            args.quantization or "int8",
            on_progress=show,
            dtype=getattr(torch, args.dtype or "bfloat16"),
        )
    progress("")
    written = checkpoint_at(made)
    assert written is not None  # it is a folder with a config.json
    after = describe_checkpoint(written)
    sys.stdout.write(f"{made}: {after.size} ({source.path.name} has {describe_checkpoint(source).size})\n")

"""`higgs takes`: the takes that are kept."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

from ..outputs import check_folder
from .common import NAMING, add_models_dir, named

SHOWN = 10  # digits of a key: enough to find it
TEXT_CHARS = 60


def add(commands) -> None:
    takes = commands.add_parser("takes", help="list, export, lock and prune the takes of scripts")
    actions = takes.add_subparsers(required=True, metavar="ACTION")

    listed = actions.add_parser("ls", help="list takes, most recently used first; * marks a locked one")
    listed.add_argument("-n", type=int, default=50, help="maximum number; 0: all (default: %(default)s)")
    listed.set_defaults(run=_ls)

    pruned = actions.add_parser("prune", help="delete the least recently used takes; locked ones stay")
    pruned.add_argument("--gb", type=float, default=2.0, help="size to keep, in GB (default: %(default)s)")
    pruned.add_argument("--all", action="store_true", help="also takes used in the last hour")
    pruned.set_defaults(run=_prune)

    exported = actions.add_parser("export", help="write takes as sound files; existing files are kept")
    exported.add_argument(
        "keys", nargs="*", metavar="KEY", help="first characters of a key, as ls shows it (default: all)"
    )
    exported.add_argument(
        "-o", "--output", type=Path, default=Path("takes"), metavar="FOLDER", help="default: %(default)s"
    )
    exported.add_argument("--format", choices=("flac", "wav"), default="flac", help="default: %(default)s")
    exported.add_argument("--codec", help=f"{NAMING} (default: the first one, else the pack's)")
    add_models_dir(exported)
    exported.set_defaults(run=_export)

    for name, what in (("lock", "keep takes and use them for their lines"), ("unlock", "undo a lock")):
        changed = actions.add_parser(name, help=what)
        changed.add_argument("keys", nargs="+", metavar="KEY", help="first characters of a key, as ls shows it")
        changed.set_defaults(run=_change, action=name)
    for parser in actions.choices.values():
        add_takes_dir(parser)


def add_takes_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--takes-dir",
        "--store",
        metavar="FOLDER|URL",
        help="folder of the takes; a URL such as "
        "s3://bucket/prefix needs the extra fsspec (default: $HIGGS_TAKES, else your cache)",
    )


def store_of(args: argparse.Namespace):
    """The store that was named, or this user's."""
    from ..takes import open_takes

    return open_takes(args.takes_dir)


def _ls(args: argparse.Namespace) -> None:
    store = store_of(args)
    found = store.list()
    for one in found[: args.n or None]:
        take = store.peek(one.key)
        if take is not None:
            sys.stdout.write(_row(one, take) + "\n")
    size, locked = sum(one.bytes for one in found), sum(one.locked for one in found)
    sys.stdout.write(f"{len(found)} takes, {size / 1e6:.1f} MB, {locked} locked, in {store.where}\n")


def _row(stored, take) -> str:
    line, _, seed = stored.key.partition("-")
    wer = take.meta.get("wer")
    heard = f"{wer:4.0%}" if isinstance(wer, (int, float)) else "   -"
    text = " ".join(str(take.meta.get("text", "")).split())
    text = text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(stored.used))
    return (
        f"{'*' if stored.locked else ' '} {line[:SHOWN]}-{seed}  {when}  {take.codes.seconds:6.2f} s  {heard}  "
        f"{take.meta.get('speaker', '')}: {text}"
    )


def _prune(args: argparse.Namespace) -> None:
    from ..errors import check_range
    from ..takes.store import GRACE_S

    check_range("gb", args.gb, 0.0, 1e6)
    store = store_of(args)
    done = store.prune(math.floor(args.gb * 1e9), grace_s=0.0 if args.all else GRACE_S)
    sys.stdout.write(
        f"{done.files} files deleted, {done.bytes / 1e6:.1f} MB; {done.left_bytes / 1e6:.1f} MB left, of "
        f"which {done.kept_bytes / 1e6:.1f} MB are locked or in use\n"
    )


def _export(args: argparse.Namespace) -> None:
    from ..codec import load_codec
    from ..hub import default_pair, find_checkpoints, model_roots
    from ..takes import export_takes

    store = store_of(args)
    keys = [store.find(key) for key in args.keys] or None
    found = find_checkpoints(model_roots(args.models_dir))
    codec = named(found, "codec", args.codec) if args.codec else default_pair(found)[1]
    check_folder(args.output)
    if keys is None and not store.list():
        sys.stderr.write(f"higgs: there are no takes in {store.where}\n")
    for path in export_takes(store, args.output, load_codec(codec.path), keys, suffix=f".{args.format}"):
        sys.stdout.write(f"{path}\n")


def _change(args: argparse.Namespace) -> None:
    store = store_of(args)
    for key in [store.find(key) for key in args.keys]:
        (store.lock_take if args.action == "lock" else store.unlock_take)(key)
        sys.stdout.write(f"{args.action}ed {key}\n")

"""`higgs script`: what is wrong in a script, and where."""

from __future__ import annotations

import argparse
import codecs
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..choices import PromptFormat
from ..errors import ScriptError
from .common import add_timing, timing_of

if TYPE_CHECKING:
    from ..text.tags import Placement

GENERATIONS = {"v2": PromptFormat.NATIVE, "v3": PromptFormat.V3}  # and the layouts of their prompts


def add(commands) -> None:
    script = commands.add_parser("script", help="check a script or subtitles")
    actions = script.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="list errors and warnings as file:line:column: …; status 1 on an error")
    check.add_argument("file", type=Path, help="script in UTF-8, or .srt, .vtt, .ass, .ssa")
    check.add_argument("--turns", action="store_true", help="also list the turns and cues")
    check.add_argument(
        "--prepared",
        choices=GENERATIONS,
        metavar="v2|v3",
        help="show each turn as a model of this version reads it, and what was changed",
    )
    check.add_argument(
        "--fix",
        action="store_true",
        help="mend the tags of v3 in the file: misspelt ones, those that do not lead their sentence, sounds without "
        "letters",
    )
    check.add_argument(
        "--placement",
        choices=("lead", "gentle"),
        default="lead",
        help="with --fix: emotions before their sentence (Boson AI's advice), or behind its first word "
        "(default: %(default)s)",
    )
    add_timing(check)
    check.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from ..script import describe_script, read_script

    if args.fix:
        _fix(args.file, args.placement)
    try:
        script = read_script(args.file, timing_of(args))
    except ScriptError as error:
        if not error.line:
            raise
        message = str(error).removeprefix(f"Line {error.line}, column {error.column}: ")
        sys.stdout.write(f"{args.file}:{error.line}:{error.column}: error: {message}\n")
        return 1
    for warning in script.warnings:
        place = f"{args.file}:{warning.line}:{warning.column}" if warning.line else f"{args.file}"
        sys.stdout.write(f"{place}: warning: {warning.message}\n")
    if args.turns:
        sys.stdout.write(describe_script(script) + "\n")
    if args.prepared:
        _show_prepared(script, GENERATIONS[args.prepared])
    return 0


def _fix(file: Path, placement: Placement) -> None:
    """Mend the tags in a script's file; nothing else in it changes.

    Raises:
        ScriptError: it cannot be read, or is subtitles.
    """
    from ..atomic_write import write_bytes
    from ..script.subtitles import FORMATS, decode_text
    from ..text.tags import mended, tag_faults

    if file.suffix.lower() in FORMATS:
        raise ScriptError(
            "Only the tags of scripts are mended.",
            expected="a script",
            got=f"subtitles ({file.suffix})",
            remedy="Leave out --fix, or save them as a script first (higgs script check lists the turns).",
        )
    text = decode_text(file)
    for fault in tag_faults(text, placement=placement):
        if fault.edits:
            line = text.count("\n", 0, fault.start) + 1
            sys.stdout.write(f"{file}:{line}: mended: {fault.message}\n")
    if (new := mended(text, placement=placement)) != text:
        mark = file.read_bytes()[:3]
        known = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
        encoding = next((name for bom, name in known.items() if mark.startswith(bom)), "utf-8")
        write_bytes(file, new.encode(encoding))


def _show_prepared(script, layout: str) -> None:
    """Each turn as the model reads it; a line below says what was changed."""
    from ..text.normalize import prepare_text

    for number, turn in enumerate(script.turns, start=1):
        prepared = prepare_text(turn.text, layout)
        sys.stdout.write(f"{number:>4} {prepared.text}\n")
        sys.stdout.writelines(f"     {line}\n" for line in prepared.changed())

"""`higgs script`: what is wrong in a script, and where."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import ScriptError


def add(commands) -> None:
    script = commands.add_parser("script", help="look at a script or at subtitles")
    actions = script.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="list errors and warnings as file:line:column: …; status 1 on an error")
    check.add_argument("file", type=Path, help="script in UTF-8, or .srt, .vtt, .ass, .ssa")
    check.add_argument("--turns", action="store_true", help="list the turns and cues, too")
    check.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from ..script import describe_script, read_script

    try:
        script = read_script(args.file)
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
    return 0

"""`higgs script`: what is wrong in a script, and where; a script directed by a chat server."""

from __future__ import annotations

import argparse
import codecs
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..choices import PromptFormat
from ..errors import ScriptError, SettingError, StoppedError
from ..outputs import check_target
from .common import StopOnInterrupt, add_settings, add_timing, progress, timing_of

if TYPE_CHECKING:
    from ..text.tags import Placement

GENERATIONS = {"v2": PromptFormat.NATIVE, "v3": PromptFormat.V3}  # and the layouts of their prompts


def add(commands) -> None:
    script = commands.add_parser("script", help="check a script or subtitles, or have it directed")
    actions = script.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="list errors and warnings as file:line:column: …; status 1 on an error")
    check.add_argument("file", type=Path, help="script in UTF-8, or .srt, .vtt, .ass, .ssa, .epub, .html")
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
    _add_direct(actions)


def _add_direct(actions) -> None:
    direct = actions.add_parser(
        "direct",
        help="have a chat server say who speaks, and where tags stand; no word changes",
        description="The text is sent to the server. What it proposes is shown as a diff, and written with -o.",
    )
    direct.add_argument("file", type=Path, help="script in UTF-8, or .srt, .vtt, .ass, .ssa, .epub, .html")
    direct.add_argument("--book", action="store_true", help="the file is plain text, a story")
    direct.add_argument(
        "--server", required=True, metavar="URL", help="with OpenAI's chat API, as http://127.0.0.1:8080/v1"
    )
    direct.add_argument("--model", default="", help="name of the model there (default: the first that it has)")
    direct.add_argument(
        "--key-variable", default="", metavar="NAME", help="environment variable that holds the server's key"
    )
    direct.add_argument("--tags", choices=("none", "v2", "v3"), default="v2", help="what may be added (default: v2)")
    direct.add_argument("--keep-speakers", action="store_true", help="nobody is given another speaker")
    direct.add_argument("--instructions", default="", help="what the server should know beside the text")
    direct.add_argument(
        "--timeout", type=float, default=120.0, metavar="S", help="seconds without a byte (default: 120)"
    )
    add_settings(direct, "chunk_chars")
    direct.add_argument("-o", "--output", type=Path, help="the directed script")
    direct.set_defaults(run=_direct)


def _check(args: argparse.Namespace) -> int:
    from ..script import check_no_timing, describe_script, is_book, read_book, read_script

    if args.fix:
        _fix(args.file, args.placement)
    try:
        timing = timing_of(args)
        if is_book(args.file):
            check_no_timing(args.file, timing)
            script = read_book(args.file)
        else:
            script = read_script(args.file, timing)
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


def _direct(args: argparse.Namespace) -> int:
    import difflib

    from ..atomic_write import write_bytes
    from ..remote.chat import ChatServer
    from ..remote.direct import DirectSettings, direct
    from ..script import is_book, read_book, read_script
    from ..script.write import write_script

    script = (read_book if args.book or is_book(args.file) else read_script)(args.file)
    if args.output:
        check_target(args.output, [args.file], {".txt": "", ".md": ""}, "scene.txt")
    server = ChatServer(args.server, args.model, _key(args.key_variable), args.timeout)
    settings = DirectSettings(args.tags, not args.keep_speakers, args.instructions, args.chunk_chars)
    with StopOnInterrupt("stopping; nothing is written") as stop:
        try:
            found = direct(
                script,
                server,
                settings,
                on_progress=lambda done, total: progress(f"directing: {100 * done // max(1, total)} %"),
                should_stop=lambda: stop.asked,
            )
        except StoppedError as error:
            raise KeyboardInterrupt from error
        finally:
            progress("")
    before, after = (write_script(one).splitlines(keepends=True) for one in (script, found.script))
    sys.stdout.writelines(difflib.unified_diff(before, after, str(args.file), str(args.output or "directed"), n=1))
    sys.stderr.write(f"{found.report()}\n")
    if args.output:
        write_bytes(args.output, write_script(found.script).encode())
    return 0


def _key(variable: str) -> str:
    """What an environment variable holds; it is the person's own who calls."""
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        raise SettingError(
            f"The environment variable {variable} is not set.",
            expected="the server's key",
            got="nothing",
            remedy="Set it, or leave out --key-variable.",
        )
    return key


def _fix(file: Path, placement: Placement) -> None:
    """Mend the tags in a script's file; nothing else in it changes.

    Raises:
        ScriptError: it cannot be read, or is subtitles.
    """
    from ..atomic_write import write_bytes
    from ..script import is_book
    from ..script.subtitles import FORMATS, decode_text
    from ..text.tags import mended, tag_faults

    if file.suffix.lower() in FORMATS or is_book(file):
        raise ScriptError(
            "Only the tags of scripts are mended.",
            expected="a script",
            got=f"'{file.suffix}'",
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

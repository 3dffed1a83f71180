"""The `higgs` command, one file a group of commands; each adds its parsers in `add`."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress

from .. import __version__
from ..errors import HiggsError, SettingError
from . import (
    captions,
    download,
    dub,
    edit,
    master,
    models,
    render,
    render_script,
    respeak,
    say,
    script,
    serve,
    takes,
    voices,
)
from .comfy_client import EXAMPLE
from .common import plain_messages

EPILOG = f"""examples:
  higgs models
  higgs models nano --words
  higgs say "Good morning." -o morning.flac
  higgs say "Good morning." --voice clip.wav --transcript "What the clip says." -o morning.flac
  higgs voices add keeper clip.wav --listen --note "Read by me, CC0."
  higgs script check scene.txt
  higgs respeak morning.flac --voice rose -o rose.flac
  higgs render-script scene.txt --voice Anna=clip.wav --voice Ben=ross -o scene.flac
  higgs render-script novel.txt --book --voice rose -o novel.m4b
  higgs dub film.mp4 subtitles.srt -o dub.mp4
  higgs takes ls
  higgs edit talk.wav --replace "red=blue"
  higgs continue talk.wav "The weather is good today."
  higgs captions talk.wav --style karaoke -o talk.vtt
  higgs master book.wav --norm acx --format mp3 --tag "title:The old bridge" --consent "Read by me."
  higgs serve --port 8000
  higgs render workflows/api/clone_voice.json {EXAMPLE} -o renders
"""


CLOSED = 141  # as a shell tells of SIGPIPE


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 an error that was explained, 130 interrupted, 141 the
    reader of its output has gone."""
    args = _arguments(argv)
    _write_whatever_there_is()
    try:
        with plain_messages(), _interrupts_as_such():
            status = args.run(args) or 0
            sys.stdout.flush()  # a full disk is told here, not when Python ends
            return status
    except HiggsError as error:
        sys.stderr.write(f"higgs: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nhiggs: interrupted\n")
        return 130
    except BrokenPipeError:  # as of `higgs takes ls | head`
        _drop_output()
        return CLOSED
    except OSError as error:  # of the system, wherever it comes from; no fault of the program
        _drop_output()
        sys.stderr.write(f"higgs: {_explained(error)}\n")
        return 1


@contextmanager
def _interrupts_as_such():
    """Ctrl-C while a package is imported may end in the package's own error: it is no fault of an installation."""
    pressed, before = False, signal.getsignal(signal.SIGINT)

    def press(*_):
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    ours = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    try:
        if ours:
            signal.signal(signal.SIGINT, press)
        yield
    except ImportError as error:
        if pressed:
            raise KeyboardInterrupt from error
        raise
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


def _write_whatever_there_is() -> None:
    """Names of files need not be text, and a pipe may take only some letters: what it does not take is escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """What could not be written is not tried again when Python ends."""
    with suppress(OSError):
        sys.stdout.flush()
        return
    with suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _explained(error: OSError) -> HiggsError:
    where = f" with '{error.filename}'" if error.filename is not None else ""
    return SettingError(
        f"The system refused to go on{where}.",
        expected="files, folders and a terminal that may be read and written",
        got=error.strerror or str(error) or repr(error),
        remedy="Check permissions and free disk space, then run the command again.",
    )


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    """What was asked for; to words that are left over it is said what a shell does to a text without quotes."""
    parser = _parser()
    args, left = parser.parse_known_args(argv)
    if left:
        quotes = "" if any(word.startswith("-") for word in left) else '; what holds spaces stands in "quotes"'
        parser.error(f"unrecognized arguments: {' '.join(left)}{quotes}")
    return args


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="higgs",
        description="Higgs Audio without a canvas.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"higgs {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (
        say,
        render_script,
        dub,
        edit,
        respeak,
        takes,
        voices,
        models,
        download,
        script,
        captions,
        master,
        render,
        serve,
    ):
        group.add(commands)
    return parser

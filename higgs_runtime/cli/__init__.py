"""The `higgs` command, one file a group of commands; each adds its parsers in `add`."""

from __future__ import annotations

import argparse
import sys

from .. import __version__
from ..errors import HiggsError
from . import download, master, models, render, render_script, say, script, serve, takes, voices
from .comfy_client import EXAMPLE
from .common import plain_messages

EPILOG = f"""examples:
  higgs models
  higgs models nano --words
  higgs say "Good morning." -o morning.flac
  higgs say "Good morning." --voice clip.wav --transcript "What the clip says." -o morning.flac
  higgs voices add keeper clip.wav --listen --note "Read by me, CC0."
  higgs script check scene.txt
  higgs render-script scene.txt --voice Anna=clip.wav --voice Ben=ross -o scene.flac
  higgs render-script novel.txt --book --voice rose -o novel.m4b
  higgs takes ls
  higgs master book.wav --norm acx --format mp3 --tag "title:The old bridge" --consent "Read by me."
  higgs serve --port 8000
  higgs render workflows/api/clone_voice.json {EXAMPLE} -o renders
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 an error that was explained, 130 interrupted."""
    args = _arguments(argv)
    try:
        with plain_messages():
            return args.run(args) or 0
    except HiggsError as error:
        sys.stderr.write(f"higgs: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nhiggs: interrupted\n")
        return 130


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
        prog="higgs", description="Higgs Audio without a canvas.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"higgs {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (say, render_script, takes, voices, models, download, script, master, render, serve):
        group.add(commands)
    return parser

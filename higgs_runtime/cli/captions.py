"""`higgs captions`: when each word of a recording is said, as subtitles."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..atomic_write import write_bytes
from ..choices import CAPTION_FORMATS, CAPTION_STYLES
from ..errors import SettingError
from ..outputs import check_target
from ..settings import CAPTION_LIMITS
from .common import add_settings, read_text

SUFFIXES = tuple(f".{kind}" for kind in CAPTION_FORMATS)


def add(commands) -> None:
    captions = commands.add_parser("captions", help="find when each word of a recording is said, and make subtitles")
    captions.add_argument("file", type=Path, help="a sound file with speech")
    words = captions.add_mutually_exclusive_group()
    words.add_argument("--text", help="what is said (default: what is heard)")
    words.add_argument("--text-file", type=Path, help="a text file with what is said, in UTF-8")
    captions.add_argument("--language", help="of the speech, as en, de or zh (default: it is heard)")
    captions.add_argument("--recognizer", help="name or folder (default: the first that is found)")
    captions.add_argument("--style", choices=CAPTION_STYLES, default="captions", help="default: %(default)s")
    add_settings(captions, *CAPTION_LIMITS)
    captions.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help=f"{', '.join(SUFFIXES)} (default: SRT on the screen)"
    )
    captions.set_defaults(run=_captions)


def _captions(args: argparse.Namespace) -> None:
    from ..audio.clip import AudioClip
    from ..script import CaptionLimits, captions_text, describe_captions
    from ..verification import heard_times, load_recognizer, word_times

    limits = CaptionLimits(*(getattr(args, name) for name in CAPTION_LIMITS))
    kind = "srt"
    if args.output is not None:
        check_target(args.output, [args.file], SUFFIXES, "captions.srt")
        kind = args.output.suffix[1:].lower()
    captions_text([], kind, args.style, limits)  # what cannot be written is said before the long work
    text = read_text(args.text_file) if args.text_file else args.text
    if text is not None and not text.strip():
        raise SettingError("There is no text.", expected="what is said", got="none", remedy="Leave it out to be heard.")
    clip, ears = AudioClip.load(args.file), load_recognizer(args.recognizer)
    if text is None:
        words = heard_times(clip, ears, args.language)
    else:
        words = word_times(clip, text, recognizer=ears, language=args.language)
    made = captions_text(words, kind, args.style, limits)
    if args.output is None:
        sys.stdout.write(made)
    else:
        write_bytes(args.output, made.encode())
        sys.stdout.write(f"{args.output}\n")
    sys.stderr.write(f"{describe_captions(words, limits)}\n")

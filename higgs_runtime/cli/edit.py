"""`higgs edit` and `higgs continue`: a recording says other words, or goes on."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import ExitStack
from pathlib import Path

from ..choices import EXPORT_FORMATS
from ..errors import SettingError
from ..outputs import check_folder
from .common import (
    StopOnInterrupt,
    adapted_model,
    adapters_of,
    add_checkpoints,
    add_lora,
    add_sampling,
    add_settings,
    check_requirements,
    chosen,
    loading_of,
    progress,
    read_text,
    sampling_of,
    tell_what_speaks,
)

NO_RECOGNIZER = "none"
UNPARTED = "\u0e00"  # Thai; most scripts that put no spaces between words come after it


def add(commands) -> None:
    edit = commands.add_parser("edit", help="change the words of a recording; all else stays as it was recorded")
    edit.add_argument("file", type=Path, help="a sound file with speech of one person")
    edit.add_argument("text", nargs="?", help='what it shall say, in whole; "-" reads it from standard input')
    edit.add_argument(
        "--replace",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="in place of a whole text: words of the transcript and what is said for them; either may be empty, and "
        "there may be several",
    )
    _add_shared(edit, "{title} edited", candidates=None)
    edit.set_defaults(run=_edit)

    go_on = commands.add_parser("continue", help="continue a recording in its voice and its room")
    go_on.add_argument("file", type=Path, help="a sound file with speech of one person")
    go_on.add_argument("text", help='what follows; "-" reads it from standard input')
    add_settings(go_on, "pause_s")
    _add_shared(go_on, "{title} continued", candidates=2)
    go_on.set_defaults(run=_continue)


def _add_shared(parser: argparse.ArgumentParser, name: str, candidates: int | None) -> None:
    words = parser.add_mutually_exclusive_group()
    words.add_argument("--transcript", help="what the recording says (default: what is heard)")
    words.add_argument("--transcript-file", type=Path, help="a text file with what it says, in UTF-8")
    parser.add_argument("--language", help="of the recording, as en, de or zh (default: it is heard)")
    parser.add_argument(
        "--recognizer", help=f"name or folder, or {NO_RECOGNIZER} (default: the first that knows the language)"
    )
    add_settings(parser, "candidates")
    if candidates is not None:
        parser.set_defaults(candidates=candidates)
    parser.add_argument("-o", "--output", type=Path, default=Path("."), metavar="FOLDER", help="default: this folder")
    parser.add_argument(
        "--name", default=name, help="name of the new file (default: %(default)s); nothing is overwritten"
    )
    parser.add_argument("--format", choices=EXPORT_FORMATS, default="flac 16-bit", help="default: %(default)s")
    parser.add_argument("--consent", default="", help="for the note in the file: who agreed to the change")
    add_sampling(parser)
    add_checkpoints(parser)
    add_lora(parser)


def _edit(args: argparse.Namespace) -> None:
    from ..editing import edit_speech, heard_text

    if (args.text is None) == (not args.replace):
        raise SettingError(
            "What shall be changed is not clear.",
            expected="the whole new text, or --replace",
            got="both" if args.replace else "neither",
            remedy='As in: higgs edit talk.wav --replace "Monday=Tuesday"',
        )

    def run(clip, transcript: str, speaking):
        said = transcript or heard_text(clip, speaking)
        if not transcript:
            sys.stderr.write(f"heard: {said}\n")
        text = _text(args.text) if args.text is not None else replaced(said, args.replace)
        return edit_speech(clip, said, text, speaking)

    _run(args, run)


def _continue(args: argparse.Namespace) -> None:
    from ..editing import speak_on

    _run(
        args,
        lambda clip, transcript, speaking: speak_on(
            clip, transcript, _text(args.text), speaking, pause_s=None if args.pause_s < 0 else args.pause_s
        ),
    )


def replaced(transcript: str, pairs: list[str]) -> str:
    """A transcript with words in place of others, whole ones in scripts that part them; a pair without old words is
    said at its end.

    Raises:
        SettingError: no equals sign, or old words that do not stand there exactly once.
    """
    for pair in pairs:
        old, equals, new = (one.strip() for one in pair.partition("="))
        there = re.escape(old) if max(old, default="") >= UNPARTED else rf"(?<!\w){re.escape(old)}(?!\w)"
        count = len(re.findall(there, transcript)) if old else 1
        if not equals or count != 1:
            raise SettingError(
                f"--replace “{pair}” cannot be done.",
                expected="OLD=NEW, where OLD stands exactly once in the transcript",
                got=f"{count} times" if equals else "no equals sign",
                remedy="Give some words around it as well, or the whole new text.",
            )
        transcript = re.sub(there, lambda _, new=new: new, transcript) if old else f"{transcript} {new}"
    return transcript


def _text(given: str) -> str:
    return sys.stdin.read() if given == "-" else given


def _run(args: argparse.Namespace, run) -> None:
    check_requirements()
    from ..audio.clip import AudioClip, within_full_scale
    from ..audio.files import About, Provenance, export_audio
    from ..codec import load_codec
    from ..editing import Speaking
    from ..model import load_model
    from ..verification import first_recognizer, load_recognizer

    check_folder(args.output)
    sampling, clip = sampling_of(args), AudioClip.load(args.file)
    transcript = read_text(args.transcript_file) if args.transcript_file else args.transcript or ""
    if args.recognizer is None:
        first = first_recognizer(args.language, args.models_dir)
        ears = first and first[1]
    else:
        ears = None if args.recognizer == NO_RECOGNIZER else load_recognizer(args.recognizer, folders=args.models_dir)
    lm, codec = chosen(args)
    loading, adapters = loading_of(args, lm.path), adapters_of(args)
    tell_what_speaks(lm)
    with StopOnInterrupt() as stop, ExitStack() as opened:
        model = (
            opened.enter_context(adapted_model(lm.path, loading, adapters))
            if adapters
            else load_model(lm.path, **loading)
        )
        speaking = Speaking(
            model=model,
            codec=load_codec(codec.path, device=loading["device"]),
            recognizer=ears,
            language=args.language,
            sampling=sampling,
            candidates=args.candidates,
            on_step=lambda done, total: progress(f"{done} of {total} steps"),
            should_stop=lambda: stop.asked,
        )
        try:
            made = run(clip, transcript, speaking)
        except Exception as error:
            progress("")
            if stop.asked:
                raise KeyboardInterrupt from error
            raise
    progress("")
    about = About(
        tags={"title": args.file.stem},
        provenance=Provenance(lm.title, "of the recording", args.consent, lm.credit, made.within)
        if made.within
        else None,
    )
    written = export_audio(within_full_scale(made.clip), args.output, args.name, args.format, about=about)
    sys.stderr.write("\n".join([str(made), *written.notes]) + "\n")
    sys.stdout.write(f"{written.path}\n")

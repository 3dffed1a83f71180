"""`higgs respeak`: what is said in one recording, spoken again in another voice."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ..outputs import partial_name
from .common import (
    StopOnInterrupt,
    add_settings,
    check_requirements,
    chosen,
    progress,
    read_text,
    tell_what_speaks,
)
from .render_script import add_speaking, inputs_of, performed, status_of

SETTINGS = ("takes_per_slot", "slowest", "fastest", "follow_db", "max_takes", "batch", "silence_s", "prepare")
AS_RENDERED = {  # what a script's render asks for beyond
    "mode": "independent",
    "context_turns": 4,
    "takes": 1,
    "max_chars": 300,
    "choose": "",
    "book": True,
    "spell_numbers": False,
    "marks": False,
    "carry_emotion": False,
}


def add(commands) -> None:
    parser = commands.add_parser(
        "respeak",
        help="say again, in another voice, what is said in a recording",
        description="The words are performed anew, at the times that they have in the recording, as loud and soft as "
        "there; its sound is not converted, and its tune is not kept. The same command again speaks only what is new.",
    )
    parser.add_argument("file", type=Path, help="a sound file with speech")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="wav, flac, mp3, opus, m4a; subtitles and a time line beside it",
    )
    parser.add_argument(
        "--voice",
        action="append",
        required=True,
        metavar="[SPEAKER=]VOICE",
        dest="voices",
        help="who speaks: an audio file with its words in a .txt beside it, or the name of a voice of the library or "
        "of the pack; with SPEAKER= for those of a script",
    )
    words = parser.add_mutually_exclusive_group()
    words.add_argument("--text", help="what is said (default: what is heard)")
    words.add_argument(
        "--text-file",
        type=Path,
        help="a UTF-8 file with what is said; as a script with speakers, turns keep theirs",
    )
    parser.add_argument("--language", help="of the speech, as en (default: it is heard)")
    parser.add_argument("--recognizer", metavar="NAME", help="who hears the recording, and each take")
    add_settings(parser, *SETTINGS)
    parser.add_argument("--compare-voices", action="store_true", help="compare takes with their references")
    parser.add_argument("--stems", action="store_true", help="also each speaker alone")
    add_speaking(parser)
    parser.set_defaults(run=_run, **AS_RENDERED)


def _run(args: argparse.Namespace) -> int:
    check_requirements()
    from ..audio.clip import AudioClip
    from ..audio.files.export import Provenance
    from ..rendering import check_output, deliver, respoken, script_of_recording
    from ..verification import first_recognizer, load_recognizer
    from .render_view import progress_view

    check_output(args.output, [args.file])
    text = read_text(args.text_file) if args.text_file else args.text or ""
    lm, codec_at = chosen(args)
    tell_what_speaks(lm)
    clip = AudioClip.load(args.file)
    found = None if args.recognizer else first_recognizer(args.language, args.models_dir)
    ears = found[1] if found else load_recognizer(args.recognizer, folders=args.models_dir)
    args.listen = args.recognizer or (found[0] if found else "")

    def told(stage: str, done: float, total: float) -> None:
        progress(f"{stage}: {done:.0f} of {total:.0f} s" if stage == "listening" else stage)

    script = script_of_recording(clip, ears, text=text, language=args.language, on_stage=told)
    inputs = inputs_of(args, script, [])
    check_output(args.output, inputs)
    stop = StopOnInterrupt("stopping; what is spoken so far is kept (Ctrl-C again ends at once)")
    with progress_view() as view, stop:
        view.stop = stop
        codec, cast, performance = performed(args, script, lm, codec_at, view)
        progress("")
        sys.stderr.write("".join(f"higgs: {warning}\n" for warning in cast.warnings))
        view.spoken(performance)
        if not any(spoken.take for spoken in performance.lines):
            raise KeyboardInterrupt
        with tempfile.TemporaryDirectory(prefix="higgs-") as spool:
            made = respoken(clip, performance, codec, follow_db=args.follow_db, spool=spool)
            delivered = deliver(
                made.assembly,
                args.output if performance.complete else partial_name(args.output),
                stems=args.stems,
                inputs=inputs,
                provenance=Provenance(lm.title, ", ".join(dict.fromkeys(cast.sources)), args.consent, lm.credit),
                replace=performance.complete,
            )
        sys.stderr.write("".join(f"{note}\n" for note in delivered.notes))
        view.done(performance, delivered.files)
    return status_of(performance, args)

"""`higgs dub`: the lines of a film's subtitles, each in the voice of its own actor, over the film's sound."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic_write import write_bytes
from ..errors import SettingError
from ..outputs import partial_name
from .common import (
    StopOnInterrupt,
    add_timing,
    check_requirements,
    chosen,
    progress,
    read_text,
    tell_what_speaks,
    timing_of,
)
from .render_script import add_how, add_speaking, check_listening, inputs_of, performed, status_of

if TYPE_CHECKING:
    from ..dubbing import FilmReferences, FilmSound

TABLE = ".speakers.txt"  # behind the stem of the result


def add(commands) -> None:
    parser = commands.add_parser(
        "dub",
        help="speak the subtitles of a film, each line in the voice of its own actor, over the film's sound",
        description="References are found in the film, for each speaker or each cue. Every line is kept on the disk as "
        "soon as it is spoken: the same command again speaks only what is new. Beside the result lies a table of who "
        "speaks which cue; correct it, and give it back with --speakers.",
    )
    parser.add_argument("film", type=Path, help="a video, or its sound")
    parser.add_argument("file", type=Path, metavar="subtitles", help=".srt, .vtt, .ass or .ssa: what is to be spoken")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="wav, flac, mp3, opus, m4a; or mp4, mkv, mov: a copy of the film with this sound",
    )
    parser.add_argument(
        "--original",
        type=Path,
        metavar="SUBTITLES",
        help="in the film's own language, at its times, where the others translate it",
    )
    add_timing(parser)
    parser.add_argument("--film-language", metavar="CODE", help="of the film, as en (default: it is heard)")
    parser.add_argument(
        "--each",
        choices=("speaker", "cue"),
        default="speaker",
        help="cue: lines of 1 s and more have their own reference, with its feeling (default: %(default)s)",
    )
    parser.add_argument(
        "--count", type=int, default=0, help="speakers among cues without a name (default: as many as are heard)"
    )
    parser.add_argument(
        "--speakers", type=Path, metavar="FILE", help="a corrected table: lines as 3: Anna, 3-7: Anna, Voice A = Anna"
    )
    parser.add_argument("--table-only", action="store_true", help="only find the speakers, and write the table")
    parser.add_argument(
        "--bed", type=Path, help="music and effects without voices, from the film's beginning (default: its own sound)"
    )
    parser.add_argument(
        "--bed-depth", type=float, default=18.0, help="dB that the film's sound goes down under a line (default: 18)"
    )
    parser.add_argument(
        "--voice",
        action="append",
        default=[],
        metavar="[SPEAKER=]VOICE",
        dest="voices",
        help="in place of the film's own: an audio file with its words in a .txt beside it, or the name of a voice",
    )
    add_how(parser)
    parser.add_argument("--stems", action="store_true", help="also each speaker and the film's sound alone")
    parser.add_argument("--credit-subtitle", action="store_true", help="the model's credit is the last subtitle too")
    add_speaking(parser)
    parser.set_defaults(run=_run, book=False)


def _run(args: argparse.Namespace) -> int:
    check_requirements()
    from ..audio.files.export import Provenance
    from ..dubbing import Bed, FilmSound, check_dub, deliver_dub
    from ..script import read_subtitles
    from .render_view import progress_view

    check_listening(args)
    script = read_subtitles(args.file, dashes=True, timing=timing_of(args))
    for warning in script.warnings:
        sys.stderr.write(f"higgs: {warning}\n")
    wanted = _wanted(args, len(script.turns))
    inputs = [one for one in (args.film, args.original, args.bed, args.speakers) if one is not None]
    inputs += inputs_of(args, script, [])
    film = FilmSound.of(args.film)
    bed = Bed(sound=FilmSound.of(args.bed) if args.bed else None, depth_db=args.bed_depth)
    check_dub(film, args.output, inputs)
    if args.table_only:
        _tell(_references(args, film, script, None, wanted), args)
        return 0
    lm, codec_at = chosen(args)
    tell_what_speaks(lm)
    found: list[FilmReferences] = []

    def voices_of_film(codec):
        found.append(_references(args, film, script, codec, wanted))
        _tell(found[0], args)
        return found[0].script, found[0].voices, found[0].in_place

    with progress_view() as view, StopOnInterrupt("stopping; what is spoken so far is kept") as stop:
        view.stop = stop
        args.stop = stop
        codec, cast, performance = performed(args, script, lm, codec_at, view, voices_of_film)
        progress("")
        sys.stderr.write(f"{cast}\n" + "".join(f"higgs: {warning}\n" for warning in cast.warnings))
        view.spoken(performance)
        if not any(spoken.take for spoken in performance.lines):
            raise KeyboardInterrupt
        made = deliver_dub(
            performance,
            codec,
            film,
            args.output if performance.complete else partial_name(args.output),
            bed=bed,
            plain=found[0].plain,
            on_progress=lambda done, total: progress(f"assembling: {done} of {total} lines"),
            stems=args.stems,
            inputs=inputs,
            provenance=Provenance(lm.title, ", ".join(dict.fromkeys(cast.sources)), args.consent, lm.credit),
            credit_subtitle=args.credit_subtitle,
            replace=performance.complete,
        )
        progress("")
        for note in made.notes:
            sys.stderr.write(f"{note}\n")
        view.done(performance, made.files)
    return status_of(performance, args)


def _wanted(args: argparse.Namespace, cues: int) -> dict[str, Any]:
    """What `film_references` is given beside the film, read and checked before anything is loaded."""
    from ..dubbing import ReferenceSettings, parse_corrections
    from ..script import read_subtitles

    corrections = read_text(args.speakers) if args.speakers else ""
    parse_corrections(corrections, cues)
    return {
        "original": read_subtitles(args.original, dashes=True) if args.original else None,
        "settings": ReferenceSettings(each=args.each, language=args.film_language, count=args.count),
        "corrections": corrections,
    }


def _references(args: argparse.Namespace, film: FilmSound, script, codec, wanted: dict[str, Any]) -> FilmReferences:
    from ..dubbing import film_references

    def tell(done: int, total: int) -> None:
        if getattr(args, "stop", None) is not None and args.stop.asked:
            raise KeyboardInterrupt
        progress(f"finding voices: {done} of {total}")

    return film_references(film, script, codec, recognizer=_ears(args), on_progress=tell, **wanted)


def _ears(args: argparse.Namespace):
    """Who hears where the words of the film stand: the recognizer that is named, else one that knows its language."""
    from ..verification import first_recognizer, load_recognizer

    if args.listen:
        return load_recognizer(args.listen, folders=args.models_dir)
    found = first_recognizer(args.film_language, args.models_dir)
    return found[1] if found else None


def _tell(found: FilmReferences, args: argparse.Namespace) -> None:
    """The voices on the screen, and the table beside the result."""
    progress("")
    path = args.output.with_name(args.output.stem + TABLE)
    if args.speakers is not None and path.exists() and path.samefile(args.speakers):
        path = args.output.with_name(f"{args.output.stem}.found{TABLE}")  # what a person has written stays
    try:
        write_bytes(path, f"{found.table()}\n".encode())
    except OSError as error:
        raise SettingError(
            f"'{path}' could not be written.",
            expected="a folder with room that may be written to",
            got=error.strerror or str(error),
            remedy="Name the result elsewhere.",
        ) from error
    sys.stderr.write(f"{found.report()}\nWho speaks which cue: {path}\n")

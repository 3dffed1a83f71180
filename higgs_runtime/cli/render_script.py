"""`higgs render-script`: a script, subtitles or a book into sound, subtitles and a time line."""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HiggsError, ScriptError, SettingError
from ..outputs import check_folder, partial_name
from .cluster import add_cluster, cluster_speaker
from .common import (
    StopOnInterrupt,
    adapted_model,
    adapters_of,
    add_checkpoints,
    add_lora,
    add_sampling,
    add_settings,
    add_timing,
    check_requirements,
    chosen,
    loading_of,
    progress,
    sampling_of,
    tell_what_speaks,
    timing_of,
)
from .takes import add_takes_dir, store_of

if TYPE_CHECKING:
    from ..rendering import Performance
    from .render_view import View

INTERRUPTED = 130


def add(commands) -> None:
    parser = commands.add_parser(
        "render-script",
        help="speak a script into an audio file, with subtitles and a time line beside it",
        description="Every line is kept on the disk as soon as it is spoken. The same command again, also after Ctrl-C "
        "or a crash, speaks only what is new.",
    )
    parser.add_argument(
        "file",
        type=Path,
        help="script in UTF-8 (higgs script check), or .srt, .vtt, .ass, .ssa; job.json: a render that another process "
        "hands over, takes only",
    )
    parser.add_argument("-o", "--output", type=Path, help="wav, flac, mp3, opus, m4a, m4b (default: FILE as .flac)")
    parser.add_argument(
        "--book",
        action="store_true",
        help="the file is plain text: all of it is read, its headings become chapters (.epub, .html are books anyway)",
    )
    parser.add_argument("--chapters", default="", metavar="FIRST[-LAST]", help="of a book, as 3-5 (default: all)")
    parser.add_argument("--images", action="store_true", help="of an EPUB: the descriptions of pictures are read too")
    parser.add_argument(
        "--voice",
        action="append",
        default=[],
        metavar="[SPEAKER=]VOICE",
        dest="voices",
        help="who speaks: an audio file with its words in a .txt beside it, or the name of a voice of the library or "
        "of the pack; Narrator= for turns without a speaker; without a speaker it goes to the next who has none",
    )
    add_timing(parser)
    add_how(parser)
    parser.add_argument("--stems", action="store_true", help="also each speaker, the sounds and the music alone")
    parser.add_argument(
        "--sounds",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="where sounds and music are (default: that of FILE, then the pack)",
    )
    parser.add_argument(
        "--credit-subtitle",
        action="store_true",
        help="the credit that the model's licence asks for is the last subtitle as well; the file has it in its tags",
    )
    add_speaking(parser)
    parser.add_argument(
        "--events",
        choices=("jsonl",),
        help="for another program: what happens as lines of JSON on the standard output, and nothing else there",
    )
    parser.set_defaults(run=_run)


def add_speaking(parser: argparse.ArgumentParser) -> None:
    """Which model speaks, how, and where its takes are kept."""
    parser.add_argument("--consent", default="", help="for the note in the file: who agreed to the use of the voices")
    add_sampling(parser)
    add_checkpoints(parser)
    add_lora(parser)
    parser.add_argument("--no-store", action="store_true", help="keep nothing: all is spoken anew each time")
    add_takes_dir(parser)
    add_cluster(parser)


def add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode",
        choices=("independent", "continuous"),
        default="independent",
        help="continuous: lines hear those before them in their scene (default: %(default)s)",
    )
    add_settings(
        parser,
        "context_turns",
        "batch",
        "takes",
        "max_takes",
        "takes_per_slot",
        "slowest",
        "fastest",
        "max_chars",
        "silence_s",
        "prepare",
        "spell_numbers",
        "marks",
        "carry_emotion",
    )
    parser.add_argument("--choose", default="", metavar="LINE:TAKE,…", help='takes that you want, as "3: 2, 7: 1"')
    parser.add_argument("--language", help="of the script, as en (default: any)")
    parser.add_argument(
        "--listen",
        nargs="?",
        const="",
        metavar="RECOGNIZER",
        help="hear every take, and speak again what is not right (extra asr)",
    )
    parser.add_argument(
        "--compare-voices",
        action="store_true",
        help="with --listen: also compare voices with their references (extra similarity)",
    )


def _run(args: argparse.Namespace) -> int:
    from .render_view import json_view, progress_view

    with json_view() if args.events else progress_view() as view:
        try:
            if args.file.suffix.lower() == ".json":
                return _render_job(args.file, view)
            return _render(args, view)
        except HiggsError as error:
            view.failed(error)
            raise


def _render_job(file: Path, view: View) -> int:
    """The takes of a job that another process wrote, until that closes our standard input or ends."""
    from ..cluster.job import read_job, remove_job
    from ..rendering import render

    job, speaker = read_job(file)
    remove_job(file)

    def wait_for_the_end() -> None:
        sys.stdin.buffer.read()
        view.stopped = True

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    view.done(render(job, speaker, view), [])
    return 0


def _render(args: argparse.Namespace, view: View) -> int:
    check_requirements()
    from ..audio.files.export import Provenance
    from ..hub.catalog import embedded_clips
    from ..rendering import assemble, check_output, deliver

    check_listening(args)
    script, tags = _script(args)
    output = args.output or args.file.with_suffix(".flac")
    folders = [*(args.sounds or [args.file.parent]), next(iter(embedded_clips().values())).parent]
    inputs = inputs_of(args, script, folders)
    check_output(output, inputs if args.output else ())
    lm, codec_at = chosen(args)
    tell_what_speaks(lm)
    with StopOnInterrupt("stopping; what is spoken so far is kept (Ctrl-C again ends at once)") as stop:
        view.stop = stop
        codec, cast, performance = performed(args, script, lm, codec_at, view)
    progress("")
    sys.stderr.write(f"{cast}\n" + "".join(f"higgs: {warning}\n" for warning in cast.warnings))
    view.spoken(performance)
    if not any(spoken.take for spoken in performance.lines):
        raise KeyboardInterrupt
    with tempfile.TemporaryDirectory(prefix="higgs-") as spool:
        assembly = assemble(
            performance,
            codec,
            folders,
            spool=spool,
            on_progress=lambda done, total: progress(f"assembling: {done} of {total} lines"),
        )
        progress("")
        voices = ", ".join(dict.fromkeys(cast.sources))
        made = deliver(
            assembly,
            output if performance.complete else partial_name(output),
            stems=args.stems,
            tags=tags,
            inputs=inputs,
            provenance=Provenance(lm.title, voices, args.consent, lm.credit),
            credit_subtitle=args.credit_subtitle,
            replace=bool(args.output) and performance.complete,
        )
    for note in made.notes:
        sys.stderr.write(f"{note}\n")
    view.done(performance, made.files)
    return status_of(performance, args)


def status_of(performance: Performance, args: argparse.Namespace) -> int:
    """The exit status of a render that is delivered; says how an interrupted one goes on."""
    if performance.complete:
        return 0
    kept = "nothing was kept, because of --no-store" if args.no_store else "run the same command again to go on"
    sys.stderr.write(f"higgs: interrupted; not all lines are spoken: {kept}\n")
    return INTERRUPTED


def check_listening(args: argparse.Namespace) -> None:
    """Before anything is loaded: that voices can be compared, if they are to be."""
    from ..verification import voice_comparer

    if not args.compare_voices:
        return
    if args.listen is None:
        raise SettingError(
            "Voices are compared while takes are heard.",
            expected="--listen with --compare-voices",
            got="--compare-voices alone",
            remedy="Add --listen, or leave --compare-voices out.",
        )
    if not args.cluster:  # there the workers compare
        voice_comparer()


def inputs_of(args: argparse.Namespace, script, folders: list[Path]) -> list[Path]:
    """Every file that is read, and so must not be written over."""
    from ..hub.catalog import embedded_voices
    from ..rendering import check_assembly

    named = [
        path for given in args.voices for path in (Path(given), Path(given.partition("=")[2].strip())) if path.is_file()
    ]
    clips = [*named, *embedded_voices().values()]  # the cast takes of the pack's what the script's speakers are called
    return [args.file, *clips, *(clip.with_suffix(".txt") for clip in clips), *check_assembly(script, folders)]


def _script(args: argparse.Namespace) -> tuple:
    """The script, and tags for the file."""
    from ..script import check_no_timing, is_book, load_book, read_script

    timing = timing_of(args)
    args.book = args.book or is_book(args.file)
    if not args.book:
        for name in ("chapters", "images"):
            if getattr(args, name):
                raise SettingError(
                    f"--{name} is of books.",
                    expected="an .epub or .html, or --book",
                    got=f"'{args.file.name}'",
                    remedy=f"Add --book if it is a book, or leave --{name} out.",
                )
        script, tags = read_script(args.file, timing), {}
    else:
        check_no_timing(args.file, timing)
        book = load_book(args.file, images=args.images)
        if args.chapters:
            book = book.part(*_chapters(args.chapters))
        script, tags = book.script, book.tags
    for warning in script.warnings:
        sys.stderr.write(f"higgs: {warning}\n")
    return script, tags


def _chapters(text: str) -> tuple[int, int]:
    """First and count of "3" or "3-5"."""
    first, dash, last = text.partition("-")
    if not first.strip().isdecimal() or dash and not last.strip().isdecimal() or dash and int(last) < int(first):
        raise SettingError(
            "The chapters cannot be read.", expected="as 3, or 3-5", got=f"'{text}'", remedy="Write numbers from 1."
        )
    return int(first), int(last or first) - int(first) + 1


def performed(args: argparse.Namespace, script, lm, codec_at, view: View, find_voices=None) -> tuple:
    """The codec, the cast and the performance.

    Args:
        find_voices: gives for the codec a script, voices by its speakers, which come before those of the pack, and
            what makes of voices that are named those that take their place.
    """
    from ..codec import load_codec
    from ..rendering import RenderJob, RenderSettings, parse_choice, render
    from ..takes import TakeStore

    settings = RenderSettings(
        mode=args.mode,
        context_turns=args.context_turns,
        max_chars=args.max_chars,
        takes=args.takes,
        max_takes=max(args.takes, args.max_takes),
        takes_per_slot=args.takes_per_slot,
        slowest=args.slowest,
        fastest=args.fastest,
        batch=args.batch,
        language=args.language,
        read_scenes=not getattr(args, "book", False),
        choose=parse_choice(args.choose),
        silence_s=args.silence_s or None,
        prepare=args.prepare,
        spell_numbers=args.spell_numbers,
        marks=args.marks,
        carry_emotion=args.carry_emotion,
    )
    store = None if args.no_store else store_of(args)
    if isinstance(store, TakeStore):
        check_folder(store.folder)
    codec = load_codec(codec_at.path, device=loading_of(args, lm.path)["device"])
    script, *found = find_voices(codec) if find_voices is not None else (script,)
    cast = cast_of(args, script, lm, codec, *found)
    job = RenderJob(script=script, voices=cast.voices, sampling=sampling_of(args), settings=settings, store=store)
    with speaker_of(args, lm, codec_at, codec, job) as speaker:
        return codec, cast, render(job, speaker, view)


@contextmanager
def speaker_of(args: argparse.Namespace, lm, codec_at, codec, job) -> Iterator:
    """Who speaks the job, as long as the with-block runs: a model here, or a cluster."""
    from ..rendering import Listening, LocalSpeaker
    from ..takes import model_identity
    from ..verification import find_recognizers

    listening = None
    if args.listen is not None:
        name = args.listen or next(iter(find_recognizers(args.models_dir)), None)
        listening = Listening(name, compare_voices=args.compare_voices)
    if args.cluster:
        yield cluster_speaker(args, lm, codec_at, listening)
        return
    loading, adapters = loading_of(args, lm.path), adapters_of(args)
    verifier = listening and listening.verifier(codec, job.voices, args.language, args.models_dir)
    identity = model_identity(lm.path, **loading, adapters=adapters) if job.store else None
    with adapted_model(lm.path, loading, adapters) as model:
        yield LocalSpeaker(model, codec, identity, verifier)


def cast_of(args: argparse.Namespace, script, lm, codec, found: Mapping | None = None, in_place=dict):
    from ..checkpoint.files import V3
    from ..hub.catalog import model_roots
    from ..rendering import cast_voices
    from ..voices.resolve import load_source, voice_source

    roots, named, unnamed = model_roots(args.models_dir), {}, {}
    needed = lm.model_type != V3
    for number, given in enumerate(args.voices):
        speaker, equals, name = given.partition("=")
        if equals and not Path(given).is_file():
            named[speaker.strip()] = load_source(voice_source(name.strip(), roots), codec, words_needed=needed)
        else:
            unnamed[number] = load_source(voice_source(given, roots), codec, words_needed=needed)
    try:
        return cast_voices(script, {**(found or {}), **in_place(named)}, unnamed, roots=roots, codec=codec)
    except ScriptError as error:
        raise ScriptError(
            error.what,
            expected=error.expected,
            got=error.got,
            remedy="Give each one, as in --voice "
            "NAME=rose (or an audio file); turns without a speaker are the Narrator's.",
        ) from error

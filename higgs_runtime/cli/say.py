"""`higgs say`: speak a text into an audio file."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from ..errors import AudioError, PromptError
from ..outputs import check_target, free_name, partial_name
from ..settings import FRAMES_A_SECOND
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
    sampling_of,
    tell_what_speaks,
)

UNNAMED = Path("higgs.wav")  # where no name is given


def add(commands) -> None:
    say = commands.add_parser("say", help="speak a text into an audio file")
    say.add_argument("text", help='what to say; "-" reads it from standard input')
    say.add_argument(
        "-o",
        "--output",
        type=Path,
        help=f"wav, flac, mp3, ogg; an existing file is replaced (default: {UNNAMED}, or the next free name)",
    )
    say.add_argument(
        "--voice",
        type=Path,
        help="voice to clone: an audio file of 3 to 15 seconds, or the name of a voice in the library "
        "(higgs voices ls) or in the pack",
    )
    say.add_argument("--transcript", help="transcript of the voice file (default: the .txt file beside it)")
    say.add_argument("--scene", default="", help='where the scene is set, for example "A quiet room."')
    say.add_argument(
        "--prepare",
        action="store_true",
        help="prepare the text for the model, as scripts are: [laugh], full-width punctuation, degrees … "
        "(default: the model reads what is written)",
    )
    add_settings(say, "marks")
    add_sampling(say)
    add_settings(say, "silence_s")
    add_checkpoints(say)
    add_lora(say)
    say.set_defaults(run=_say)


def _say(args: argparse.Namespace) -> None:
    check_requirements()
    from ..checkpoint.files import V3
    from ..speech import speak

    text = _piped() if args.text == "-" else args.text
    sampling = sampling_of(args)
    lm, codec = chosen(args)
    voice, transcript = _reference(args, words_needed=lm.model_type != V3)
    adapters = adapters_of(args)
    _check_output(args.output or free_name(UNNAMED), [voice] if isinstance(voice, Path) else [])
    tell_what_speaks(lm)
    started, frames = time.perf_counter(), 0

    def show(_index: int, new) -> None:
        nonlocal frames
        frames += new.shape[1]
        progress(f"{frames / FRAMES_A_SECOND:.1f} s of audio in {time.perf_counter() - started:.1f} s")

    with StopOnInterrupt() as stop, ExitStack() as opened:
        loading = loading_of(args, lm.path)
        model = opened.enter_context(adapted_model(lm.path, loading, adapters)) if adapters else lm.path
        try:
            clip = speak(
                text,
                voice,
                transcript=transcript,
                scene=args.scene,
                prepare=args.prepare,
                marks=args.marks,
                sampling=sampling,
                silence_s=args.silence_s or None,
                model=model,
                codec=codec.path,
                on_frames=show,
                should_stop=lambda: stop.asked,
                **loading,
            )
        except AudioError as error:
            if stop.asked:  # before there was a sound
                raise KeyboardInterrupt from error
            raise
    progress("")
    output = args.output or UNNAMED
    if stop.asked:
        output = free_name(partial_name(output))
    elif not args.output and (free := free_name(output)) != output:  # asked now: another may have taken one meanwhile
        sys.stderr.write(f"higgs: '{output}' is there: it is left as it is, and '{free}' is written instead.\n")
        output = free
    try:
        clip.save(output)
    except Exception as error:
        raise _rescued(clip, error) from error
    sys.stdout.write(f"{output}: {clip.seconds:.2f} s\n")


def _piped() -> str:
    """The text that standard input brings.

    Raises:
        PromptError: it is not text.
    """
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise PromptError(
            "Standard input is not text.",
            expected=f"text in {sys.stdin.encoding}",
            got=str(error),
            remedy="Save it in this encoding, or set PYTHONUTF8=1 for UTF-8.",
        ) from error


def _rescued(clip, error: Exception) -> AudioError:
    """Put a clip that could not be saved where it can be, as it is; the error to raise says where."""
    from ..audio.files import file_bytes

    name = f"higgs-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.wav"
    what = str(error) or repr(error)
    for folder in (os.getcwd, tempfile.gettempdir):
        try:
            path = Path(folder(), name)
            try:
                clip.save(path, subtype="FLOAT")
            except ImportError:  # a package is broken: what needs none
                path.write_bytes(file_bytes("wav", clip.samples.numpy(), clip.sample_rate))
        except (AudioError, OSError):
            continue
        return AudioError(what, remedy=f"The audio is not lost: it is in {path}")
    return AudioError(what, remedy="It could not be saved in this folder nor in the temporary one either.")


def _check_output(path: Path, inputs: list[Path]) -> None:
    """Before the rendering, not after it."""
    from ..audio.files import FFMPEG_FORMATS, SOUNDFILE_FORMATS, pyav

    check_target(path, inputs, {**SOUNDFILE_FORMATS, **FFMPEG_FORMATS}, "voice.wav")
    if path.suffix.lower() in FFMPEG_FORMATS:
        pyav()


def _reference(args: argparse.Namespace, words_needed: bool) -> tuple:
    """The voice of the library or the audio file to sound like, if one is asked for, and what is said in it."""
    from ..hub import model_roots
    from ..voices import is_voice_file, no_words, saved_voice, transcript_of, voice_source

    if args.voice is None:
        return None, args.transcript or ""
    source = voice_source(str(args.voice), model_roots(args.models_dir))
    if is_voice_file(source):
        return saved_voice(source, words_needed=words_needed), ""
    remedy = f"Give them with --transcript, or write them into {source.with_suffix('.txt')}."
    words = transcript_of(source) if args.transcript is None else args.transcript.strip()
    if words_needed and not words:
        raise no_words(source, remedy)
    return source, words

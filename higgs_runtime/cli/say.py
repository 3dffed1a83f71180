"""`higgs say`: speak a text into an audio file."""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from pathlib import Path

from ..devices import KINDS
from ..errors import AudioError, SettingError
from .common import NAMING, StopOnInterrupt, add_models_dir, named, progress

FRAME_RATE = 25  # frames a second of every released Higgs model


def add(commands) -> None:
    say = commands.add_parser("say", help="speak a text into an audio file")
    say.add_argument("text", help='what to say; "-" reads it from standard input')
    say.add_argument(
        "-o", "--output", type=Path, default=Path("higgs.wav"), help="wav, flac, mp3, ogg (default: %(default)s)"
    )
    say.add_argument(
        "--voice", type=Path,
        help="audio file of 3 to 15 seconds to sound like, or the name of a voice of the library (higgs voices ls) "
        "or of the pack",
    )
    say.add_argument("--transcript", help="what is said in the voice file (default: what a .txt beside it says)")
    say.add_argument("--scene", default="", help='where it happens, for example "A quiet room."')
    say.add_argument(
        "--prepare", action="store_true",
        help="prepare the text for the model, as a script is: [laugh], full-width punctuation, degrees … "
        "(default: it reads what is written)",
    )
    say.add_argument("--temperature", type=float, default=0.3, help="0 to about 1 (default: %(default)s)")
    say.add_argument("--top-k", type=int, default=50, help="default: %(default)s")
    say.add_argument("--top-p", type=float, default=0.95, help="default: %(default)s")
    say.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    say.add_argument("--max-seconds", type=float, default=30.0, help="of audio (default: %(default)s)")
    say.add_argument("--model", help=f"of the language model: {NAMING} (default: the first one, else the pack's)")
    say.add_argument("--codec", help=f"of the codec: {NAMING} (default: the first one, else the pack's)")
    say.add_argument("--device", choices=KINDS, help="default: a GPU if there is one")
    add_models_dir(say)
    say.set_defaults(run=_say)


def _say(args: argparse.Namespace) -> None:
    from ..pipeline import speak
    from ..types import Sampling

    text = sys.stdin.read() if args.text == "-" else args.text
    sampling = Sampling(
        temperature=args.temperature, top_k=args.top_k, top_p=args.top_p, seed=args.seed,
        max_frames=math.ceil(args.max_seconds * FRAME_RATE) if math.isfinite(args.max_seconds) else 0,
    )
    _check_output(args.output)
    lm, codec = _chosen(args)
    voice, transcript = _reference(args)
    if lm.embedded:
        sys.stderr.write(f"Speaking with {lm.title}, a tiny demonstration model{lm.extent}; install a released "
                         "checkpoint for real speech.\n")
    if lm.licence:
        sys.stderr.write(lm.licence + "\n")
    started, frames = time.perf_counter(), 0

    def show(_index: int, new) -> None:
        nonlocal frames
        frames += new.shape[1]
        progress(f"{frames / FRAME_RATE:.1f} s of audio in {time.perf_counter() - started:.1f} s")

    with StopOnInterrupt() as stop:
        try:
            clip = speak(
                text, voice, transcript=transcript, scene=args.scene, prepare=args.prepare, sampling=sampling,
                device=args.device, model=lm.path, codec=codec.path, on_frames=show, should_stop=lambda: stop.asked,
            )
        except AudioError as error:
            if stop.asked:  # before there was a sound
                raise KeyboardInterrupt from error
            raise
    progress("")
    try:
        clip.save(args.output)
    except Exception as error:
        raise _rescued(clip, error) from error
    sys.stdout.write(f"{args.output}: {clip.seconds:.2f} s\n")


def _rescued(clip, error: Exception) -> AudioError:
    """Put a clip that could not be saved where it can be, as it is; the error to raise says where."""
    name = f"higgs-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.wav"
    what = str(error) or repr(error)
    for folder in (os.getcwd, tempfile.gettempdir):
        try:
            path = Path(folder(), name)
            clip.save(path, subtype="FLOAT")
        except (AudioError, OSError):
            continue
        return AudioError(what, remedy=f"The audio is not lost: it is in {path}")
    return AudioError(what, remedy="It could not be saved in this folder nor in the temporary one either.")


def _check_output(path: Path) -> None:
    """Before the rendering, not after it."""
    from ..audio_writing import FFMPEG_FORMATS, SOUNDFILE_FORMATS

    known = path.suffix.lower() in {**SOUNDFILE_FORMATS, **FFMPEG_FORMATS}
    if not path.parent.is_dir() or path.is_dir() or not known:
        raise SettingError("The audio cannot be saved there.", expected="a file name in an existing folder",
                           got=str(path), remedy="Name a file such as voice.wav or voice.flac.")


def _chosen(args: argparse.Namespace) -> tuple:
    """The checkpoints of the language model and of the codec: those that were named, the others by default."""
    from ..catalog import default_pair, find_checkpoints, model_roots

    found = find_checkpoints(model_roots(args.models_dir))
    asked = {"lm": args.model, "codec": args.codec}
    return default_pair(found, *(named(found, kind, name) if name else None for kind, name in asked.items()))


def _reference(args: argparse.Namespace) -> tuple:
    """The voice of the library or the audio file to sound like, if one is asked for, and what is said in it."""
    from ..catalog import embedded_voices, model_roots
    from ..voices import find_voices, load_voice

    if args.voice is None:
        return None, args.transcript or ""
    voices, library = embedded_voices(), find_voices(model_roots(args.models_dir))
    if str(args.voice) in library and not args.voice.is_file():
        return load_voice(library[str(args.voice)])[0], ""
    voice = args.voice if args.voice.is_file() else voices.get(str(args.voice))
    if voice is None:
        raise SettingError(
            f"There is no voice '{args.voice}'.", got="no such file", remedy="Name an audio file that is there.",
            expected=f"an audio file or one of {', '.join([*library, *voices])}",
        )
    words = voice.with_suffix(".txt")
    if args.transcript is not None or not words.is_file():
        return voice, args.transcript or ""
    try:
        return voice, words.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingError(f"{words} cannot be read.", expected="the words of the voice file in UTF-8", got=str(error),
                           remedy="Give the words with --transcript.") from error

"""The `higgs` command: say a text, list the models, render a workflow on a ComfyUI server."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

from .comfy_client import EXAMPLE
from .devices import KINDS
from .errors import AudioError, HiggsError, HiggsWarning, SettingError

FRAME_RATE = 25  # frames a second of every released Higgs model
NAMING = "folder with config.json, or name below a models folder, or a part of it that no other has"

EPILOG = f"""examples:
  higgs models
  higgs models nano --words
  higgs say "Good morning." -o morning.flac
  higgs say "Good morning." --voice clip.wav --transcript "What the clip says." -o morning.flac
  higgs render workflows/api/clone_voice.json {EXAMPLE} -o renders
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 an error that was explained, 130 interrupted."""
    args = _parser().parse_args(argv)
    try:
        with _plain_warnings():
            args.run(args)
    except HiggsError as error:
        sys.stderr.write(f"higgs: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nhiggs: interrupted\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="higgs", description="Higgs Audio without a canvas.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    say = commands.add_parser("say", help="speak a text into an audio file")
    say.add_argument("text", help='what to say; "-" reads it from standard input')
    say.add_argument(
        "-o", "--output", type=Path, default=Path("higgs.wav"), help="wav, flac, mp3, ogg (default: %(default)s)"
    )
    say.add_argument(
        "--voice", type=Path, help="audio file of 3 to 15 seconds to sound like, or the name of a voice of the pack"
    )
    say.add_argument("--transcript", help="what is said in the voice file (default: what a .txt beside it says)")
    say.add_argument("--scene", default="", help='where it happens, for example "A quiet room."')
    say.add_argument("--temperature", type=float, default=0.3, help="0 to about 1 (default: %(default)s)")
    say.add_argument("--top-k", type=int, default=50, help="default: %(default)s")
    say.add_argument("--top-p", type=float, default=0.95, help="default: %(default)s")
    say.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    say.add_argument("--max-seconds", type=float, default=30.0, help="of audio (default: %(default)s)")
    say.add_argument("--model", help=f"of the language model: {NAMING} (default: the first one, else the pack's)")
    say.add_argument("--codec", help=f"of the codec: {NAMING} (default: the first one, else the pack's)")
    say.add_argument("--device", choices=KINDS, help="default: a GPU if there is one")
    _add_models_dir(say)
    say.set_defaults(run=_say)

    models = commands.add_parser("models", help="list the models that are there, and what they lack")
    models.add_argument("name", nargs="?", default="", help="only those with this in their name")
    models.add_argument("--words", action="store_true", help="list the words that the language model NAME speaks")
    _add_models_dir(models)
    models.set_defaults(run=_models)

    convert = commands.add_parser("convert", help="write a language model anew, smaller")
    convert.add_argument("model", help=f"of the language model: {NAMING}")
    convert.add_argument("target", type=Path, help="folder to make")
    convert.add_argument("--quantization", choices=("int8", "int4"), default="int8", help="default: %(default)s")
    convert.add_argument(
        "--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16",
        help="of what stays in floating point, and of the model when it is loaded (default: %(default)s)",
    )
    _add_models_dir(convert)
    convert.set_defaults(run=_convert)

    render = commands.add_parser("render", help="render a workflow (API format) on a running ComfyUI")
    render.add_argument("workflow", type=Path)
    render.add_argument("--server", default="http://127.0.0.1:8188", help="default: %(default)s")
    render.add_argument(
        "--set", action="append", default=[], metavar="NODE.INPUT=VALUE", dest="assignments",
        help="change an input; NODE is an id or a title; for audio, image, video and file inputs @path uploads a file",
    )
    render.add_argument("-o", "--output", type=Path, default=Path("."), help="folder for the files (default: here)")
    render.set_defaults(run=_render)
    return parser


def _add_models_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models-dir", type=Path, action="append",
        help="where models are (default: $HIGGS_MODELS, models/higgs_audio here and in $COMFYUI_PATH)",
    )


def _say(args: argparse.Namespace) -> None:
    from .pipeline import speak
    from .types import Sampling

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
        _progress(f"{frames / FRAME_RATE:.1f} s of audio in {time.perf_counter() - started:.1f} s")

    with _StopOnInterrupt() as stop:
        try:
            clip = speak(
                text, voice, transcript=transcript, scene=args.scene, sampling=sampling, device=args.device,
                model=lm.path, codec=codec.path, on_frames=show, should_stop=lambda: stop.asked,
            )
        except AudioError as error:
            if stop.asked:  # before there was a sound
                raise KeyboardInterrupt from error
            raise
    _progress("")
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
    from .audio_files import FFMPEG_FORMATS, SOUNDFILE_FORMATS

    known = path.suffix.lower() in {**SOUNDFILE_FORMATS, **FFMPEG_FORMATS}
    if not path.parent.is_dir() or path.is_dir() or not known:
        raise SettingError("The audio cannot be saved there.", expected="a file name in an existing folder",
                           got=str(path), remedy="Name a file such as voice.wav or voice.flac.")


def _chosen(args: argparse.Namespace) -> tuple:
    """The checkpoints of the language model and of the codec: those that were named, the others by default."""
    from .catalog import default_pair, find_checkpoints, model_roots

    found = find_checkpoints(model_roots(args.models_dir))
    named = {"lm": args.model, "codec": args.codec}
    return default_pair(found, *(_named(found, kind, name) if name else None for kind, name in named.items()))


def _named(found: list, kind: str, name: str):
    """The checkpoint at this path, of this name, or with this in its name as the only one."""
    from .catalog import checkpoint_at

    if name and (there := checkpoint_at(name)):
        return there
    found = [item for item in found if (item.kind in (kind, "") or item.is_codec(kind)) and not item.missing]
    chosen = [item for item in found if item.name == name] or [item for item in found if name in item.name]
    if len(chosen) == 1:
        return chosen[0]
    raise SettingError(
        f"Which {'language model' if kind == 'lm' else 'codec'}?",
        expected=NAMING, got=f"'{name}', where there are {', '.join(item.name for item in found) or 'none'}",
        remedy="Name one of them, or put one into a models folder (see: higgs models).",
    )


def _reference(args: argparse.Namespace) -> tuple[Path | None, str]:
    """The audio file to sound like, if one is asked for, and what is said in it."""
    from .catalog import embedded_voices

    if args.voice is None:
        return None, args.transcript or ""
    voices = embedded_voices()
    voice = args.voice if args.voice.is_file() else voices.get(str(args.voice))
    if voice is None:
        raise SettingError(
            f"There is no voice '{args.voice}'.", got="no such file", remedy="Name an audio file that is there.",
            expected=" or ".join(["an audio file", *([f"one of {', '.join(voices)}"] if voices else [])]),
        )
    words = voice.with_suffix(".txt")
    if args.transcript is not None or not words.is_file():
        return voice, args.transcript or ""
    try:
        return voice, words.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingError(f"{words} cannot be read.", expected="the words of the voice file in UTF-8", got=str(error),
                           remedy="Give the words with --transcript.") from error


def _models(args: argparse.Namespace) -> None:
    from .catalog import find_checkpoints, model_roots

    roots = model_roots(args.models_dir)
    found = find_checkpoints(roots)
    if args.words:
        _list_words(_named(found, "lm", args.name))
        return
    names = {"lm": "language model", "codec": "codec", "": "unknown"}
    listed = [item for item in found if args.name in item.name]
    for item in listed:
        about = f": {item.title}{item.extent}" if item.display_name or item.extent else ""
        sys.stdout.write(f"{names[item.kind]:<15} {item.label}{about}\n")
    if not listed:
        sys.stdout.write(f"No models{f' with {args.name} in their name' if args.name else ''} in "
                         f"{', '.join(map(str, roots))}\n")


def _convert(args: argparse.Namespace) -> None:
    import torch

    from .catalog import find_checkpoints, model_roots
    from .convert import convert_model

    source = _named(find_checkpoints(model_roots(args.models_dir)), "lm", args.model)
    made = convert_model(source.path, args.target, args.quantization, dtype=getattr(torch, args.dtype))
    sizes = [sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 1e9 for folder in (source.path, made)]
    sys.stdout.write(f"{made}: {sizes[1]:.2f} GB ({source.path.name} has {sizes[0]:.2f} GB)\n")


def _list_words(checkpoint) -> None:
    """In columns and under a heading for a person, one a line for a program."""
    if checkpoint.vocabulary is None:
        raise SettingError(f"{checkpoint.title} speaks any text.", expected="a model that speaks only some words",
                           got="one without a vocabulary", remedy="See which ones have one: higgs models")
    words = sorted(checkpoint.vocabulary)
    width = max(map(len, words)) + 2
    count = 1
    if sys.stdout.isatty():
        count = max(1, shutil.get_terminal_size().columns // width)
        sys.stdout.write(f"{checkpoint.title}{checkpoint.extent}:\n")
    for start in range(0, len(words), count):
        row = words[start : start + count]
        sys.stdout.write("".join(f"{word:<{width}}" for word in row).rstrip() + "\n")


def _render(args: argparse.Namespace) -> None:
    from .comfy_client import ComfyClient, RenderError, set_input

    try:
        workflow = json.loads(args.workflow.read_text(encoding="utf-8"))
        if not all("class_type" in node for node in workflow.values()):
            raise ValueError("not in API format")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RenderError(f"{args.workflow} is no workflow to render.", expected="a JSON file in API format",
                          got=str(error), remedy="In ComfyUI: Workflow → Export (API).") from error
    client = ComfyClient(args.server)
    for assignment in args.assignments:
        set_input(workflow, assignment, client.upload)
    prompt_id = client.queue(workflow)
    try:
        files = client.wait(prompt_id, lambda seconds: _progress(f"rendering, {seconds:.0f} s"))
    except KeyboardInterrupt:
        client.interrupt(prompt_id)
        raise
    _progress("")
    for file in files:
        sys.stdout.write(f"{client.fetch(file, args.output)}\n")


@contextmanager
def _plain_warnings():
    """Our warnings as one line each, without the file and line that Python adds."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message, category, *where):
            if not issubclass(category, HiggsWarning):
                return usual(message, category, *where)
            _progress("")
            sys.stderr.write(f"higgs: {message}\n")

        warnings.showwarning = show
        warnings.simplefilter("always", HiggsWarning)
        yield


def _progress(text: str) -> None:
    """One line that is written over; only where a person looks."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + text)
        sys.stderr.flush()


class _StopOnInterrupt:
    """The first Ctrl-C asks the generation to stop, and what is spoken is kept; the second ends at once."""

    def __enter__(self):
        self.asked = False
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGINT, self._before)

    def _ask(self, *_):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        sys.stderr.write("\nhiggs: stopping; what is spoken so far will be saved (Ctrl-C again drops it)\n")


if __name__ == "__main__":
    sys.exit(main())

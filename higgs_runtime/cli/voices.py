"""`higgs voices`: the library of voices."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..errors import PromptError, SettingError, VoiceError
from ..outputs import check_folder
from .common import NAMING, add_models_dir, named, progress

WORDLESS = (
    "The voice has no words: only Higgs Audio v3 speaks with it. --listen writes down what the clip says, and "
    "--transcript gives it."
)


def add(commands) -> None:
    voices = commands.add_parser("voices", help="list, add and remove voices of the library")
    actions = voices.add_subparsers(required=True, metavar="ACTION")

    listed = actions.add_parser("ls", help="list the voices of the library and of the pack")
    listed.set_defaults(run=_ls)

    added = actions.add_parser("add", help="make a voice from an audio file")
    added.add_argument("name", help="name of the voice")
    added.add_argument(
        "clip", type=Path, help="recording of one speaker; the best 3 to 15 seconds of a long one are used"
    )
    words = added.add_mutually_exclusive_group()
    words.add_argument(
        "--transcript",
        help="transcript of the clip, which is used whole (default: the .txt file beside it, if there is one; without "
        "words, only Higgs Audio v3 speaks with the voice)",
    )
    words.add_argument("--listen", action="store_true", help="choose the best seconds and transcribe them")
    added.add_argument("--language", help="language of the clip, such as en (default: detected)")
    added.add_argument("--note", default="", help="licence, and who gave consent")
    added.add_argument("--codec", help=f"{NAMING} (default: the first one, else the pack's)")
    added.add_argument("--overwrite", action="store_true", help="replace a voice of this name")
    added.set_defaults(run=_add)

    removed = actions.add_parser("rm", help="delete a voice")
    removed.add_argument("name")
    removed.set_defaults(run=_rm)
    for parser in (listed, added, removed):
        add_models_dir(parser)


def _ls(args: argparse.Namespace) -> None:
    from ..hub import embedded_voices, model_roots
    from ..voices import find_voices, has_all_words, load_voice

    roots = model_roots(args.models_dir)
    found = find_voices(roots)
    for name, path in found.items():
        try:
            voice, card = load_voice(path)
        except VoiceError as error:
            sys.stdout.write(f"{name}: {error}\n")
            continue
        seconds = sum(codes.seconds for codes, _ in voice.references)
        wordless = "" if has_all_words(voice) else "Without words: for Higgs Audio v3."
        about = " ".join(filter(None, (voice.description, card.note, wordless))).replace("\n", " ")
        sys.stdout.write(f"{name}: {len(voice.references)} reference(s), {seconds:.1f} s. {about}".rstrip() + "\n")
    if not found:
        sys.stdout.write(f"No voices in {', '.join(str(root / 'voices') for root in roots[:-1])}\n")
    if pack := ", ".join(name for name in embedded_voices() if name not in found):
        sys.stdout.write(f"Of the pack: {pack}\n")


def _add(args: argparse.Namespace) -> None:
    from ..audio.clip import AudioClip
    from ..codec import load_codec
    from ..hub import default_pair, find_checkpoints, model_roots
    from ..types import Voice
    from ..voices import VoiceCard, encode_reference, judged_reference, save_voice, transcript_of, voice_path

    roots = model_roots(args.models_dir)
    path = voice_path(roots[0], args.name)
    if path.exists() and not args.overwrite:
        raise VoiceError(
            f"There is a voice '{args.name}' already.",
            expected="a name that is free",
            got=str(path),
            remedy="Choose another name, or say --overwrite.",
        )
    check_folder(path.parent)
    found = find_checkpoints(roots)
    codec = named(found, "codec", args.codec) if args.codec else default_pair(found)[1]
    clip = AudioClip.load(args.clip)
    card = VoiceCard.of(clip, args.note)
    text = transcript_of(args.clip) if args.transcript is None else args.transcript.strip()
    if args.listen:
        clip, text, warnings = _heard(args, clip)
        card = replace(card, preview=VoiceCard.of(clip).preview)
        sys.stderr.write("".join(f"higgs: {warning}\n" for warning in warnings))
        sys.stdout.write(f"{clip.seconds:.2f} s: {text}\n")
        if not text.strip():
            raise PromptError(
                "No words were heard.",
                expected="speech",
                got="none",
                remedy="Give them with --transcript, or leave --listen out: Higgs Audio v3 needs none.",
            )
    if not text:
        sys.stderr.write(f"higgs: {WORDLESS}\n")
    tokenizer = load_codec(codec.path)
    encoded = encode_reference if args.listen else partial(judged_reference, name=args.clip.name)
    codes = encoded(clip, tokenizer)
    save_voice(path, Voice(codes, text), card, overwrite=args.overwrite)
    sys.stdout.write(f"{path}\n")


def _heard(args: argparse.Namespace, clip) -> tuple:
    """The clip to take, what it says, and what is wrong with it."""
    from ..verification import load_recognizer
    from ..voices import prepare_reference

    made = prepare_reference(
        clip,
        recognizer=load_recognizer(folders=args.models_dir),
        language=args.language,
        on_progress=lambda done, total: progress(f"listening: {done / total:.0%}"),
    )
    progress("")
    return made.clip, made.transcript, made.report.warnings


def _rm(args: argparse.Namespace) -> None:
    from ..hub import model_roots
    from ..voices import find_voices

    path = find_voices(model_roots(args.models_dir)).get(args.name)
    if path is None:
        raise SettingError(
            f"There is no voice '{args.name}' in the library.",
            expected="a name from: higgs voices ls",
            got="none",
            remedy="Voices of the pack cannot be removed.",
        )
    path.unlink()
    sys.stdout.write(f"removed {path}\n")

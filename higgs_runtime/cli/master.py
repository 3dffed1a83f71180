"""`higgs loudness` and `higgs master`: measure sound files, and make deliverables of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..choices import EXPORT_FORMATS, NORMS
from ..errors import AudioError, MissingExtraError, SettingError
from ..outputs import check_folder
from .common import read_text


def add(commands) -> None:
    measured = commands.add_parser("loudness", help="measure sound files and compare them with the norms")
    measured.add_argument("files", type=Path, nargs="+")
    measured.set_defaults(run=_loudness)

    master = commands.add_parser("master", help="normalize a sound file to a norm and export it with tags and chapters")
    master.add_argument("file", type=Path)
    master.add_argument("--norm", choices=NORMS, help="normalize to this norm (default: unchanged)")
    master.add_argument("--format", choices=EXPORT_FORMATS, default="flac 16-bit", help="default: %(default)s")
    master.add_argument("--kbps", type=int, help="bit rate of mp3, opus and AAC (default: 192, 96, 128)")
    master.add_argument(
        "-o", "--output", type=Path, default=Path("."), metavar="FOLDER", help="default: the current folder"
    )
    master.add_argument(
        "--name",
        default="{title}",
        help="name of the new file, with {n:03}, {date} and tags "
        "(default: %(default)s, which is the old name without a tag); nothing is overwritten",
    )
    master.add_argument("--tag", action="append", default=[], metavar="NAME:VALUE", help="such as title:Sea")
    master.add_argument("--chapters", type=Path, help='text file with one chapter per line, such as "12:30 The storm"')
    master.add_argument("--cover", type=Path, help="cover picture")
    for name in ("model", "voices", "consent"):
        master.add_argument(
            f"--{name}", default="", help=f"{name} named in the note that marks the speech as synthetic"
        )
    master.add_argument("--no-note", action="store_true", help="leave the note out, for recordings of people")
    master.set_defaults(run=_master)


def _loudness(args: argparse.Namespace) -> None:
    from ..audio.clip import AudioClip
    from ..audio.loudness.targets import report_loudness

    for path in args.files:
        sys.stdout.write(f"{path}\n{report_loudness(AudioClip.load(path))}\n")


def _master(args: argparse.Namespace) -> None:
    from ..audio.clip import AudioClip
    from ..audio.files import About, Provenance, export_audio, parse_chapters, parse_tags
    from ..audio.loudness.targets import Aimed

    check_folder(args.output)
    clip, tags = AudioClip.load(args.file), {"title": args.file.stem, **parse_tags("\n".join(args.tag))}
    aimed = Aimed(clip, args.norm) if args.norm else None
    made = export_audio(
        aimed.normalized.clip if aimed else clip,
        args.output,
        args.name,
        args.format,
        kbps=args.kbps,
        about=About(
            tags=tags,
            chapters=parse_chapters(read_text(args.chapters), clip.seconds) if args.chapters else (),
            cover=_picture(args.cover) if args.cover else None,
            provenance=None if args.no_note else Provenance(args.model, args.voices, args.consent),
        ),
        instead=aimed,
    )
    if aimed:
        _, gain_db, reduction_db = aimed.normalized
        sys.stderr.write(f"Gain {gain_db:+.1f} dB, limiter at most {reduction_db:.1f} dB.\n")
    for note in made.notes:
        sys.stderr.write(f"{note}\n")
    sys.stdout.write(f"{made.path}\n")
    if aimed and aimed.result and not aimed.result.passed:
        failed = [check for check in aimed.result.checks if not check.passed]
        raise AudioError(
            f"'{made.path}' does not meet the norm '{args.norm}': another level does not help.",
            expected="; ".join(map(str, failed)),
            got="the file as it was written",
            remedy="Remove the noise, or record the passage again; then master it again.",
        )


def _picture(path: Path):
    """Float [H, W, 3], 0 to 1."""
    import numpy as np
    import torch

    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("A cover", "export", "Pillow") from error
    try:
        with Image.open(path) as image:
            return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255)
    except OSError as error:
        raise SettingError(
            f"'{path}' cannot be read.", expected="a picture, as .jpg or .png", got=str(error), remedy="Check the path."
        ) from error

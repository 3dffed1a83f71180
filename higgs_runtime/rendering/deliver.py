"""An assembly as files: the mix, and beside it subtitles, time line and stems."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ..audio import AudioClip
from ..errors import AudioError, MissingExtraError, SettingError
from ..export import EXPORT_FORMATS, SYNTHETIC, Provenance, export_audio, parse_chapters
from ..file_names import file_names
from ..script import write_subtitles
from .assemble import Assembly

FORMATS = {suffix: name for name, (suffix, _) in reversed(EXPORT_FORMATS.items())}  # the first format of each suffix


class Delivered(NamedTuple):
    """What was written.

    Attributes:
        files: the mix first.
        notes: what is not as asked for, one sentence each.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def check_output(path: str | os.PathLike) -> None:
    """Before the long work, not after it.

    Raises:
        SettingError: the suffix is of no format, or there is no such folder.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS or not path.parent.is_dir() or path.is_dir():
        raise SettingError("The audio cannot be saved there.", expected=f"a name in an existing folder that ends in "
                           f"{', '.join(FORMATS)}", got=str(path), remedy="Name a file such as scene.flac.")


def deliver(
    assembly: Assembly, path: str | os.PathLike, *, stems: bool = False, tags: Mapping[str, str] | None = None,
    provenance: Provenance | None = SYNTHETIC,
) -> Delivered:
    """Write the mix, in the format of the suffix, with its chapters; beside it subtitles (.srt) and the time line
    (.json); with `stems` a folder with each speaker, the sounds and the music. What is there is replaced, each file as
    a whole.

    Args:
        tags, provenance: as in `export_audio`; the title is the file's name where there is none.

    Raises:
        SettingError: as `check_output`.
        AudioError, MissingExtraError: as `export_audio`.
    """
    path = Path(path)
    check_output(path)
    mixed, notes = assembly.mix(), list(assembly.warnings)
    if mixed.scaled_db:
        notes.append(f"Turned down by {-mixed.scaled_db:.1f} dB.")
    tags = {"title": path.stem, **(tags or {})}
    files = [path]
    notes += _export(mixed.clip, path, tags, assembly.chapters_text(), provenance)
    files.append(_write(path.with_suffix(".json"), json.dumps(assembly.timeline(), indent=1, ensure_ascii=False)))
    try:
        write_subtitles(assembly.subtitles(), path.with_suffix(".srt"))
        files.append(path.with_suffix(".srt"))
    except MissingExtraError as error:  # the sound is there
        notes.append(str(error))
    if stems:
        folder = path.with_name(f"{path.stem}-stems")
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise AudioError(f"Stems cannot be written to '{folder}'.", got=error.strerror or str(error),
                             remedy="Remove what is in the way, or check permissions.") from error
        for name in dict.fromkeys(assembly.stems):
            file = next(file_names(folder, "{name}", {"name": str(name)}, path.suffix))
            clip = assembly.stem(name)
            _export(_within(clip, 10 ** (mixed.scaled_db / 20)), file, {**tags, "title": f"{tags['title']}: {name}"},
                    "", provenance)
            files.append(file)
    return Delivered(tuple(files), tuple(notes))


def _within(clip: AudioClip, factor: float) -> AudioClip:
    """A stem as loud as it is in the mix."""
    return clip if factor == 1 else replace(clip, samples=clip.samples * factor)


def _export(clip: AudioClip, path: Path, tags: Mapping[str, str], chapters: str, provenance) -> tuple[str, ...]:
    """`export_audio` under one certain name, over what is there."""
    with TemporaryDirectory(prefix=".higgs-", dir=path.parent) as scratch:
        made = export_audio(clip, scratch, "mix", FORMATS[path.suffix.lower()], tags=tags, provenance=provenance,
                            chapters=parse_chapters(chapters, clip.seconds))
        try:
            os.replace(made.path, path)
        except OSError as error:
            raise AudioError(f"'{path}' could not be written: {error.strerror or error}.",
                             remedy="Close what uses the file, or name another one.") from error
    return made.notes


def _write(path: Path, text: str) -> Path:
    part = path.with_name(f".higgs-{secrets.token_hex(8)}.part")
    try:
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise AudioError(f"'{path}' could not be written: {error.strerror or error}.",
                         remedy="Check free disk space and permissions.") from error
    finally:
        part.unlink(missing_ok=True)
    return path

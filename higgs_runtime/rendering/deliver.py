"""An assembly as files: the mix, and beside it subtitles, time line and stems."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ..atomic_write import write_bytes
from ..audio.clip import AudioClip
from ..audio.files import SYNTHETIC, About, Provenance, export_audio, file_names, parse_chapters, pyav
from ..audio.loudness.decibels import amplitude
from ..choices import EXPORT_FORMATS
from ..errors import AudioError, MissingExtraError
from ..outputs import check_target
from ..script import write_subtitles
from .assemble import Assembly
from .places import Places

FORMATS = {suffix: name for name, (suffix, _) in reversed(EXPORT_FORMATS.items())}  # the first format of each suffix
CREDIT_S = 3.0  # that the credit is shown behind the end


class Delivered(NamedTuple):
    """What was written.

    Attributes:
        files: the mix first.
        notes: what is not as asked for, one sentence each.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def check_output(path: str | os.PathLike, inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Before the long work, not after it.

    Args:
        inputs: what is read for it.

    Raises:
        SettingError: the suffix is of no format, there is no such folder, nothing can be written there, or the file is
            an input.
        MissingExtraError: PyAV (extra `export`) is not installed.
    """
    check_target(path, inputs, FORMATS, "scene.flac")
    pyav()


def deliver(
    assembly: Assembly,
    path: str | os.PathLike,
    *,
    stems: bool = False,
    tags: Mapping[str, str] | None = None,
    provenance: Provenance | None = SYNTHETIC,
    inputs: Iterable[str | os.PathLike] = (),
    replace: bool = True,
    credit_subtitle: bool = False,
) -> Delivered:
    """Write the mix, in the format of the suffix, with its chapters; beside it subtitles (.srt) and the time line
    (.json); with `stems` a folder with each speaker, the sounds and the music. Each file appears as a whole.

    What an earlier call made, and nobody changed since, is replaced; the time line says what it made. Other files that
    have such a name stay, and a note says which name was taken instead.

    Args:
        tags, provenance: as in `About`; the title is the file's name where there is none.
        inputs: files that are read for it; none is written over.
        replace: the mix takes the place of whatever has its name.
        credit_subtitle: the credit that a model's licence asks for is the last subtitle as well.

    Raises:
        SettingError, MissingExtraError: as `check_output`.
        AudioError, MissingExtraError: as `export_audio`.
    """
    path, inputs = Path(path), list(inputs)
    check_output(path, inputs if replace else ())
    places = Places(path, inputs)
    tags = {"title": path.stem, **(tags or {})}
    sound = path if replace else places.of(path)
    with TemporaryDirectory(prefix=".higgs-", dir=path.parent) as spool:
        mixed = assembly.mix(spool)
        seconds, scaled_db = mixed.clip.seconds, mixed.scaled_db
        notes = [*assembly.warnings, *([f"Turned down by {-scaled_db:.1f} dB."] if scaled_db else [])]
        notes += _export(mixed.clip, sound, tags, assembly.chapters_text(), provenance)
        del mixed  # or Windows could not remove its file
    files = [places.written(sound), places.timeline]
    try:
        subtitles = places.of(path.with_suffix(".srt"))
        lines = list(assembly.subtitles())
        if credit_subtitle and provenance is not None and provenance.credit:
            lines.append((seconds, seconds + CREDIT_S, "", provenance.credit))
        write_subtitles(lines, subtitles)
        files.append(places.written(subtitles))
    except MissingExtraError as error:  # the sound is there
        notes.append(str(error))
    if stems:
        files += _stems(assembly, path, places, tags, amplitude(scaled_db), provenance)
    _write(places.timeline, places.sealed(assembly.timeline()))
    return Delivered(tuple(files), (*notes, *places.notes))


def _stems(
    assembly: Assembly, path: Path, places: Places, tags: Mapping[str, str], factor: float, provenance
) -> list[Path]:
    """Each speaker, the sounds and the music, in a folder."""
    folder, files = path.with_name(f"{path.stem}-stems"), []
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise AudioError(
            f"Stems cannot be written to '{folder}'.",
            got=error.strerror or str(error),
            remedy="Remove what is in the way, or check permissions.",
        ) from error
    for name in dict.fromkeys(assembly.stems):
        file = places.of(next(file_names(folder, "{name}", {"name": str(name)}, path.suffix)))
        _export(
            _within(assembly.stem(name), factor), file, {**tags, "title": f"{tags['title']}: {name}"}, "", provenance
        )
        files.append(places.written(file))
    return files


def _within(clip: AudioClip, factor: float) -> AudioClip:
    """A stem as loud as it is in the mix."""
    return clip if factor == 1 else dataclasses.replace(clip, samples=clip.samples * factor)


def _export(clip: AudioClip, path: Path, tags: Mapping[str, str], chapters: str, provenance) -> tuple[str, ...]:
    """`export_audio` under one certain name, over what is there."""
    with TemporaryDirectory(prefix=".higgs-", dir=path.parent) as scratch:
        about = About(tags=tags, provenance=provenance, chapters=parse_chapters(chapters, clip.seconds))
        made = export_audio(clip, scratch, "mix", FORMATS[path.suffix.lower()], about=about)
        try:
            os.replace(made.path, path)
        except OSError as error:
            raise AudioError(
                f"'{path}' could not be written: {error.strerror or error}.",
                remedy="Close what uses the file, or name another one.",
            ) from error
    return made.notes


def _write(path: Path, text: str) -> Path:
    try:
        write_bytes(path, f"{text}\n".encode())
    except OSError as error:
        raise AudioError(
            f"'{path}' could not be written: {error.strerror or error}.",
            remedy="Check free disk space and permissions.",
        ) from error
    return path

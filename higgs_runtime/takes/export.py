"""Stored takes as sound files for people, with names that say what they are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..audio.clip import within_full_scale
from ..codec import Codec
from ..errors import TakeError
from .by_key import Takes
from .take_files import Take

LONGEST = 40  # characters of a name
# What no file name may be on Windows: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_UNFIT = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.I)


def export_takes(
    store: Takes, folder: str | Path, codec: Codec, keys: Iterable[str] | None = None, *, suffix: str = ".flac"
) -> list[Path]:
    """Decode takes into a folder: `0012-Rose-seed7.flac`, and `… (2)` where there is one. No file is written over.

    Args:
        keys: None: all, those used longest ago first.
        suffix: of a format that `AudioClip.save` writes.

    Returns:
        The files. A take without a frame has none.

    Raises:
        TakeError: there is no such take.
        AudioError: a take is of another codec, or a file cannot be written.
    """
    folder = Path(folder)
    written = []
    for key in [one.key for one in reversed(store.list())] if keys is None else keys:
        take = store.peek(key)
        if take is None:
            raise TakeError(f"There is no take {key}.", remedy="Render the line again.")
        if take.codes.frames == 0:
            continue
        clip = within_full_scale(codec.decode(take.codes))
        path = _reserved(folder, file_name(take), suffix)
        try:
            clip.save(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        written.append(path)
    return written


def file_name(take: Take) -> str:
    """A name without suffix that every system takes, of line, speaker and seed."""
    line, speaker = take.meta.get("line"), str(take.meta.get("speaker") or "")
    parts = [f"{line:04d}" if isinstance(line, int) else "", speaker, f"seed{take.seed}"]
    parts = [_UNFIT.sub("_", part)[:LONGEST].strip(" .") for part in parts]
    name = "-".join(part for part in parts if part)
    return f"_{name}" if _RESERVED.match(name) else name


def _reserved(folder: Path, name: str, suffix: str) -> Path:
    """A file of our own, empty as yet, under the first free name."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = folder / f"{name}{f' ({number})' if number > 1 else ''}{suffix}"
            try:
                path.open("x").close()
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        raise TakeError(
            f"Takes cannot be written to '{folder}'.", got=error.strerror or str(error), remedy="Name another folder."
        ) from error

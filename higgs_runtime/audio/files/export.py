"""A clip as a deliverable: format, name, tags, chapters, cover, and a note of where the speech comes from.

Letters in shapes: C channels, T samples; H rows and W columns of pixels.
"""

from __future__ import annotations

import errno
import io
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import torch

from ...atomic_write import on_disk, unfinished
from ...choices import EXPORT_FORMATS
from ...errors import AudioError, MissingExtraError, ScriptError, SettingError, check_range
from ..clip import AudioClip
from .codecs import CODINGS, Chapter, Cover, append_id3, encode
from .filenames import file_names
from .id3 import id3_tag
from .tags import Told
from .writing import check_full_scale, write_file

_CLOCK = re.compile(r"\s*(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d+)?)\s+(?:-\s+)?(\S.*?)\s*")
# Tags that have atoms of their own in MP4 (libavformat/movenc.c); FFmpeg leaves others out.
MP4_TAGS = frozenset(
    "title artist album_artist composer album date encoder encoding_tool comment genre copyright grouping lyrics "
    "description synopsis show episode_id network keywords track disc".split()
)
WORKFLOW = "workflow"  # ComfyUI's entry, which its editor opens
MOST_OPUS_WORKFLOW = 64_900  # bytes: what a page of Ogg holds (RFC 3533), less what stands before
_MAX_COVER = 1400  # pixels of its longer side
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}  # a file system without them


@dataclass(frozen=True)
class Provenance:
    """Where synthetic speech comes from. As text: one line for the file's comment.

    Attributes:
        model: that spoke.
        voices: whose they are.
        consent: who agreed to the use of the voices, and where that is written down.
        credit: that the licence of the model asks for.
        within: which parts of a recording are synthetic, where not all of it is.
    """

    model: str = ""
    voices: str = ""
    consent: str = ""
    credit: str = ""
    within: str = ""

    def __str__(self) -> str:
        parts = [("Model", self.model), ("Voices", self.voices), ("Consent", self.consent), ("Credit", self.credit)]
        told = [(name, " ".join(text.split()).rstrip(".")) for name, text in parts]
        within = " ".join(self.within.split()).rstrip(".")
        head = f"Synthetic speech within a recording: {within}." if within else "Synthetic speech."
        return " ".join([head, *(f"{name}: {text}." for name, text in told if text)])


SYNTHETIC = Provenance()


@dataclass(frozen=True, kw_only=True)
class About:
    """What a file says of itself.

    Attributes:
        tags: title, artist, album, date, genre, comment, …; names in lower case.
        chapters: in order; see `parse_chapters`.
        cover: a picture, float [H, W, 3], 0 to 1.
        provenance: is added to the comment; None leaves it out.
        metadata: further entries that are no fields of a name's template, as ComfyUI's `prompt` and `workflow`. AAC
            files hold them with the extra `tags` only; without it a note says so.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    chapters: Sequence[Chapter] = ()
    cover: torch.Tensor | None = None
    provenance: Provenance | None = SYNTHETIC
    metadata: Mapping[str, str] = field(default_factory=dict)


NOTHING_MORE = About()


class Exported(NamedTuple):
    """A file that was written.

    Attributes:
        path: of the new file.
        notes: what is not as asked for, one sentence each.
    """

    path: Path
    notes: tuple[str, ...]


def parse_tags(text: str) -> dict[str, str]:
    """Lines of `name: value` as tags; names in lower case. Empty lines are passed over.

    Raises:
        ScriptError: a line without a colon, or a name twice.
    """
    tags: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not line.strip():
            continue
        if not colon or not re.fullmatch(r"\w+", name) or name.lower() in tags:
            raise ScriptError(
                f"Line {number} of the tags is not usable.",
                expected="name: value, each name once",
                got=f"'{line.strip()}'",
                remedy="Write, for example, title: The old lighthouse",
            )
        tags[name.lower()] = value
    return tags


def parse_chapters(text: str, seconds: float) -> tuple[Chapter, ...]:
    """Lines of `m:ss Title` or `h:mm:ss.mmm Title` as chapters of a clip so long. Empty lines are passed over.

    Raises:
        ScriptError: a line without time or title, times that do not rise, or one at or after the end.
    """
    starts, titles = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = _CLOCK.fullmatch(line)
        start = int(found[1] or 0) * 3600 + int(found[2]) * 60 + float(found[3]) if found else -1.0
        if found is None or not (starts[-1] if starts else -1) < start < seconds:
            wanted = f"a time after the line before and before the end at {seconds:g} s, then a title"
            raise ScriptError(
                f"Line {number} of the chapters is not usable.",
                expected=wanted,
                got=f"'{line.strip()}'",
                remedy="Write, for example, 12:30 The storm",
            )
        starts.append(start)
        titles.append(found[4])
    return tuple(map(Chapter, starts, [*starts[1:], seconds], titles))


def export_audio(
    clip: AudioClip,
    folder: str | os.PathLike,
    template: str = "{title}_{n:03}",
    format: str = "flac 16-bit",
    *,
    kbps: int | None = None,
    about: About = NOTHING_MORE,
    instead: Callable[[Path], AudioClip | None] | None = None,
) -> Exported:
    """Writes a clip below a folder, under the first name that is free: nothing is ever overwritten.

    The file appears whole or not at all. Rates that a format lacks are changed to the next that it has.

    Args:
        folder: an existing one; the template may make folders in it.
        template: see `file_names`; its fields are the tags of `about`, `title` (else "audio"), `date`, `time` and `n`.
        format: a key of EXPORT_FORMATS.
        kbps: bit rate in kbit/s, 8 to 512, of mp3, opus and AAC; None takes 192, 96 and 128.
        about: what the file says of itself; of nothing more, that its speech is synthetic.
        instead: is shown the finished file before it takes its name; a clip that it returns is written in its place,
            until it returns None.

    Raises:
        SettingError: an unknown format, a bit rate out of its range, a template that cannot be filled.
        AudioError: no samples, samples beyond full scale in another format than float, too many channels, no such
            folder, a failed write (disk full, no permission).
        MissingExtraError: PyAV (extra `export`) is not installed.
    """
    suffix, coding = _chosen(clip, folder, format, kbps)
    tags = {name: value for name, value in about.tags.items() if value}
    fields = {"title": "audio", "date": time.strftime("%Y-%m-%d"), "time": time.strftime("%H-%M-%S"), **tags}
    names = file_names(folder, template, fields, suffix)
    first = next(names)  # a template that cannot be filled ends here
    if about.provenance is not None:
        tags["comment"] = "\n".join(filter(None, [tags.get("comment", ""), str(about.provenance)]))
    further = dict(sorted(about.metadata.items(), key=lambda item: item[0] != WORKFLOW))  # it comes first
    picture = None if about.cover is None else _cover(about.cover)
    told = Told(tags=tags, further=further, chapters=about.chapters, cover=picture)
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(first, suffix) as part:
            notes = _write(part, clip, coding, kbps, told)
            while instead is not None and (other := instead(part)) is not None:
                part.unlink()
                notes = _write(part, other, coding, kbps, told)
            return Exported(_claim(part, chain([first], names)), notes)
    except OSError as error:
        raise AudioError(
            f"'{first}' could not be written: {error.strerror or error}.",
            remedy="Check free disk space and permissions, then export again.",
        ) from error


def _chosen(clip: AudioClip, folder: str | os.PathLike, format: str, kbps: int | None) -> tuple[str, str]:
    """The row of the table, once all that can be refused beforehand is."""
    if format not in EXPORT_FORMATS:
        raise SettingError(
            "This format is not known.",
            expected="one of " + ", ".join(EXPORT_FORMATS),
            got=f"'{format}'",
            remedy="Choose one of them.",
        )
    if kbps is not None:
        check_range("kbps", kbps, 8, 512, "192 suits mp3, 96 Opus.")
    if clip.length == 0:
        raise AudioError(
            "There is nothing to export.",
            expected="a clip with samples",
            got="0 samples",
            remedy="Check the step that made the clip.",
        )
    if not Path(folder).is_dir():
        raise AudioError(
            f"There is no folder '{folder}'.", expected="a folder that exists", got="none", remedy="Make it first."
        )
    return EXPORT_FORMATS[format]


def _write(part: Path, clip: AudioClip, coding: str, kbps: int | None, told: Told) -> tuple[str, ...]:
    """Writes the whole file; what is to be noted about it."""
    wave, rate = clip.samples.detach().cpu().numpy(), clip.sample_rate
    if part.suffix == ".wav":
        write_file(part, wave, rate, coding)
        with open(part, "r+b") as file:
            append_id3(file, id3_tag(told))
            on_disk(file)
        return ()
    check_full_scale(wave)
    is_mp4, kind = CODINGS[coding].muxer == "mp4", part.suffix[1:]
    if is_mp4 and "year" in told.tags and "date" not in told.tags:
        told = replace(told, tags={**told.tags, "date": told.tags["year"]})
    with open(part, "xb") as file:
        encode(file, wave, rate, CODINGS[coding], kbps, told)
        on_disk(file)
    notes = []
    if (coded := CODINGS[coding].rate_for(rate)) != rate:
        notes.append(f"Resampled from {rate} to {coded} Hz for {kind}.")
    size = len(told.further.get(WORKFLOW, "").encode())
    if kind == "opus" and size > MOST_OPUS_WORKFLOW:
        notes.append(
            f"The workflow is in the file, but has {size} bytes, and ComfyUI's editor looks no further than the first "
            f"page of an Opus file ({MOST_OPUS_WORKFLOW}): export as flac to open it there."
        )
    others = {name: value for name, value in told.tags.items() if name not in MP4_TAGS} | dict(told.further)
    if is_mp4 and others and not _add_freeform(part, others):
        notes.append(f"{kind} holds no {', '.join(others)} without the extra 'tags': pip install mutagen.")
    return tuple(notes)


def _add_freeform(part: Path, entries: Mapping[str, str]) -> bool:
    """Adds entries of any name to an MP4 file, as iTunes keeps its own; False without mutagen."""
    try:
        from mutagen import MutagenError
        from mutagen.mp4 import MP4
    except ImportError:
        return False
    try:
        file = MP4(part)
        for name, value in entries.items():
            file[f"----:com.apple.iTunes:{name}"] = value.encode()
        file.save()
    except MutagenError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, OSError):
            raise cause from error
        raise AudioError(
            "The entries of the file could not be written.", got=str(error), remedy="Choose another format."
        ) from error
    return True


def _claim(part: Path, names: Iterable[Path]) -> Path:
    """Gives the finished file the first name that is free, also when others take names at the same time."""
    for path in names:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(part, path)
            return path
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        try:
            path.open("xb").close()
        except FileExistsError:
            continue
        os.replace(part, path)
        return path
    raise AssertionError("names never end")


def _cover(picture: torch.Tensor) -> Cover:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("A cover", "export", "Pillow") from error
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.numel():
        raise SettingError(
            "This is not a picture for a cover.",
            expected="[rows, columns, 3]",
            got=str(list(picture.shape)),
            remedy="Give one picture in colour.",
        )
    image = Image.fromarray((picture.detach().cpu().float().nan_to_num().clamp(0, 1) * 255).round().byte().numpy())
    image.thumbnail((_MAX_COVER, _MAX_COVER))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    return Cover(data.getvalue(), *image.size)

"""A film is dubbed: references, takes, and the mix over the film's own sound."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..codec import Codec
from ..errors import SettingError
from ..outputs import check_not_read
from ..rendering import (
    Assembly,
    Delivered,
    Events,
    Performance,
    RenderJob,
    RenderSettings,
    Silent,
    Speaker,
    assemble,
    cast_voices,
    check_assembly,
    check_output,
    deliver,
    render,
)
from ..script import Script
from ..takes import Takes
from ..types import Sampling, Voice
from ..verification import Recognizer
from .bed import Bed, with_bed
from .film import FilmSound
from .references import FilmReferences, ReferenceSettings, film_references
from .video import VIDEOS, check_video, write_video


@dataclass(frozen=True, kw_only=True, eq=False)
class DubJob:
    """What is to be dubbed, and how.

    Attributes:
        script: subtitles in the language of the dub.
        original, recognizer, references, corrections: as in `film_references`.
        voices: speaker -> voice, in place of the film's own.
        sampling, settings, store: as in `RenderJob`.
        bed: what is heard under the dub.
    """

    script: Script
    original: Script | None = None
    recognizer: Recognizer | None = None
    references: ReferenceSettings = ReferenceSettings()
    corrections: str = ""
    voices: Mapping[str, Voice] = field(default_factory=dict)
    sampling: Sampling = Sampling()
    settings: RenderSettings = RenderSettings()
    store: Takes | None = None
    bed: Bed = Bed()


def dub(
    film: FilmSound, job: DubJob, speaker: Speaker, codec: Codec, path: str | os.PathLike, events: Events | None = None
) -> tuple[Delivered, FilmReferences]:
    """Dub a film into a sound file, or a copy of the video with that sound; beside it subtitles and time line.

    Args:
        film: see `FilmSound.of`.
        path: the suffix names the format; .mp4, .mkv and .mov are copies of the film with an .m4a beside them.
        events: as in `render`.

    Raises:
        ScriptError: a speaker has no voice, in the film nor in `job.voices`; or as `film_references`.
        HiggsError: as `film_references`, `render` and `deliver`.
    """
    check_dub(film, path, [])
    check_assembly(job.script)
    found = film_references(
        film,
        job.script,
        codec,
        original=job.original,
        recognizer=job.recognizer,
        settings=job.references,
        corrections=job.corrections,
    )
    cast = cast_voices(found.script, {**found.voices, **found.in_place(job.voices)})
    rendered = RenderJob(
        script=found.script, voices=cast.voices, sampling=job.sampling, settings=job.settings, store=job.store
    )
    performance = render(rendered, speaker, events or Silent())
    made = deliver_dub(performance, codec, film, path, bed=job.bed, plain=found.plain)
    return made, found


def check_dub(film: FilmSound, path: str | os.PathLike, inputs: Iterable[str | os.PathLike]) -> None:
    """Before the long work: that the dub can be written.

    Raises:
        SettingError, MissingExtraError: as `check_output` and `check_video`; a video of a film that is no file.
    """
    path, source = Path(path), film.source
    inputs = [*inputs, *([source] if isinstance(source, Path) else [])]
    if path.suffix.lower() not in VIDEOS:
        check_output(path, inputs)
        return
    if not isinstance(source, Path):
        raise SettingError(
            "Only the film itself has pictures.",
            expected="a video file as the film, or a sound file as the result",
            got="a clip, and a video to be made",
            remedy="Name a sound file, as dub.flac.",
        )
    check_video(source)
    check_output(path.with_suffix(".m4a"), inputs)
    check_not_read(path, inputs)


def deliver_dub(
    performance: Performance,
    codec: Codec,
    film: FilmSound,
    path: str | os.PathLike,
    *,
    bed: Bed | None = None,
    plain: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **delivery: Any,
) -> Delivered:
    """Lay the lines of a performance over their film, and write that.

    Args:
        bed: what is heard under it; None: the film's own sound, ducked.
        plain: as in `FilmReferences`: what subtitles, stems and time line call the speakers.
        on_progress: as in `assemble`.
        delivery: what `deliver` knows beside.

    Raises:
        HiggsError: as `assemble`, `with_bed`, `deliver` and `write_video`.
    """
    path, plain = Path(path), plain or {}
    is_video = path.suffix.lower() in VIDEOS
    with tempfile.TemporaryDirectory(prefix="higgs-") as spool:
        made = assemble(performance, codec, spool=spool, on_progress=on_progress)
        made = with_bed(with_plain_names(made, plain), bed or Bed(), film, spool)
        if is_video:  # a sound file of this name that somebody else made stays
            delivery["replace"] = False
        found = deliver(made, path.with_suffix(".m4a") if is_video else path, **delivery)
    if not is_video:
        return found
    assert isinstance(film.source, Path), "checked by check_dub"
    write_video(film.source, found.files[0], path)
    return Delivered((path, *found.files), found.notes)


def with_plain_names(made: Assembly, plain: Mapping[str, str]) -> Assembly:
    """An assembly whose speakers are called as `plain` has them, wherever a file says who speaks."""

    def own(one):
        return replace(one, speaker=plain.get(one.speaker, one.speaker))

    return replace(
        made,
        script=replace(made.script, turns=[own(turn) for turn in made.script.turns]),
        spoken=[replace(one, line=own(one.line)) for one in made.spoken],
        fits=[own(row) for row in made.fits],
        stems=[plain.get(stem, stem) for stem in made.stems],
    )

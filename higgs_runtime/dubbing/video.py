"""A dub as the sound of its video: pictures and subtitles are copied as they are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from ..atomic_write import replacing
from ..audio.files import pyav
from ..errors import AudioError, SettingError

VIDEOS = (".mp4", ".mkv", ".mov")


def check_video(film: str | os.PathLike) -> None:
    """That a film has pictures, before the long work.

    Raises:
        SettingError: it has none, or is no file that FFmpeg reads.
        MissingExtraError: PyAV (extra `export`) is not installed.
    """
    av = pyav()
    try:
        with av.open(f"file:{Path(film).absolute()}", options={"protocol_whitelist": "file"}) as container:
            if _moving(container):
                return
            got = container.format.name
    except (av.error.FFmpegError, ValueError) as error:
        got = str(error)
    raise SettingError(
        f"'{film}' has no pictures to put the dub under.",
        expected="a video, where the result is to be one",
        got=got,
        remedy="Name a sound file with -o, as dub.flac.",
    )


def write_video(film: str | os.PathLike, sound: str | os.PathLike, path: str | os.PathLike) -> None:
    """The film's pictures, and the subtitles that the container takes, with another sound: whole or not at all, and
    nothing is encoded again.

    Args:
        sound: a sound file whose coding the container takes, as AAC in .m4a; it begins with the film.
        path: .mp4, .mkv or .mov.

    Raises:
        AudioError: FFmpeg refuses, or it cannot be written.
    """
    av = pyav()
    try:
        with replacing(Path(path)) as part:
            _write(av, Path(film), Path(sound), part, Path(path).suffix.lower())
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise AudioError(
            f"'{path}' could not be written.",
            expected="a container that takes these pictures",
            got=str(error).split(": 'file:")[0],
            remedy="Try .mkv, which takes all, or check free disk space.",
        ) from error


def _write(av, film: Path, sound: Path, part: Path, suffix: str) -> None:
    own = {"options": {"protocol_whitelist": "file"}}
    kind = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}[suffix]
    with (
        av.open(f"file:{film.absolute()}", **own) as source,
        av.open(f"file:{sound.absolute()}", **own) as dub,
        av.open(str(part), "w", format=kind) as target,
    ):
        known = [one for one in source.streams.subtitles if one.codec_context is not None]
        texts = [one for one in known if suffix == ".mkv" or one.codec_context.name == "mov_text"]
        kept = [*_moving(source), *texts]
        copies = {one.index: _copy(one, target) for one in kept}
        voice = target.add_stream_from_template(dub.streams.audio[0])
        target.metadata.update({**source.metadata, **dub.metadata})
        begin = Fraction(source.start_time or 0, av.time_base)  # where players begin: what the subtitles count from
        spoken = dub.demux(dub.streams.audio[0])
        waiting = next(spoken, None)
        for packet in _in_time(source.demux(kept)):
            shift = round(begin / packet.time_base)
            now = packet.dts * packet.time_base - begin
            while waiting is not None and waiting.dts is not None and waiting.dts * waiting.time_base <= now:
                waiting.stream = voice
                target.mux(waiting)
                waiting = next(spoken, None)
            packet.stream, packet.pts, packet.dts = copies[packet.stream.index], packet.pts - shift, packet.dts - shift
            target.mux(packet)
        while waiting is not None and waiting.dts is not None:
            waiting.stream = voice
            target.mux(waiting)
            waiting = next(spoken, None)


def _moving(container) -> list:
    """Its pictures, without those of a cover."""
    from av.stream import Disposition

    return [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]


def _copy(stream, target):
    """A stream of the target for the packets of this one, of the same language and title."""
    made = target.add_stream_from_template(stream)
    made.metadata.update({name: stream.metadata[name] for name in ("language", "title") if name in stream.metadata})
    return made


def _in_time(packets: Iterable) -> Iterator:
    """The packets, each with the time when it is decoded. Matroska does not have that, and FFmpeg finds it only behind
    as many packets as pictures may change places: the first ones, a key frame among them, come without."""
    waiting: dict[int, list] = {}
    last: dict[int, int] = {}
    for packet in packets:
        if packet.size == 0:  # the end of a stream
            continue
        place = packet.stream.index
        if packet.dts is None and place in last:
            packet.dts = last[place] + 1
        if packet.dts is None:
            waiting.setdefault(place, []).append(packet)
            continue
        yield from _counted_back(waiting.pop(place, []), packet.dts)
        last[place] = packet.dts
        yield _shown(packet)
    for early in waiting.values():
        shown = [one.pts for one in early if one.pts is not None]
        yield from _counted_back(early, min(shown, default=0) + 1)


def _counted_back(early: list, until: int) -> Iterator:
    """Packets without a time, up to that of the next one."""
    step = max(1, min((packet.duration or 1 for packet in early), default=1))
    for number, packet in enumerate(early):
        packet.dts = until - (len(early) - number) * step
        yield _shown(packet)


def _shown(packet):
    if packet.pts is None:
        packet.pts = packet.dts
    return packet

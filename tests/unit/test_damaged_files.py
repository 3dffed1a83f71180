"""Damaged sound files of every kind that is read: a clip or our error comes out, in little time and memory."""

from __future__ import annotations

import random
import sys
import zlib
from pathlib import Path

import pytest
import soundfile
from helpers_mutations import mutations, outcomes
from test_audio import noise, write_av

QUICK, SLOW = 4, 40  # damaged copies of each kind
SAVED = ["wav", "flac", "mp3", "ogg", "opus", "aiff", "caf", "w64", "rf64", "m4a", "aac", "ac3", "wma", "mka", "webm"]
SUBTYPES = [  # of libsndfile
    *("wav PCM_24", "wav FLOAT", "wav DOUBLE", "wav PCM_U8", "wav ULAW", "wav ALAW", "wav IMA_ADPCM", "wav MS_ADPCM"),
    *("wav GSM610", "caf ALAC_16", "aiff IMA_ADPCM", "au PCM_16", "voc PCM_16", "w64 FLOAT"),
]
MUXED = {  # by FFmpeg: suffix, codec, options
    "alac": ("m4a", "alac", {}),
    "faststart": ("m4a", "aac", {"movflags": "faststart"}),
    "fragmented": ("mp4", "libopus", {"movflags": "frag_keyframe+empty_moov"}),
    "mka flac": ("mka", "flac", {}),
    "live webm": ("webm", "libopus", {"live": "1"}),
    "mov pcm": ("mov", "pcm_s16le", {}),
    "avi mp3": ("avi", "libmp3lame", {}),
}
KINDS = [*SAVED, *SUBTYPES, *MUXED]


def written(kind: str, folder: Path) -> Path:
    """A good file of this kind, half a second long."""
    path, clip = folder / f"good.{MUXED[kind][0] if kind in MUXED else kind.split()[0]}", noise(12_000)
    if kind in SAVED:
        clip.save(path)
    elif kind in MUXED:
        write_av(path, clip, *MUXED[kind][1:])
    else:
        soundfile.write(path, clip.samples[0].numpy(), 24_000, subtype=kind.split()[1])
    return path


def check(kinds: list[str], folder: Path, count: int) -> None:
    damaged, good = [], []
    for number, kind in enumerate(kinds):
        place = folder / str(number)
        place.mkdir()
        good.append(written(kind, place))
        generator = random.Random(zlib.crc32(kind.encode()))
        for copy, data in enumerate(mutations(good[-1].read_bytes(), count, generator)):
            damaged.append(place / f"{copy}{good[-1].suffix}")
            damaged[-1].write_bytes(data)
    found = outcomes([*good, *damaged])
    assert {found[path] for path in good} == {"read"}
    wrong = {f"{kinds[int(path.parent.name)]} {path.name}": said for path, said in found.items()}
    assert {name: said for name, said in wrong.items() if said not in ("read", "refused")} == {}


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")


def test_some_damaged_files_of_every_kind(tmp_path):
    check(KINDS, tmp_path, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_many_damaged_files_of_every_kind(tmp_path, part):
    check(KINDS[part::4], tmp_path, SLOW)

"""Containers of sound that are shorter than they say."""

from __future__ import annotations

import pytest
from test_audio import noise, write_av

from higgs_runtime import AudioClip, AudioError
from higgs_runtime.audio.files.container_length import missing_bytes


@pytest.mark.parametrize(
    "suffix, codec, options",
    [
        ("m4a", "aac", {}),
        ("m4a", "aac", {"movflags": "faststart"}),
        ("mp4", "libopus", {"movflags": "faststart"}),
        ("mp4", "libmp3lame", {"movflags": "frag_keyframe+empty_moov"}),
        ("mkv", "libopus", {}),
        ("webm", "libopus", {}),
        ("mka", "flac", {}),
    ],
)
@pytest.mark.parametrize("part", [0.5, 0.98])
def test_cut_off_containers_are_refused(tmp_path, suffix, codec, options, part):
    """By the lengths that they state, so that it does not depend on how a version of FFmpeg ends."""
    path = tmp_path / f"a.{suffix}"
    write_av(path, noise(96_000), codec, options)
    assert missing_bytes(path) == 0 and AudioClip.load(path).seconds == pytest.approx(96_000 / 24_000, abs=0.1)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(AudioError):
        AudioClip.load(path)


def test_a_container_whose_length_is_open_is_read(tmp_path):
    """As a browser's recorder writes it."""
    write_av(tmp_path / "a.webm", noise(48_000), "libopus", {"live": "1"})
    assert missing_bytes(tmp_path / "a.webm") == 0 and AudioClip.load(tmp_path / "a.webm").seconds > 1.9


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 8,
        b"\x00\x00\x00\x08ftyp",
        b"\x00\x00\x00\x01mdat",
        b"\x1aE\xdf\xa3",
        b"\x1aE\xdf\xa3\xff" + b"\x00" * 20,
        b"\x00\x00\x00\x00mdatabc",
    ],
)
def test_lengths_of_odd_files(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert missing_bytes(tmp_path / "a") == 0

"""Sound files in pieces: what is pushed comes out, early, and decodes to the same sound."""

from __future__ import annotations

import io
import struct
import sys

import av
import numpy as np
import pytest

from higgs_runtime import AudioError, MissingExtraError
from higgs_runtime.audio.files.streaming import MEDIA_TYPES, StreamEncoder, file_bytes

RATE = 24_000
FORMATS = sorted(MEDIA_TYPES)


def tones(seconds: float, rate: int = RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 1230 * time))[None].astype(np.float32)


def decoded(data: bytes, format: str, rate: int = RATE) -> np.ndarray:
    if format == "pcm":
        return np.frombuffer(data, "<i2")[None] / 32767
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler("fltp", "mono", rate)
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


def difference_db(a: np.ndarray, b: np.ndarray) -> float:
    """The difference's level beside the sound's, at the best of the shifts that codecs make."""
    length = min(a.shape[1], b.shape[1]) - 3000
    found = [np.square(a[0, s : s + length] - b[0, :length]).mean() for s in range(0, 3000, 1)]
    return 10 * np.log10(min(found) / np.square(b).mean() + 1e-12)


def streamed(format: str, wave: np.ndarray, piece: int, rate: int = RATE) -> list[bytes]:
    encoder = StreamEncoder(format, rate, wave.shape[0])
    parts = [encoder.push(wave[:, start : start + piece]) for start in range(0, wave.shape[1], piece)]
    return [*parts, encoder.finish()]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("piece", [997, pytest.param(24_000, marks=pytest.mark.slow)])
def test_a_stream_decodes_to_its_input(format, piece):
    wave = tones(2.0)
    found = decoded(b"".join(streamed(format, wave, piece)), format)
    assert abs(found.shape[1] - wave.shape[1]) < 3000
    assert difference_db(found, wave) < (-80 if format in ("wav", "pcm", "flac") else -20)


@pytest.mark.parametrize("format", FORMATS)
def test_whole_files(format):
    wave = tones(1.0)
    found = decoded(file_bytes(format, wave, RATE), format)
    assert abs(found.shape[1] - wave.shape[1]) < 3000
    assert difference_db(found, wave) < (-80 if format in ("wav", "pcm", "flac") else -20)


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_held_back_for_long(format):
    """After each second all but half a second is out, and can be decoded."""
    encoder, data = StreamEncoder(format, RATE), b""
    for second in range(1, 4):
        data += encoder.push(tones(1.0))
        assert decoded(data, format).shape[1] > (second - 0.5) * RATE


def test_the_header_of_a_whole_wav_file_tells_its_length_and_that_of_a_stream_cannot():
    wave = tones(0.5)
    whole, parts = file_bytes("wav", wave, RATE), streamed("wav", wave, 1000)
    assert struct.unpack_from("<I", whole, 40)[0] == len(whole) - 44 == 24_000
    assert struct.unpack_from("<I", parts[0], 40)[0] == 0xFFFFFFFF
    assert b"".join(parts)[44:] == whole[44:] == file_bytes("pcm", wave, RATE)


def test_another_rate_than_the_codec_takes():
    wave = tones(2.0, 44_100)
    found = decoded(b"".join(streamed("opus", wave, 5000, 44_100)), "opus", 44_100)
    assert abs(found.shape[1] - wave.shape[1]) < 3000 and difference_db(found, wave) < -20


@pytest.mark.parametrize("format", FORMATS)
def test_two_channels_and_nothing_at_all(format):
    assert b"".join(streamed(format, np.concatenate([tones(0.5)] * 2), 4000))
    assert (len(StreamEncoder(format, RATE).finish()) == 0) == (format in ("pcm", "aac", "mp3"))


def test_samples_beyond_full_scale_are_cut_off():
    assert set(np.frombuffer(file_bytes("pcm", np.full((1, 10), 3.0, np.float32), RATE), "<i2")) == {32767}


@pytest.mark.parametrize("format, channels", [("ogg", 1), ("mp3", 3), ("wav", 0), ("pcm", 9)])
def test_unsupported_output_is_refused(format, channels):
    with pytest.raises(AudioError):
        StreamEncoder(format, RATE, channels)


def test_without_pyav_wav_is_written_all_the_same(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert len(file_bytes("wav", tones(0.1), RATE)) == 44 + 4800
    with pytest.raises(MissingExtraError, match="pip install av"):
        StreamEncoder("mp3", RATE)

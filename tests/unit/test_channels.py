"""Each channel stays where it is: a tone a channel, every layout from mono to 7.1, every format in and out, and what
another decoder says of it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from higgs_runtime import AudioClip, AudioError, measure_loudness
from higgs_runtime.audio.files import export_audio, file_bytes
from higgs_runtime.audio.files.codecs import LAYOUTS
from higgs_runtime.audio.files.reading import _read_av

RATE = 48_000
BASS = {6: 3, 7: 3, 8: 3}  # which channel carries low notes alone
SAVED = ["wav", "flac", "ogg", "opus", "aiff", "caf", "w64", "rf64", "m4a", "aac", "ac3", "mka", "webm"]
SPEAKERS = {  # of FFmpeg's decoder, in the order of our channels
    1: "FC",
    2: "FL FR",
    3: "FL FR FC",
    4: "FL FR BL BR",
    5: "FL FR FC BL BR",
    6: "FL FR FC LFE BL BR",
    7: "FL FR FC LFE BC SL SR",
    8: "FL FR FC LFE BL BR SL SR",
}


def hertz(channels: int) -> list[int]:
    return [60 if BASS.get(channels) == n else 300 + 200 * n for n in range(channels)]


def tones(channels: int, seconds: float = 0.8) -> AudioClip:
    time = torch.arange(round(seconds * RATE)) / RATE
    return AudioClip(torch.stack([0.25 * torch.sin(2 * torch.pi * one * time) for one in hertz(channels)]), RATE)


def heard(wave: np.ndarray, rate: int) -> list[int]:
    """The loudest tone of each channel, to 20 Hz."""
    middle = wave[:, wave.shape[1] // 4 : 3 * wave.shape[1] // 4]
    spectrum = abs(np.fft.rfft(middle * np.hanning(middle.shape[1])))
    return [20 * round(float(peak) * rate / middle.shape[1] / 20) for peak in spectrum.argmax(1)]


@pytest.mark.parametrize("suffix", SAVED)
@pytest.mark.parametrize("channels", range(1, 9))
def test_every_layout_in_every_format(tmp_path, suffix, channels):
    path, clip = tmp_path / f"a.{suffix}", tones(channels)
    if suffix == "ac3" and channels > 6:
        with pytest.raises(AudioError, match="fewer channels"):
            clip.save(path)
        return
    clip.save(path)
    for wave, rate in (_ours(path), _read_av(path, 0.0, None)):
        assert heard(wave, rate) == hertz(channels)


def _ours(path: Path):
    clip = AudioClip.load(path)
    return clip.samples.numpy(), clip.sample_rate


@pytest.mark.parametrize("format", ["flac 24-bit", "opus", "m4a (AAC)", "m4b (AAC audiobook)"])
@pytest.mark.parametrize("channels", [3, 5, 6, 7, 8])
def test_exported_and_sent(tmp_path, format, channels):
    made = export_audio(tones(channels), tmp_path, "a", format).path
    assert heard(*_ours(made)) == hertz(channels)
    with av.open(str(made)) as file:
        if not (channels == 7 and "AAC" in format):  # MPEG-4 has no number for this layout: it says how many of each
            assert [one.name for one in file.streams.audio[0].layout.channels] == SPEAKERS[channels].split()
    if made.suffix in (".flac", ".opus"):
        (tmp_path / "sent").write_bytes(file_bytes(made.suffix[1:], tones(channels).samples.numpy(), RATE))
        assert heard(*_ours(tmp_path / "sent")) == hertz(channels)


@pytest.mark.parametrize("channels", range(3, 9))
def test_files_of_ffmpeg(tmp_path, channels):
    """Written by FFmpeg in the order of Vorbis, as RFC 7845 has it; read by libsndfile, whole and in part."""
    path, wave = tmp_path / "a.ogg", tones(channels).samples.numpy()
    with av.open(str(path), "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=RATE, layout=LAYOUTS[channels], options={"mapping_family": "1"})
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(wave.T).reshape(1, -1), format="flt", layout=LAYOUTS[channels]
        )
        frame.sample_rate, frame.pts = RATE, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert heard(*_ours(path)) == hertz(channels)
    part = AudioClip.load(path, start_s=0.2, duration_s=0.5)
    assert heard(part.samples.numpy(), RATE) == hertz(channels)


def test_loudness_of_surround_is_that_of_the_clip(tmp_path):
    """Surround channels count more (BS.1770), the bass channel not at all: in another order the figure is another."""
    clip = tones(6, 2.0)
    before = measure_loudness(clip).integrated_lufs
    for suffix in ("ogg", "opus"):
        clip.save(tmp_path / f"a.{suffix}")
        assert measure_loudness(AudioClip.load(tmp_path / f"a.{suffix}")).integrated_lufs == pytest.approx(
            before, abs=0.2
        )


@pytest.mark.parametrize("channels", [7, 8, 12, 16])
def test_more_than_six_channels_are_read_by_ffmpeg(tmp_path, channels):
    """Planar frames of so many end the process in PyAV 18.1: it is asked for packed ones."""
    wave = np.stack([np.full(4800, 0.01 * (n + 1), "f4") for n in range(channels)])
    soundfile.write(tmp_path / "a.wav", wave.T, RATE, subtype="FLOAT")
    read, rate = _read_av(tmp_path / "a.wav", 0.0, None)
    assert rate == RATE and read.shape == wave.shape and abs(read - wave).max() < 1e-6


@pytest.mark.parametrize("suffix", ["flac", "m4a", "mka", "webm", "mp3", "wma", "ac3"])
def test_too_many_channels_are_refused(tmp_path, suffix):
    with pytest.raises(AudioError, match="channels"):
        AudioClip(torch.zeros(9, 4800), RATE).save(tmp_path / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []

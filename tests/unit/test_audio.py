"""Clips: what can be loaded and saved, what is refused, and the edits."""

from __future__ import annotations

import errno
import math
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_examples import cases_of

from higgs_runtime import AudioClip, AudioError
from higgs_runtime.audio.clip import level_peak, resample, to_mono, trim, trim_silence
from higgs_runtime.audio.files import reading, writing

SOUNDFILE_SUFFIXES = ["wav", "flac", "ogg", "opus", "mp3", "aiff", "caf", "w64", "rf64"]


def tone(seconds=1.0, rate=24_000, channels=1, hertz=440.0, level=0.5) -> AudioClip:
    time = torch.arange(round(seconds * rate)) / rate
    wave = torch.stack([torch.sin(2 * math.pi * hertz * (1 + channel) * time) for channel in range(channels)])
    return AudioClip(level * wave, rate)


def noise(length: int, rate=24_000, channels=1, seed=0) -> AudioClip:
    return AudioClip(torch.rand(channels, length, generator=torch.Generator().manual_seed(seed)) - 0.5, rate)


def write_av(path: Path, clip: AudioClip, codec: str, options=None) -> None:
    """A file in a format that soundfile does not know."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w", options=options or {}) as container:
        layout = "mono" if clip.channels == 1 else "stereo"
        stream = container.add_stream(codec, rate=clip.sample_rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(clip.samples.numpy(), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = clip.sample_rate, 0
        for part in (frame, None):
            container.mux(stream.encode(part))


@pytest.mark.parametrize(
    "samples, rate, message",
    [
        (torch.zeros(4), 24_000, r"expected|Expected \[channels, samples\]"),
        (torch.zeros(0, 4), 24_000, "one channel or more"),
        (torch.zeros(1, 4, dtype=torch.float64), 24_000, "float64"),
        (np.zeros((1, 4), "f"), 24_000, "ndarray"),
        (torch.zeros(1, 4), 0, "from 1 to 768000"),
        (torch.zeros(1, 4), 768_001, "768001"),
        (torch.zeros(1, 4), 24_000.0, "24000.0"),
        (torch.zeros(1, 4), True, "True"),
    ],
)
def test_a_clip_refuses_what_is_not_audio(samples, rate, message):
    with pytest.raises(AudioError, match=message):
        AudioClip(samples, rate)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_a_number_is_refused_with_its_place(value):
    samples = torch.zeros(3, 100)
    samples[1, 57] = value
    with pytest.raises(AudioError, match=f"{value} in channel 1 at sample 57"):
        AudioClip(samples, 24_000)


@pytest.mark.parametrize("suffix", SOUNDFILE_SUFFIXES)
def test_saved_clips_come_back(tmp_path, suffix):
    clip, path = tone(channels=2), tmp_path / f"Ünï cödé.{suffix}"
    clip.save(path)
    back = AudioClip.load(path)
    assert (back.sample_rate, back.channels, back.length) == (24_000, 2, 24_000)
    lossy = suffix in ("ogg", "opus", "mp3")
    inner = slice(1000, -1000) if lossy else slice(None)  # Opus has no samples beyond the end to blend with
    assert (back.samples - clip.samples)[:, inner].abs().max() < (0.1 if lossy else 1 / 32767)
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("subtype, tolerance", [("PCM_16", 2**-15), ("pcm_24", 2**-23), ("FLOAT", 0)])
def test_wav_encodings(tmp_path, subtype, tolerance):
    clip = noise(1000)
    clip.save(tmp_path / "a.wav", subtype=subtype)
    assert (AudioClip.load(tmp_path / "a.wav").samples - clip.samples).abs().max() <= tolerance


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3", "m4a"])
def test_a_part_equals_the_part_of_the_whole(tmp_path, suffix):
    path, clip = tmp_path / f"a.{suffix}", noise(24_000 * 4, channels=2)
    if suffix == "m4a":
        write_av(path, clip, "aac")
    else:
        clip.save(path)
    whole, generator = AudioClip.load(path), random.Random(1)
    for _ in range(8):
        start, length = generator.uniform(0, 3.5), generator.uniform(0.001, 2)
        part, first = AudioClip.load(path, start_s=start, duration_s=length), round(start * 24_000)
        assert part.length == min(whole.length - first, max(1, round(length * 24_000)))
        assert torch.allclose(part.samples, whole.samples[:, first : first + part.length], atol=2e-3)


def test_a_quiet_mp3_is_cut_exactly(tmp_path):
    """Its frames borrow bits from frames long before."""
    tone(3).save(tmp_path / "a.mp3")
    whole = AudioClip.load(tmp_path / "a.mp3")
    for first in range(11_000, 60_000, 7_001):
        part = AudioClip.load(tmp_path / "a.mp3", start_s=first / 24_000, duration_s=0.25)
        assert torch.allclose(part.samples, whole.samples[:, first : first + 6000], atol=1e-5)


@pytest.mark.parametrize("name, codec", [("a.m4a", "aac"), ("a.mp4", "aac"), ("a.mka", "ac3")])
def test_other_formats_are_read_by_pyav(tmp_path, name, codec):
    clip = tone(2, rate=44_100, channels=2)
    write_av(tmp_path / name, clip, codec)
    back = AudioClip.load(tmp_path / name)
    assert (back.sample_rate, back.channels) == (44_100, 2)
    assert back.seconds == pytest.approx(2, abs=0.1)
    middle = slice(20_000, 60_000)
    peak = np.abs(np.fft.rfft(back.samples[0, middle].numpy())).argmax() * 44_100 / 40_000
    assert peak == pytest.approx(440, abs=2) and back.samples[:, middle].abs().max() == pytest.approx(0.5, abs=0.1)


def test_pydub_is_the_last_resort(tmp_path, monkeypatch):
    """With an "ffmpeg" that hands its input on, which is what pydub needs of it for a WAV file under another name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport shutil, sys\n"
        "shutil.copy(sys.argv[sys.argv.index('-i') + 1], sys.argv[-1]) if sys.argv[-1] != '-' else "
        "sys.stdout.buffer.write(open(sys.argv[sys.argv.index('-i') + 1], 'rb').read())\n"
    )
    program.chmod(0o755)
    (folder / "ffprobe").write_text("#!/bin/sh\necho '{}'\n")
    (folder / "ffprobe").chmod(0o755)
    if os.name == "nt" or subprocess.run([program, "-i", os.devnull, "-"]).returncode:
        pytest.skip("no scripts as programs here")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    clip = tone(channels=2)
    clip.save(tmp_path / "b.wav")
    (tmp_path / "b.wav").rename(tmp_path / "b.m4a")
    wave, rate = reading._read_pydub(tmp_path / "b.m4a", 0.0, None)
    assert rate == 24_000 and np.abs(wave - clip.samples.numpy()).max() < 1e-4


@pytest.mark.parametrize("suffix, part", cases_of(SOUNDFILE_SUFFIXES, [0.0, 0.001, 0.5, 0.9], quick=5))
def test_cut_off_files_are_refused(tmp_path, suffix, part):
    path = tmp_path / f"a.{suffix}"
    noise(24_000, channels=2).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(AudioError, match="a\\." + suffix):
        AudioClip.load(path)


def test_a_wav_from_a_pipe_has_an_open_size(tmp_path):
    tone().save(tmp_path / "a.wav")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[40:44] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(data)
    assert AudioClip.load(tmp_path / "a.wav").length == 24_000


def test_a_flac_from_a_pipe_has_an_open_length(tmp_path):
    """A total of 0 samples is not known (RFC 9639, 8.2); see findings/flac_of_open_length.sh."""
    tone().save(tmp_path / "a.flac")
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
    (tmp_path / "a.flac").write_bytes(data)
    assert AudioClip.load(tmp_path / "a.flac").length == 24_000


@pytest.mark.parametrize("suffix", [*SOUNDFILE_SUFFIXES, "m4a", "mp4", "raw", "txt", "xyz", ""])
def test_garbage_is_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(random.Random(3).randbytes(20_000))
    with pytest.raises(AudioError, match="soundfile.*PyAV.*pydub|damaged|holds no audio"):
        AudioClip.load(path)


def test_damage_in_the_middle_never_ends_in_another_error(tmp_path):
    generator = random.Random(5)
    for suffix in ("wav", "flac", "mp3", "ogg"):
        noise(12_000).save(tmp_path / f"a.{suffix}")
        data = (tmp_path / f"a.{suffix}").read_bytes()
        for _ in range(12):
            broken = bytearray(data)
            for _ in range(20):
                broken[generator.randrange(len(data))] = generator.randrange(256)
            path = tmp_path / f"b.{suffix}"
            path.write_bytes(broken)
            try:
                AudioClip.load(path)
            except AudioError as error:
                assert f"b.{suffix}" in str(error)


def test_paths_that_are_no_file(tmp_path):
    with pytest.raises(AudioError, match="got nothing"):
        AudioClip.load(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="got a folder"):
        AudioClip.load(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.wav")
        with pytest.raises(AudioError, match="got a special file"):
            AudioClip.load(tmp_path / "pipe.wav")


def test_a_video_without_sound(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), "u1"))))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match="holds no audio"):
        AudioClip.load(tmp_path / "a.mp4")


def test_nan_in_a_file_names_file_and_place(tmp_path):
    import soundfile

    wave = np.zeros((100, 2), "f")
    wave[42, 1] = np.nan
    soundfile.write(tmp_path / "a.wav", wave, 8000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav.*channel 1 at sample 42"):
        AudioClip.load(tmp_path / "a.wav")


def test_a_file_without_samples(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros((0, 2), "f"), 8000)
    with pytest.raises(AudioError, match="no audio in.*got 0 samples"):
        AudioClip.load(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"start_s": -1}, "0 seconds or more"),
        ({"start_s": math.nan}, "0 seconds"),
        ({"duration_s": 0}, "more than 0"),
        ({"duration_s": math.inf}, "more than 0"),
        ({"start_s": 1.0}, "a start before 1 s, got 1 s"),
    ],
)
def test_parts_that_do_not_exist(tmp_path, arguments, message):
    tone().save(tmp_path / "a.wav")
    with pytest.raises(AudioError, match=message):
        AudioClip.load(tmp_path / "a.wav", **arguments)
    with pytest.raises(AudioError, match=message):
        trim(tone(), **arguments)


@pytest.mark.slow
def test_two_hours_are_read_in_part(tmp_path):
    """A sparse file: 2 h of 48 kHz stereo, of which one second is touched."""
    path, size = tmp_path / "long.wav", 2 * 3600 * 48_000 * 4
    with open(path, "wb") as file:
        file.write(
            b"RIFF"
            + struct.pack("<I", size + 36)
            + b"WAVEfmt "
            + struct.pack("<IHHIIHH", 16, 1, 2, 48_000, 48_000 * 4, 4, 16)
            + b"data"
            + struct.pack("<I", size)
        )
        file.truncate(size + 44)
        file.seek(44 + 7000 * 48_000 * 4)
        file.write(struct.pack("<hh", 16384, -8192))
    script = (
        "import resource, sys; sys.path.insert(0, '.'); from higgs_runtime.audio.clip import AudioClip\n"
        "import soundfile; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"clip = AudioClip.load({str(path)!r}, start_s=7000, duration_s=1)\n"
        "print(clip.samples[:, 0].tolist(), clip.length, clip.sample_rate)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    pytest.importorskip("resource")
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    values, growth_kb = done.stdout.splitlines()
    assert values == "[0.5, -0.25] 48000 48000" and int(growth_kb) < 50_000


def test_eight_channels_at_192_khz(tmp_path):
    clip = noise(19_200, rate=192_000, channels=8)
    clip.save(tmp_path / "a.wav", subtype="FLOAT")
    back = AudioClip.load(tmp_path / "a.wav")
    assert torch.equal(back.samples, clip.samples)
    mono = resample(to_mono(back), 24_000)
    assert (mono.channels, mono.length) == (1, 2400)
    assert torch.allclose(to_mono(back).samples[0], clip.samples.mean(0))


def test_saving_refuses(tmp_path):
    loud = AudioClip(torch.full((1, 10), 1.5), 24_000)
    for name in ("a.wav", "a.flac", "a.mp3", "a.m4a"):
        with pytest.raises(AudioError, match=r"peak of 1\.5 \(\+3\.52 dBFS\)"):
            loud.save(tmp_path / name)
    loud.save(tmp_path / "b.wav", subtype="FLOAT")
    assert AudioClip.load(tmp_path / "b.wav").samples.max() == 1.5
    cases = [
        ("a.xyz", tone(), None, r"expected one of \.wav|Expected one of \.wav"),
        ("a", tone(), None, "got ''"),
        ("a.wav", AudioClip(torch.zeros(1, 0), 8000), None, "0 samples"),
        ("a.flac", tone(), "FLOAT", "PCM_24"),
        ("a.mp3", tone(channels=3), None, "3 channels"),
        ("no/a.wav", tone(), None, "no such folder"),
    ]
    for name, clip, subtype, message in cases:
        with pytest.raises(AudioError, match=message):
            clip.save(tmp_path / name, subtype=subtype)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError, match="a folder"):
        tone().save(tmp_path / "folder.wav")
    assert sorted(os.listdir(tmp_path)) == ["b.wav", "folder.wav"]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("room", [0, 5000])
def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch, suffix, room):
    """Writing fails as on a full disk, after `room` bytes."""
    path = tmp_path / f"a.{suffix}"
    tone().save(path)
    old, sink = path.read_bytes(), writing._Sink

    class Broken:
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    class Full(sink):
        written = 0

        def write(self, data):
            self.written += len(data)
            if self.written > room:
                self.file = Broken()
            return super().write(data)

    monkeypatch.setattr(writing, "_Sink", Full)
    with pytest.raises(AudioError, match="No space left on device.*free disk space"):
        noise(200_000).save(path)
    assert path.read_bytes() == old and os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_real_full_device_is_noticed(suffix):
    import soundfile

    with open("/dev/full", "w+b", buffering=0) as file:
        sink = writing._Sink(file)
        kind, encoding = writing.SOUNDFILE_FORMATS["." + suffix]
        with soundfile.SoundFile(sink, "w", 24_000, 1, encoding, format=kind) as out:
            out.write(noise(50_000).samples[0].numpy())
        assert sink.error.errno == errno.ENOSPC


def test_a_link_stays_a_link_and_a_crash_leaves_nothing(tmp_path, monkeypatch):
    tone().save(tmp_path / "a.wav")
    (tmp_path / "link.wav").symlink_to("a.wav")
    noise(10).save(tmp_path / "link.wav")
    assert (tmp_path / "link.wav").is_symlink() and AudioClip.load(tmp_path / "a.wav").length == 10

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        tone().save(tmp_path / "a.wav")
    assert AudioClip.load(tmp_path / "a.wav").length == 10 and sorted(os.listdir(tmp_path)) == ["a.wav", "link.wav"]


def test_resampling_keeps_pitch_channels_and_exact_length():
    generator = random.Random(7)
    for _ in range(30):
        old, new = generator.choice([8000, 11_025, 24_000, 44_100, 48_000]), generator.choice([8000, 16_000, 44_100])
        clip = noise(generator.randrange(1, 5000), rate=old, channels=generator.randrange(1, 4))
        out = resample(clip, new)
        assert (out.channels, out.sample_rate) == (clip.channels, new)
        assert out.length == math.ceil(clip.length * new / old) and out.samples.is_contiguous()
    out = resample(tone(1, 48_000, 2), 16_000)
    expected = tone(1, 16_000, 2)
    assert (out.samples - expected.samples)[:, 500:-500].abs().max() < 1e-3
    empty = resample(AudioClip(torch.zeros(2, 0), 8000), 16_000)
    assert (empty.channels, empty.length, empty.seconds) == (2, 0, 0.0)
    with pytest.raises(AudioError, match="768000"):
        resample(tone(), 0)


def test_trim():
    clip = noise(24_000, channels=2)
    assert torch.equal(trim(clip, 0.5, 0.25).samples, clip.samples[:, 12_000:18_000])
    assert trim(clip, 0.5, 9).length == 12_000


def test_trim_silence():
    quiet, sound = 0.001 * noise(24_000, seed=1).samples, tone(0.5).samples
    clip = AudioClip(torch.cat([quiet, sound, quiet], 1), 24_000)
    out = trim_silence(clip, 40)
    assert 12_000 <= out.length <= 12_000 + 2 * 1000
    assert trim_silence(clip, 80).length == clip.length
    assert out.samples.abs().mean() > 0.9 * sound.abs().mean()
    for samples in (torch.zeros(1, 100), torch.zeros(1, 0)):
        with pytest.raises(AudioError, match="not silent"):
            trim_silence(AudioClip(samples, 24_000))
    with pytest.raises(AudioError, match="above 0"):
        trim_silence(clip, 0)
    for length in range(1, 40):  # clips shorter than a window
        assert 1 <= trim_silence(noise(length, rate=8000)).length <= length


def test_level_peak():
    assert level_peak(tone(level=0.1), -6).samples.abs().max() == pytest.approx(10 ** (-6 / 20), rel=1e-5)
    with pytest.raises(AudioError, match="silence"):
        level_peak(AudioClip(torch.zeros(1, 9), 8000))
    with pytest.raises(AudioError, match="0 dBFS or below"):
        level_peak(tone(), 0.1)


@pytest.mark.parametrize("bits", [0, 3, 4, 7, 9, 17, 40, 64, 255, 4096, 65_535])
@pytest.mark.parametrize("align", [0, 1, 65_535])
def test_a_wav_with_an_absurd_bit_depth_is_refused_or_read(tmp_path, bits, align):
    data = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 436, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, align, bits, b"data", 400
    )
    (tmp_path / "a.wav").write_bytes(data + bytes(range(200)) * 2)
    try:
        assert AudioClip.load(tmp_path / "a.wav").length
    except AudioError as error:
        assert "a.wav" in str(error)


def test_whatever_pydub_raises_is_ours(tmp_path, monkeypatch):
    """It is asked last, and fails in ways of its own."""

    class Odd:
        sample_width, channels, frame_rate = 0, 0, 0

        def get_array_of_samples(self):
            return [1, 2, 3]

    class Pydub:
        class AudioSegment:
            @staticmethod
            def from_file(*_, **__):
                return Odd()

    (tmp_path / "a.wav").write_bytes(b"RIFF and nothing more")
    monkeypatch.setattr(reading, "_pydub", lambda: Pydub)
    with pytest.raises(AudioError, match="could not be read as audio"):
        AudioClip.load(tmp_path / "a.wav")

"""What goes into a file comes out: as many samples, and each at its place."""

from __future__ import annotations

import av
import pytest
import soundfile
import torch

from higgs_runtime import AudioClip, AudioError
from higgs_runtime.audio.files import StreamEncoder, export_audio
from higgs_runtime.audio.files.writing import FFMPEG_FORMATS
from higgs_runtime.audio.mix import AudioFile
from higgs_runtime.audio.waveform import waveform_peaks

EXACT = ["wav", "flac", "ogg", "opus", "mp3", "aiff", "caf", "w64", "rf64", "m4a", "m4b", "mp4", "mka", "webm"]
FRAMES = {"aac": 1024, "wma": 2048, "ac3": 1536}  # that say no length: a frame more at most
SHORT = [1, 2, 50, 575, 576, 1023, 1024, 1025, 1151, 1152, 1153, 2047, 2048, 2049]
LONG = [4095, 4096, 24_000, 47_999, 48_000, 48_001]


def click(length: int, rate: int) -> AudioClip:
    wave = torch.zeros(1, length)
    half = min(20, length // 4)
    middle = length // 2
    wave[0, middle - half : middle + half + 1] = 0.9 * torch.hann_window(2 * half + 3)[1:-1]
    return AudioClip(wave, rate)


def place(clip: AudioClip) -> int:
    return int(clip.samples.abs().argmax())


@pytest.mark.parametrize("suffix", [*EXACT, *FRAMES])
@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_as_many_samples_and_a_click_at_its_place(tmp_path, suffix, rate):
    path = tmp_path / f"a.{suffix}"
    for length in [*SHORT, *LONG]:
        clip = click(length, rate)
        clip.save(path)
        read = AudioClip.load(path)
        wanted = -(-length * read.sample_rate // rate)
        more = FRAMES.get(suffix, 0)
        if suffix in ("mka", "webm") and wanted < 648:  # a single packet is kept whole
            more = 960
        assert 0 <= read.length - wanted <= more or (read.sample_rate != rate and abs(read.length - wanted) == 1), (
            length
        )
        if length >= 50:
            assert abs(place(read) - place(clip) * read.sample_rate / rate) <= 8, length


@pytest.mark.parametrize("format", ["mp3", "opus", "flac 24-bit", "m4a (AAC)"])
@pytest.mark.parametrize("rate", [8000, 24_000, 44_100])
def test_exported_files_too(tmp_path, format, rate):
    for length in (50, 1152, 24_000, 48_001):
        read = AudioClip.load(export_audio(click(length, rate), tmp_path, "a{n}", format).path)
        wanted = length * read.sample_rate / rate
        assert abs(read.length - wanted) <= 1, (format, length)
        assert abs(place(read) - place(click(length, rate)) * read.sample_rate / rate) <= 8


@pytest.mark.parametrize("suffix", ["m4a", "aac", "ac3", "wma", "mka"])
def test_a_part_is_that_of_the_whole(tmp_path, suffix):
    path, rate = tmp_path / f"a.{suffix}", 48_000
    noise = torch.rand(1, 3 * rate, generator=torch.Generator().manual_seed(0)) - 0.5
    AudioClip(noise, rate).save(path)
    whole = AudioClip.load(path)
    for start in (0.0, 0.3, 0.5, 1.2, 2.5):
        part = AudioClip.load(path, start_s=start, duration_s=0.4)
        first = round(start * rate)
        expected = whole.samples[:, first : first + part.length]
        if suffix in ("mka", "ac3", "wma") and start > 0.5:  # their times count milliseconds
            continue
        assert part.length == round(0.4 * rate) and (part.samples - expected).abs().max() < 0.02, start


def test_nothing_is_left_behind_the_end_of_an_m4a(tmp_path):
    click(24_000, 24_000).save(tmp_path / "a.m4a")
    with pytest.raises(AudioError, match="Nothing is left"):
        AudioClip.load(tmp_path / "a.m4a", start_s=1.0)


def test_an_m4a_of_ffmpeg_with_times_in_milliseconds(tmp_path):
    """FFmpeg's own unit for edit lists is a millisecond: within one the length is right."""
    wave = click(24_000, 24_000).samples.numpy()
    with av.open(str(tmp_path / "a.m4a"), "w") as file:
        stream = file.add_stream("aac", rate=24_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave, format="flt", layout="mono")
        frame.sample_rate, frame.pts = 24_000, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    read = AudioClip.load(tmp_path / "a.m4a")
    assert abs(read.length - 24_000) <= 24 and abs(place(read) - 12_000) <= 4


@pytest.mark.parametrize("suffix, subtype", [("ogg", "VORBIS"), ("opus", "OPUS")])
def test_chained_ogg_is_heard_whole(tmp_path, suffix, subtype):
    """Two files put end to end are one (RFC 3533): libsndfile reads the first alone."""
    links = []
    for n in range(2):
        path = tmp_path / f"{n}.{suffix}"
        wave = (click(48_000, 48_000).samples * (1.0 - 0.5 * n))[0].numpy()
        soundfile.write(path, wave, 48_000, format="OGG", subtype=subtype)
        links.append(path.read_bytes())
    (tmp_path / f"both.{suffix}").write_bytes(b"".join(links))
    read = AudioClip.load(tmp_path / f"both.{suffix}")
    assert abs(read.seconds - 2.0) < 0.01
    first, second = read.samples[:, :48_000].abs().max(), read.samples[:, 48_000:].abs().max()
    assert first == pytest.approx(0.9, abs=0.1) and second == pytest.approx(0.45, abs=0.1)
    assert abs(AudioClip.load(tmp_path / f"1.{suffix}").seconds - 1) < 1e-6, "one alone is read as before"


def test_formats_that_say_no_length_are_known():
    assert {f".{name}" for name in FRAMES} <= FFMPEG_FORMATS.keys()
    assert all(FFMPEG_FORMATS[f".{name}"].frame == frame for name, frame in FRAMES.items())


@pytest.mark.parametrize(
    "suffix, subtype",
    [("wav", "GSM610"), ("wav", "G721_32"), ("wav", "NMS_ADPCM_32"), ("au", "G723_24"), ("aiff", "GSM610")],
)
def test_codings_of_telephones_are_read(tmp_path, suffix, subtype):
    """libsndfile cannot seek in them, not even to where it stands: read once, from the start, they are whole."""
    path, sound = tmp_path / f"a.{suffix}", click(16_000, 8000)
    soundfile.write(path, sound.samples[0].numpy(), 8000, subtype=subtype)
    read, part = AudioClip.load(path), AudioClip.load(path, start_s=0.9, duration_s=0.5)
    assert 0 <= read.length - 16_000 <= 320 and abs(place(read) - place(sound)) <= 2
    assert torch.equal(part.samples, read.samples[:, 7200:11_200])
    assert waveform_peaks(path, 100).seconds == pytest.approx(read.seconds, abs=0.05)
    with pytest.raises(AudioError, match="piece by piece"):
        AudioFile(path)


@pytest.mark.parametrize("options", [{"b": "64000"}, {"q": "2"}])
@pytest.mark.parametrize("tag", [b"", b"ID3\3\0\0\0\0\2\0" + bytes(256)])
def test_mp3_without_a_header_of_its_length(tmp_path, options, tag):
    """As live streams have it, constant and variable: libsndfile guesses, and what it lacks is no damage."""
    path, noise = tmp_path / "a.mp3", torch.rand(1, 192_000, generator=torch.Generator().manual_seed(0)) - 0.5
    noise[:, 60_000:130_000] *= 0.001  # a variable rate changes
    with av.open(str(path), "w", options={"write_xing": "0", "id3v2_version": "0"}) as file:
        stream = file.add_stream("libmp3lame", rate=48_000, layout="mono", options=options)
        frame = av.AudioFrame.from_ndarray(noise.numpy(), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    path.write_bytes(tag + path.read_bytes())
    read, part = AudioClip.load(path), AudioClip.load(path, start_s=2.5, duration_s=0.5)
    assert 0 <= read.length - 192_000 <= 3 * 1152
    assert (part.samples - read.samples[:, 120_000:144_000]).abs().max() < 1e-3
    streamed = StreamEncoder("mp3", 24_000)
    path.write_bytes(streamed.push(noise.numpy()) + streamed.finish())
    assert abs(AudioClip.load(path).seconds - 8) < 0.1, "what `higgs serve` sends"

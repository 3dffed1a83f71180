"""Export: formats, names, tags, chapters, covers, provenance, and what goes wrong."""

from __future__ import annotations

import errno
import itertools
import json
import math
import os
import sys
import threading
from dataclasses import replace

import av
import mutagen
import pytest
import torch
from helpers_audio import flat, sine
from helpers_examples import cases_of, examples
from hypothesis import given, settings, strategies as st

from higgs_runtime import AudioClip, AudioError, MissingExtraError, ScriptError, SettingError, export_audio
from higgs_runtime.audio.files import codecs as encoding
from higgs_runtime.audio.files.codecs import CODINGS
from higgs_runtime.audio.files.export import About, Provenance, parse_chapters, parse_tags
from higgs_runtime.audio.files.filenames import file_names
from higgs_runtime.audio.files.id3 import id3_tag
from higgs_runtime.audio.files.tags import Told
from higgs_runtime.choices import EXPORT_FORMATS

TAGS = {"title": "The Tower", "artist": "Röse", "album": "Night & sea", "project": "p/1"}
OF_B = About(tags={"project": "a", "speaker": "b"})
WORKFLOW = {"prompt": '{"1": {"class_type": "Ü"}}', "workflow": '{"nodes": []}'}
FULL_DISK = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def clip() -> AudioClip:
    return sine(440, 2.5, -6, 2, 24_000)


def entries(path) -> dict[str, str]:
    """Tags as FFmpeg reads them, names in lower case."""
    with av.open(str(path)) as file:
        told = {**file.metadata, **file.streams.audio[0].metadata}
    return {name.lower(): value for name, value in told.items()}


def level(samples: torch.Tensor) -> float:
    """RMS in dB."""
    return 20 * math.log10(float(samples.square().mean().sqrt()))


# --- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_all_of_it_is_read_back(tmp_path, clip, format):
    chapters = parse_chapters("0:00 Eins\n0:01.5 Zwei", clip.seconds)
    cover = torch.rand(40, 60, 3, generator=torch.Generator().manual_seed(0))
    made = export_audio(
        clip,
        tmp_path,
        "{title}",
        format,
        about=About(
            tags=TAGS,
            chapters=chapters,
            cover=cover,
            provenance=Provenance("Nano", "rose", "R. Rose,\n2026"),
            metadata=WORKFLOW,
        ),
    )
    assert made.notes == (("Resampled from 24000 to 44100 Hz for mp3.",) if format == "mp3" else ())
    assert os.listdir(tmp_path) == ["The Tower" + EXPORT_FORMATS[format][0]]
    told = entries(made.path)
    for name in ("title", "artist", "album"):
        assert told[name] == TAGS[name]
    assert told["comment"] == "Synthetic speech. Model: Nano. Voices: rose. Consent: R. Rose, 2026."
    for name, value in WORKFLOW.items():
        assert json.loads(told[name]) == json.loads(value)
    with av.open(str(made.path)) as file:
        marks = [(mark["start"] * float(mark["time_base"]), mark["metadata"]["title"]) for mark in file.chapters()]
        (picture,) = [stream for stream in file.streams.video if stream.disposition.attached_pic]
        assert (picture.width, picture.height) == (60, 40)
    assert marks == [(0.0, "Eins"), (1.5, "Zwei")]
    assert mutagen.File(made.path).tags


@pytest.mark.parametrize(
    "format, tolerance",
    [
        ("wav 16-bit", 2**-15),
        ("wav 24-bit", 2**-23),
        ("wav 32-bit float", 0),
        ("flac 16-bit", 2**-15),
        ("flac 24-bit", 2**-22),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 5, 6])
def test_lossless_formats(tmp_path, format, tolerance, channels):
    clip = AudioClip(torch.rand(channels, 5000, generator=torch.Generator().manual_seed(1)) * 2 - 1, 22_050)
    back = AudioClip.load(export_audio(clip, tmp_path, format=format).path)
    assert back.sample_rate == 22_050 and back.samples.shape == clip.samples.shape
    assert (back.samples - clip.samples).abs().max() <= tolerance * 1.001
    bits = getattr(mutagen.File(next(tmp_path.iterdir())).info, "bits_per_sample", None)
    assert bits == (32 if "float" in format else 24 if "24" in format else 16)


LOSSY = ["mp3", "opus", "m4a (AAC)", "m4b (AAC audiobook)"]
LAYOUTS = [(8000, 1), (24_000, 2), (44_100, 1), (48_000, 2)]


@pytest.mark.parametrize("format, layout, length", cases_of(LOSSY, LAYOUTS, [1, 1000, 30_001], quick=5))
def test_lossy_round_trips_keep_the_length_within_a_frame(tmp_path, format, layout, length):
    rate, channels = layout
    clip = AudioClip(sine(440, length / rate, -12, channels, rate).samples[:, :length], rate)
    made = export_audio(clip, tmp_path, format=format)
    coding = CODINGS[EXPORT_FORMATS[format][1]]
    back = AudioClip.load(made.path)
    wanted = length * back.sample_rate / rate
    assert back.channels == channels and abs(back.length - wanted) <= coding.frame * back.sample_rate / coding.rate_for(
        rate
    )
    if length > 10_000:
        middle = back.samples[:, back.length // 3 : back.length // 2]
        assert level(middle) == pytest.approx(-15.05, abs=0.5 if format == "mp3" else 0.1)  # LAME turns down
        expected = 440 * middle.shape[1] / back.sample_rate
        assert int(torch.fft.rfft(middle[0]).abs().argmax()) == pytest.approx(expected, abs=1)


def test_a_rate_unknown_to_the_format_is_changed_and_reported(tmp_path):
    made = export_audio(sine(440, 1, -6, rate=22_050), tmp_path, format="opus")
    assert made.notes == ("Resampled from 22050 to 24000 Hz for opus.",)
    made = export_audio(sine(440, 1, -6, rate=96_000), tmp_path, format="mp3")
    assert "48000" in made.notes[0] and AudioClip.load(made.path).sample_rate == 48_000
    made = export_audio(sine(440, 1, -6, rate=24_000), tmp_path, format="mp3")
    info = mutagen.File(made.path).info
    assert info.sample_rate == 44_100 and info.bitrate == pytest.approx(192_000, rel=1e-3), "160 at most at 24 kHz"


def test_the_bit_rate_is_the_one_asked_for(tmp_path):
    long = sine(440, 20, -6, 1, 44_100)
    made = export_audio(long, tmp_path, format="mp3")
    info = mutagen.File(made.path).info
    assert info.bitrate == 192_000 and str(info.bitrate_mode).endswith("CBR")  # as ACX asks
    small, large = (export_audio(long, tmp_path, format="opus", kbps=kbps).path.stat().st_size for kbps in (16, 128))
    assert small < large / 3


def test_provenance_is_on_by_default_and_can_be_left_out(tmp_path, clip):
    assert entries(export_audio(clip, tmp_path).path)["comment"] == "Synthetic speech."
    assert "comment" not in entries(export_audio(clip, tmp_path, about=About(provenance=None)).path)
    both = entries(export_audio(clip, tmp_path, about=About(tags={"comment": "Mine."})).path)["comment"]
    assert both == "Mine.\nSynthetic speech."


def test_without_mutagen_a_note_names_the_missing_package(tmp_path, clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "mutagen", None)
    made = export_audio(clip, tmp_path, format="m4b (AAC audiobook)", about=About(metadata=WORKFLOW))
    assert "workflow, prompt" in made.notes[0] and "pip install mutagen" in made.notes[0]
    assert export_audio(clip, tmp_path, format="opus", about=About(metadata=WORKFLOW)).notes == ()


# --- names ----------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten(tmp_path, clip):
    names = [export_audio(clip, tmp_path, "{project}_{speaker}_{n:03}", about=OF_B).path.name for _ in range(3)]
    assert names == ["a_b_001.flac", "a_b_002.flac", "a_b_003.flac"]
    (tmp_path / "a_b_002.flac").unlink()
    (tmp_path / "a_b_001.flac").write_bytes(b"mine")
    made = export_audio(clip, tmp_path, "{project}_{speaker}_{n:03}", about=OF_B)
    assert made.path.name == "a_b_002.flac" and (tmp_path / "a_b_001.flac").read_bytes() == b"mine"
    plain = [export_audio(clip, tmp_path, "sub/x").path.relative_to(tmp_path).as_posix() for _ in range(2)]
    assert plain == ["sub/x.flac", "sub/x_2.flac"]


def test_writers_at_the_same_time_get_names_of_their_own(tmp_path):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(export_audio(flat(0.1), tmp_path, "x_{n}").path)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(os.listdir(tmp_path)) == [f"x_{n}.flac" for n in range(1, 7)] == sorted(path.name for path in made)


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    names = [export_audio(flat(0.1), tmp_path, "x_{n}").path.name for _ in range(2)]
    assert names == ["x_1.flac", "x_2.flac"] == sorted(os.listdir(tmp_path))


@pytest.mark.parametrize(
    "template",
    [
        "../x",
        "a/../../x",
        "/etc/x",
        "C:/x",
        "..",
        "",
        "  ",
        "{title",
        "{nothing}",
        "{title.__class__}",
        "{title[0]}",
        "{title!r}",
        "{title:>9}",
        "{n:x}",
        "{n:0999999999}",
        "x" * 195,
        "a\\..\\..\\x",
        "{}",
    ],
)
def test_templates_that_are_refused(tmp_path, template):
    with pytest.raises(SettingError, match="template|filled"):
        export_audio(flat(0.1), tmp_path, template)
    assert os.listdir(tmp_path) == []


@given(st.text(max_size=300), st.sampled_from(["{title}", "{title}_{n:03}", "{n}{title}{title}"]))
@settings(max_examples=examples(150), deadline=None)
def test_any_value_stays_one_name_below_the_folder(tmp_path_factory, value, template):
    folder = tmp_path_factory.getbasetemp()
    try:
        names = list(itertools.islice(file_names(folder, template, {"title": value}, ".wav"), 12))
    except SettingError:
        return
    assert {path.parent for path in names} == {folder} and len(set(names)) == 12
    for name in (path.name for path in names):
        assert len(os.fsencode(name)) < 255 and name[0] not in " ." and "\0" not in name


@pytest.mark.parametrize(
    "value, name",
    [
        ("a/b\\c:d*?", "a_b_c_d_.wav"),
        ("CON", "_CON.wav"),
        ("nul.txt", "_nul.txt.wav"),
        ("x. ", "x.wav"),
        ("a\x00b\nc", "a_b_c.wav"),
        ("../../etc", "_.._etc.wav"),
    ],
)
def test_values_are_cleaned(tmp_path, value, name):
    assert next(file_names(tmp_path, "{title}", {"title": value}, ".wav")).name == name


# --- text that people write -----------------------------------------------------------------------------------------


def test_tags_and_chapters_as_text():
    assert parse_tags("Title: The: tower\n\n artist :Röse\n") == {"title": "The: tower", "artist": "Röse"}
    chapters = parse_chapters("0:00 Start\n\n12:30 - The storm\n1:02:03.5 End", 4000)
    assert [tuple(one) for one in chapters] == [(0, 750, "Start"), (750, 3723.5, "The storm"), (3723.5, 4000, "End")]
    assert parse_tags("") == {} and parse_chapters(" \n", 5) == ()
    for text in ("title", ": x", "a b: c", "title: a\nTitle: b"):
        with pytest.raises(ScriptError, match="Line"):
            parse_tags(text)
    for text in ("Start", "0:00", "0:05 a\n0:05 b", "0:05 a\n0:04 b", "0:10 too late", "x:00 a", "-1:00 a"):
        with pytest.raises(ScriptError, match="Line"):
            parse_chapters(text, 10)


# --- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "clip, arguments, message",
    [
        (AudioClip(torch.zeros(1, 0), 8000), {}, "0 samples"),
        (flat(1.5), {}, "louder than this format"),
        (flat(1.5), {"format": "mp3"}, "louder"),
        (flat(1.5), {"format": "wav 16-bit"}, "louder"),
        (flat(0.1), {"format": "ogg"}, "one of wav 16-bit"),
        (flat(0.1), {"kbps": 7}, "kbps"),
        (flat(0.1, channels=3), {"format": "mp3"}, "2 at most"),
        (flat(0.1, channels=9), {}, "8 at most"),
        (flat(0.1), {"about": About(cover=torch.zeros(4, 4))}, "cover"),
    ],
)
def test_refusals_leave_nothing(tmp_path, clip, arguments, message):
    with pytest.raises((AudioError, SettingError), match=message):
        export_audio(clip, tmp_path, **arguments)
    assert os.listdir(tmp_path) == []


def test_an_error_of_ffmpeg_is_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(CODINGS, "flac", replace(CODINGS["flac"], sample_format="fltp"))
    with pytest.raises(AudioError, match="FFmpeg could not write"):
        export_audio(flat(0.1), tmp_path)
    assert os.listdir(tmp_path) == []


def test_loud_samples_fit_into_float_files(tmp_path):
    made = export_audio(flat(1.5), tmp_path, format="wav 32-bit float")
    assert AudioClip.load(made.path).samples.max() == 1.5


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(AudioError, match="no folder"):
        export_audio(flat(0.1), tmp_path / "no")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AudioError, match="could not be written"):
        export_audio(flat(0.1), tmp_path, "file/x")


@pytest.mark.parametrize("format", ["flac 16-bit", "mp3", "opus", "m4b (AAC audiobook)"])
@pytest.mark.parametrize("room", [0, 3000, 20_000])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, format, room):
    class Full(encoding._Watched):
        written = 0

        def write(self, data):
            self.written += len(data)
            if self.written > room:
                self.error = FULL_DISK
                raise FULL_DISK
            return super().write(data)

    monkeypatch.setattr(encoding, "_Watched", Full)
    noise = AudioClip(torch.rand(2, 100_000, generator=torch.Generator().manual_seed(0)) - 0.5, 24_000)
    with pytest.raises(AudioError, match="No space left on device.*free disk space"):
        export_audio(noise, tmp_path, format=format)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_while_a_wav_gets_its_tags(tmp_path, monkeypatch):
    def full(*_):
        raise FULL_DISK

    monkeypatch.setattr(sys.modules["higgs_runtime.audio.files.export"], "append_id3", full)
    with pytest.raises(AudioError, match="No space left"):
        export_audio(flat(0.1), tmp_path, format="wav 24-bit")
    assert os.listdir(tmp_path) == []


def test_a_wav_without_room_for_its_tags(tmp_path):
    with open(tmp_path / "a.wav", "w+b") as file:
        file.truncate(2**32 - 20)  # takes no room on the disk
        with pytest.raises(AudioError, match="too long for a WAV"):
            encoding.append_id3(file, id3_tag(Told(tags={"title": "x"})))
        assert file.tell() == 2**32 - 20


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match="pip install av"):
        export_audio(flat(0.1), tmp_path, format="mp3")
    assert os.listdir(tmp_path) == []
    assert entries(export_audio(flat(0.1), tmp_path, format="wav 16-bit", about=About(tags=TAGS)).path)["title"]


def test_a_cancelled_export_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        export_audio(flat(0.1), tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", ["m4a", "m4b", "mp4", "aac", "wma", "ac3", "mka", "webm"])
def test_clips_save_what_ffmpeg_writes(tmp_path, clip, suffix):
    clip.save(tmp_path / f"a.{suffix}")
    back = AudioClip.load(tmp_path / f"a.{suffix}")
    assert back.channels == 2 and back.seconds == pytest.approx(clip.seconds, abs=0.1)
    assert os.listdir(tmp_path) == [f"a.{suffix}"]

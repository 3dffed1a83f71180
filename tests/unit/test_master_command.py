"""`higgs loudness` and `higgs master`."""

from __future__ import annotations

import av
import pytest
import torch
from helpers_audio import sine
from helpers_speech import speech

from higgs_runtime import AudioClip, measure_loudness
from higgs_runtime.audio.loudness.targets import check_norms
from higgs_runtime.choices import NORMS
from higgs_runtime.cli import main


@pytest.fixture
def source(tmp_path):
    sine(997, 3, -30, 2, 44_100).save(tmp_path / "take.wav")
    return tmp_path / "take.wav"


def test_loudness_of_files(source, capsys):
    assert main(["loudness", str(source), str(source)]) == 0
    out = capsys.readouterr().out
    assert out.count("take.wav\nLoudness -30.0 LUFS") == 2 and out.count("ACX audiobook: fails: RMS") == 2


def test_a_take_becomes_a_deliverable(source, tmp_path, capsys):
    from PIL import Image

    (tmp_path / "marks.txt").write_text("0:00 Eins\n0:01 Zwei\n", encoding="utf-8-sig")
    Image.new("L", (30, 20)).save(tmp_path / "cover.png")
    words = [
        "master",
        str(source),
        "--norm",
        "podcast",
        "--format",
        "m4b (AAC audiobook)",
        "-o",
        str(tmp_path),
        "--tag",
        "artist: Rose",
        "--chapters",
        str(tmp_path / "marks.txt"),
        "--cover",
        str(tmp_path / "cover.png"),
        "--model",
        "Nano",
        "--kbps",
        "96",
    ]
    assert main(words) == 0 == main(words)
    out, err = capsys.readouterr()
    assert out.split() == [str(tmp_path / name) for name in ("take.m4b", "take_2.m4b")] and "Gain +14.0 dB" in err
    with av.open(out.split()[0]) as file:
        assert (file.metadata["title"], file.metadata["artist"]) == ("take", "Rose")
        assert file.metadata["comment"] == "Synthetic speech. Model: Nano." and len(file.chapters()) == 2
        assert file.streams.video[0].width == 30
    assert measure_loudness(AudioClip.load(out.split()[0])).integrated_lufs == pytest.approx(-16, abs=0.3)


def test_without_the_note(source, tmp_path, capsys):
    assert main(["master", str(source), "-o", str(tmp_path), "--no-note"]) == 0
    with av.open(capsys.readouterr().out.strip()) as file:
        assert "comment" not in {name.lower() for name in file.metadata}


@pytest.mark.parametrize(
    "words, message",
    [
        (["--chapters", "none.txt"], "cannot be read"),
        (["--cover", "none.png"], "cannot be read"),
        (["--tag", "x"], "tags"),
        (["-o", "nowhere"], "no folder"),
        (["--name", "../x"], "template"),
        (["--kbps", "1"], "kbps"),
    ],
)
def test_refused_arguments(source, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["master", str(source), *words]) == 1
    assert message in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["take.wav"]


def report_of(path: str, norm: str):
    return next(one for one in check_norms(AudioClip.load(path)) if one.norm == norm)


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("format", ["mp3", "opus", "m4a (AAC)", "wav 16-bit"])
def test_the_file_meets_the_norm_when_it_is_measured_again(tmp_path, capsys, norm, format):
    """Speech whose peaks the coder brings above the ceiling: at 32 kbit/s by a decibel and more."""
    [clip] = [clip for clip, _ in speech()[:1]]
    samples = clip.samples * 3 + 0.001 * torch.sign(clip.samples)
    loud = AudioClip(torch.cat((samples, -samples * 0.7)).clamp(-1, 1), clip.sample_rate)
    loud.save(tmp_path / "loud.wav")
    low = ["--kbps", "32"] if format in ("mp3", "opus") else []
    words = ["master", str(tmp_path / "loud.wav"), "--norm", norm, "--format", format, "-o", str(tmp_path), *low]
    status, said = main(words), capsys.readouterr()
    result = report_of(said.out.strip(), norm)
    failed = [check.name for check in result.checks if not check.passed]
    assert failed in ([], ["noise floor"]) and status == bool(failed) and ("does not meet" in said.err) == bool(failed)
    if norm == "podcast mono":
        assert AudioClip.load(said.out.strip()).channels == 1


def test_a_norm_that_cannot_be_met_is_told(tmp_path, capsys):
    noise = torch.randn(1, 3 * 48_000, generator=torch.Generator().manual_seed(0)) * 0.1
    AudioClip(noise, 48_000).save(tmp_path / "noise.wav")
    assert main(["master", str(tmp_path / "noise.wav"), "--norm", "acx", "-o", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "does not meet the norm 'acx'" in said.err and "noise floor -20" in said.err
    assert said.out.strip() == str(tmp_path / "noise.flac")

"""`higgs captions`: what is said, as a subtitle file."""

from __future__ import annotations

import pytest

from higgs_runtime import cli, embedded_voices


@pytest.fixture
def rose(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return embedded_voices()["rose"]


@pytest.mark.slow
def test_captions_of_a_file_with_and_without_its_text(rose, tmp_path, capsys):
    said = rose.with_suffix(".txt").read_text(encoding="utf-8")
    (tmp_path / "said.txt").write_text(said, encoding="utf-8")
    assert cli.main(["captions", str(rose), "--text-file", "said.txt", "--style", "karaoke", "-o", "rose.vtt"]) == 0
    out, told = capsys.readouterr()
    made = (tmp_path / "rose.vtt").read_text(encoding="utf-8")
    assert out == "rose.vtt\n" and f"{len(said.split())} words in " in told
    assert made.startswith("WEBVTT") and made.count("<00:") >= len(said.split()) - made.count("-->")
    assert cli.main(["captions", str(rose)]) == 0
    heard = capsys.readouterr().out
    assert heard.startswith("1\n00:00:0") and "welcome" in heard.lower()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["-o", "x.doc"], "suffix"),
        (["--style", "karaoke"], "light up"),
        (["--max-chars", "3"], "max_chars"),
        (["--text", " "], "There is no text"),
        (["--text-file", "none.txt"], "cannot be read"),
        (["-o", "missing/x.srt"], "no folder"),
    ],
)
def test_what_cannot_be_is_said_before_listening(rose, more, says, capsys, monkeypatch):
    monkeypatch.setattr("higgs_runtime.verification.load_recognizer", lambda *_: pytest.fail("it listens"))
    assert cli.main(["captions", str(rose), *more]) == 1
    assert says in capsys.readouterr().err

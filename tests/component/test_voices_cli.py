"""`higgs voices`, and `higgs say` with a voice of the library."""

from __future__ import annotations

import pytest
import torch

from higgs_runtime import (
    Voice,
    cli,
    embedded_voices,
    find_voices,
    load_voice,
    save_voice,
    speech as pipeline,
    verification as listening,
)
from higgs_runtime.audio.clip import AudioClip, trim
from higgs_runtime.verification import Transcript, Word
from higgs_runtime.voices import describe_voice, load_source, saved_voice
from higgs_runtime.voices.library import VoiceCard, voice_path


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    trim(AudioClip.load(embedded_voices()["bear"]), 0.2, 1.5).save(path)
    return path


@pytest.fixture
def models(tmp_path):
    return tmp_path / "models"


def higgs(capsys, *words) -> tuple[int, str, str]:
    status = cli.main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_voice_is_added_listed_spoken_with_and_removed(clip, models, capsys, monkeypatch, tmp_path):
    where = ("--models-dir", models)
    add = ("voices", "add", "Zoë", clip, *where, "--note", "She agreed.")
    assert "No voices in" in higgs(capsys, "voices", "ls", *where)[1]
    assert higgs(capsys, *add, "--transcript", "The devil")[0] == 0
    [path] = find_voices([models]).values()
    voice, card = load_voice(path)
    assert voice.transcript == "The devil" and voice.codes.codec and card.note == "She agreed." and card.preview
    assert higgs(capsys, "voices", "ls", *where)[1].startswith("Zoë: 1 reference(s), 1.5 s. She agreed.\n")
    status, _, said = higgs(capsys, *add, "--transcript", "Another")
    assert status == 1 and "already" in said and "--overwrite" in said

    spoken = []
    sound = AudioClip(torch.zeros(1, 2400), 24_000)
    monkeypatch.setattr(pipeline, "speak", lambda text, voice, **_: spoken.append(voice) or sound)
    assert higgs(capsys, "say", "Hello.", "--voice", "Zoë", *where, "-o", tmp_path / "o.wav")[0] == 0
    assert torch.equal(spoken[0].codes.ids, voice.codes.ids)
    assert "one of Zoë, " in higgs(capsys, "say", "Hello.", "--voice", "Ada", *where)[2]

    assert higgs(capsys, "voices", "rm", "Zoë", *where)[0] == 0 and not path.exists()
    assert higgs(capsys, "voices", "rm", "rose", *where)[0] == 1


def test_listening_gives_the_transcript(clip, models, capsys, monkeypatch):
    class FakeRecognizer:
        def transcribe(self, heard, language):
            return Transcript("The devil.", (Word("The", 0.1, 0.3, 0.9), Word("devil.", 0.3, 0.9, 0.9)), "en")

    monkeypatch.setattr(listening, "load_recognizer", lambda folders: FakeRecognizer())
    status, said, warned = higgs(capsys, "voices", "add", "a", clip, "--listen", "--models-dir", models)
    assert status == 0 and "The devil." in said and "Too short" in warned
    assert load_voice(voice_path(models, "a"))[0].transcript == "The devil."


@pytest.mark.parametrize("name, words", [("../x", "cannot be the name"), ("a/b", "cannot be the name")])
def test_hostile_names(clip, models, capsys, name, words):
    status, _, said = higgs(capsys, "voices", "add", name, clip, "--transcript", "x", "--models-dir", models)
    assert status == 1 and words in said and not models.exists()


def test_a_broken_voice_stands_in_the_list(models, capsys):
    save_voice(voice_path(models, "good"), Voice(description="Slow."), VoiceCard(note="Mine."))
    voice_path(models, "bad").write_bytes(b"123")
    lines = higgs(capsys, "voices", "ls", "--models-dir", models)[1].splitlines()
    assert lines[0].startswith("bad: The voice file") and lines[1] == "good: 0 reference(s), 0.0 s. Slow. Mine."


def test_a_voice_without_words_is_kept_and_refused_where_the_model_needs_them(clip, models, capsys, tmp_path):
    where = ("--models-dir", models)
    status, _, said = higgs(capsys, "voices", "add", "Zoë", clip, *where)
    assert status == 0 and "The voice has no words: only Higgs Audio v3" in said and "--listen" in said
    path = voice_path(models, "Zoë")
    voice, card = load_voice(path)
    assert voice.transcript == "" and "without words" in describe_voice(voice, card)
    assert (
        "Zoë: 1 reference(s), 1.5 s. Without words: for Higgs Audio v3.\n" in higgs(capsys, "voices", "ls", *where)[1]
    )
    assert saved_voice(path).references and load_source(path, None).references, "v3 takes it"
    (tmp_path / "scene.txt").write_text("[Zoë] Hello.", encoding="utf-8")
    for command in (
        ("say", "Hello.", "--voice", "Zoë", "-o", tmp_path / "o.wav"),
        ("render-script", tmp_path / "scene.txt", "--voice", "Zoë=Zoë", "--store", tmp_path / "takes"),
    ):
        status, _, said = higgs(capsys, *command, *where)
        assert status == 1 and "The words of" in said and "only Higgs Audio v3" in said and "--listen" in said, said
    assert (
        higgs(capsys, "voices", "add", "Zoë", clip, *where, "--transcript", "The devil", "--overwrite")[2].count(
            "no words"
        )
        == 0
    )
    assert saved_voice(path, words_needed=True).transcript == "The devil"


def test_the_words_beside_a_clip_are_its_transcript(clip, models, capsys):
    clip.with_suffix(".txt").write_text("The devil.\n", encoding="utf-8")
    status, _, said = higgs(capsys, "voices", "add", "a", clip, "--models-dir", models)
    assert status == 0 and "no words" not in said
    assert load_voice(voice_path(models, "a"))[0].transcript == "The devil."


def test_listening_that_hears_nothing_is_told(clip, models, capsys, monkeypatch):
    class Deaf:
        def transcribe(self, heard, language):
            return Transcript("", (), "en")

    monkeypatch.setattr(listening, "load_recognizer", lambda folders: Deaf())
    status, _, said = higgs(capsys, "voices", "add", "a", clip, "--listen", "--models-dir", models)
    assert status == 1 and "No words were heard" in said and "v3 needs none" in said

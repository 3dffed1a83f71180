"""Checkpoints that speak only some words: what a word is, who is told of unknown ones, and how the words are listed."""

from __future__ import annotations

import io
import os
import shutil

import pytest
from helpers_checkpoint import add_to_config, make_lm_checkpoint, random_codes
from helpers_codec import make_codec_checkpoint

from higgs_runtime import (
    CheckpointError,
    HiggsWarning,
    Message,
    Sampling,
    Voice,
    build_prompt,
    conversation,
    load_model,
    speak,
)
from higgs_runtime.cli import main
from higgs_runtime.text.vocabulary import extent_of, unknown_words, words_of

KNOWN = ["hello", "keeper", "o'clock", "the"]
LISTED = "it knows 4 words, listed by `higgs models higgs-nano --words`."
SHORT = Sampling(max_frames=3)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model that speaks four words, one that speaks anything, and a codec."""
    folder = tmp_path_factory.mktemp("models")
    make_lm_checkpoint(folder / "higgs-nano", num_hidden_layers=1, stream_end=0)
    shutil.copytree(folder / "higgs-nano", folder / "plain")
    add_to_config(folder / "higgs-nano", display_name="Higgs Nano", vocabulary=KNOWN[::-1])
    make_codec_checkpoint(folder / "codec")
    return folder


@pytest.fixture(scope="module")
def tokenizer(models):
    return load_model(models / "higgs-nano").tokenizer


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, words",
    [
        ("", []),
        (" \n ... — !? 🎉 €%", []),
        ("Don’t STOP at five o'clock!", ["don't", "stop", "at", "five", "o'clock"]),
        ("rock 'n' roll; 'quoted' dogs'", ["rock", "n", "roll", "quoted", "dogs"]),
        ("a well-known fact_or two", ["a", "well", "known", "fact", "or", "two"]),
        ("In 1984, 7th", ["in", "1", "9", "8", "4", "7", "th"]),
        ("[SPEAKER0] Hi. [speaker12]Yes", ["hi", "yes"]),
        ("<|eot_id|>end<|AUDIO_OUT|>", ["end"]),
        ("a [b] <c> | d", ["a", "b", "c", "d"]),
        ("太阳从东方升起，在西方。", ["太阳从东方升起", "在西方"]),
        ("hello世界7", ["hello", "世界", "7"]),
        ("naïve cafe\u0301 Straße", ["naïve", "café", "straße"]),
        ("नमस्ते Здравствуйте بسم", ["नमस्ते", "здравствуйте", "بسم"]),
        ("½ x²", ["½", "x", "²"]),
    ],
)
def test_words_of_a_text(text, words):
    assert words_of(text) == words


def test_unknown_words_come_once_and_in_order():
    text = "Zebra, the lighthouse keeper: ZEBRA! 42, 2 o’clock 你好"
    assert unknown_words(text, frozenset(KNOWN)) == ["zebra", "lighthouse", "4", "2", "你好"]
    assert unknown_words("Hello, the keeper.", KNOWN) == unknown_words("", KNOWN) == []
    assert unknown_words("7 8", ["7"]) == ["8"]


def test_figures_are_not_counted_among_the_words():
    assert extent_of([*KNOWN, *"0123456789"]) == "4 words and the ten digits"
    assert extent_of(KNOWN) == "4 words" and extent_of([*KNOWN, "7"]) == "5 words"


# --- config.json ----------------------------------------------------------------------------------------------------


def test_config_says_name_words_and_codec(models, tmp_path):
    config = load_model(models / "higgs-nano").config
    assert (config.display_name, config.vocabulary, config.codec_identity) == ("Higgs Nano", frozenset(KNOWN), "")
    plain = load_model(models / "plain").config
    assert (plain.display_name, plain.vocabulary, plain.codec_identity) == ("", None, "")


@pytest.mark.parametrize(
    "field, value, says",
    [
        ("display_name", 7, "a text, got 7"),
        ("vocabulary", "hello", "a list of words in lower case, got 'hello'"),
        ("vocabulary", [], "a list of words"),
        ("vocabulary", ["hello", 7], "a list of words"),
        ("vocabulary", ["Hello"], "a list of words"),
        ("vocabulary", ["two words"], "a list of words"),
        ("codec_identity", 7, "16 hexadecimal digits, got 7"),
        ("codec_identity", "abc", "16 hexadecimal digits"),
    ],
)
def test_fields_of_another_kind_are_refused(models, tmp_path, field, value, says):
    folder = add_to_config(shutil.copytree(models / "plain", tmp_path / "lm"), **{field: value})
    with pytest.raises(CheckpointError, match=f"'{field}' in config.json.*{says}"):
        load_model(folder)


# --- warnings -------------------------------------------------------------------------------------------------------


def test_the_text_to_speak_is_checked(tokenizer):
    spoken = conversation("[SPEAKER0] Hello, the lighthouse. Zebra!", system="Unknown instruction.", scene="Some room.")
    assert build_prompt(spoken, tokenizer).warnings == (f"Higgs Nano does not know: lighthouse, zebra; {LISTED}",)
    assert build_prompt(conversation("Hello, the keeper!"), tokenizer).warnings == ()


def test_transcripts_are_looked_at_one_by_one(tokenizer):
    voices = [Voice(random_codes(2), "Hello."), Voice(random_codes(2), "The ship."), Voice(description="a pirate")]
    prompt = build_prompt(conversation("[SPEAKER0] Yes", voices), tokenizer)
    assert prompt.warnings == (
        f"The transcript of reference 2 has words that Higgs Nano does not know: ship; {LISTED}",
        f"Higgs Nano does not know: yes; {LISTED}",
    )
    done = [Message("system", "S"), Message("user", "Ship."), Message("assistant", random_codes(2))]
    [warning] = build_prompt(done, tokenizer, add_generation_prefix=False).warnings
    assert warning.startswith("The transcript of reference 1 has")


def test_long_lists_are_cut(tokenizer):
    text = " ".join("x" * n for n in range(1, 26))
    [warning] = build_prompt(conversation(text), tokenizer).warnings
    assert f"{'x' * 19}, {'x' * 20} and 5 more; it knows" in warning


def test_a_model_without_a_name_goes_by_its_folder(models, tmp_path):
    folder = add_to_config(shutil.copytree(models / "plain", tmp_path / "few-words"), vocabulary=["hello"])
    [warning] = build_prompt(conversation("Bye."), load_model(folder).tokenizer).warnings
    assert warning.startswith("few-words does not know: bye;") and "`higgs models few-words --words`" in warning


def test_a_model_for_any_text_never_warns(models):
    assert build_prompt(conversation("Zebra 你好."), load_model(models / "plain").tokenizer).warnings == ()


def test_speak_warns(models):
    with pytest.warns(HiggsWarning) as caught:
        speak("Hello zebra.", model=models / "higgs-nano", codec=models / "codec", sampling=SHORT, device="cpu")
    unknown, cut_off = (str(one.message) for one in caught)
    assert unknown == f"Higgs Nano does not know: zebra; {LISTED}" and "cut off after 0.12 s" in cut_off
    assert {one.filename for one in caught} == {__file__}
    with pytest.warns(HiggsWarning, match="^The speech was cut off"):
        speak("Hello.", model=models / "higgs-nano", codec=models / "codec", sampling=SHORT, device="cpu")


def test_say_writes_one_line_for_a_warning(models, tmp_path, capsys):
    args = ["say", "The zebra.", "--model", str(models / "higgs-nano"), "--codec", str(models / "codec")]
    for _ in range(2):  # not only the first time
        assert main([*args, "--max-seconds", "0.2", "--device", "cpu", "-o", str(tmp_path / "o.wav")]) == 0
        first, *more = capsys.readouterr().err.splitlines()
        assert first == f"higgs: Higgs Nano does not know: zebra; {LISTED}"
        assert len(more) == 1 and more[0].startswith("higgs: The speech was cut off after 0.2 s")


# --- higgs models ---------------------------------------------------------------------------------------------------


def test_models_lists_the_vocabulary_sizes(models, capsys):
    assert main(["models", "--models-dir", str(models)]) == 0
    by_name = {line.split()[2]: line for line in capsys.readouterr().out.splitlines() if line.startswith("language")}
    assert by_name["higgs-nano"].endswith(" · Higgs Nano (4 words)") and "words" not in by_name["plain"]
    assert main(["models", "plai", "--models-dir", str(models)]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.split() == by_name["plain"].split()


def test_a_broken_vocabulary_stays_in_the_list(models, tmp_path, capsys):
    add_to_config(shutil.copytree(models / "plain", tmp_path / "broken"), vocabulary="hello")
    assert main(["models", "broken", "--models-dir", str(tmp_path)]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("language model  broken  ") and "words" not in line


def words_listed(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(["models", *arguments, "--words"])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize("name", ["higgs-nano", "nano", "FOLDER"])
def test_words_are_listed_one_a_line(models, capsys, name):
    name = str(models / "higgs-nano") if name == "FOLDER" else name
    assert words_listed(capsys, name, "--models-dir", str(models)) == (0, "hello\nkeeper\no'clock\nthe\n", "")


def test_words_are_listed_in_columns_for_a_person(models, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("shutil.get_terminal_size", lambda *_, **__: os.terminal_size((20, 24)))
    assert main(["models", "nano", "--words", "--models-dir", str(models)]) == 0
    assert screen.getvalue() == "Higgs Nano (4 words):\nhello    keeper\no'clock  the\n"


@pytest.mark.parametrize(
    "name, says",
    [
        ("plain", "plain speaks any text."),
        ("a", "where there are higgs-nano, plain"),  # both have it
        ("unheard-of", "'unheard-of', where there are"),
    ],
)
def test_words_that_cannot_be_listed(models, capsys, monkeypatch, tmp_path, name, says):
    monkeypatch.setattr("higgs_runtime.hub.catalog.EMBEDDED", tmp_path)
    status, out, err = words_listed(capsys, name, "--models-dir", str(models))
    assert (status, out) == (1, "") and says in err

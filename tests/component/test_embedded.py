"""What the pack brings with it, and what is used where nobody chooses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers_checkpoint import add_to_config, make_folder, make_lm_checkpoint
from helpers_codec import make_codec_checkpoint, sound_like

from higgs_runtime import AudioClip, CheckpointError, Sampling, SettingError, cli, embedded_voices, load_codec, speak
from higgs_runtime.hub import catalog
from higgs_runtime.hub.catalog import default_pair, find_checkpoints, model_roots
from higgs_runtime.hub.releases import how_to_install

CODEC_TYPE = "higgs_audio_v2_tokenizer"
NOTICE = f"Speaking with Higgs Nano, a tiny demonstration model (2 words). For real speech:\n{how_to_install()}\n"


def make_pair(root: Path, lm="lm", codec="codec") -> Path:
    """Folders that look complete."""
    if lm:
        make_folder(root / lm)
    if codec:
        make_folder(root / codec, CODEC_TYPE, ["model.safetensors"])
    return root


@pytest.fixture
def pack(monkeypatch, tmp_path):
    """A pack with a pair of its own, which only looks complete."""
    monkeypatch.setattr(catalog, "EMBEDDED", tmp_path / "pack")
    return make_pair(tmp_path / "pack", "higgs-nano", "higgs-nano-codec")


def chosen(root: Path, lm: str = "", codec: str = "") -> list[str]:
    """Names of the default pair with these models installed, some of them chosen."""
    found = find_checkpoints(model_roots([root]))
    named = [next((item for item in found if item.name == name), None) for name in (lm, codec)]
    return [item.name for item in default_pair(found, *named)]


# --- the default pair -----------------------------------------------------------------------------------------------


def test_the_pack_stands_behind_all_folders(pack, tmp_path, monkeypatch):
    monkeypatch.setenv("HIGGS_MODELS", "mine")
    monkeypatch.setenv("COMFYUI_PATH", "comfy")
    usual = Path("models", "higgs_audio")
    assert model_roots() == [Path("mine"), usual, "comfy" / usual, pack]
    monkeypatch.delenv("HIGGS_MODELS")
    monkeypatch.delenv("COMFYUI_PATH")
    assert model_roots() == [usual, pack]
    assert model_roots(["a", Path("b")]) == [Path("a"), Path("b"), pack]
    found = {item.name: item.embedded for item in find_checkpoints(model_roots([make_pair(tmp_path / "models")]))}
    assert found == {"codec": False, "higgs-nano": True, "higgs-nano-codec": True, "lm": False}


def test_without_released_checkpoints_the_pack_speaks(pack, tmp_path):
    assert chosen(tmp_path / "nowhere") == ["higgs-nano", "higgs-nano-codec"]


@pytest.mark.parametrize("there", [{"codec": ""}, {"lm": ""}])
def test_half_a_pair_does_not_count(pack, tmp_path, there):
    assert chosen(make_pair(tmp_path / "models", **there)) == ["higgs-nano", "higgs-nano-codec"]


@pytest.mark.parametrize("lacking", ["lm/tokenizer.json", "codec/model.safetensors", "lm/config.json"])
def test_an_incomplete_pair_does_not_count(pack, tmp_path, lacking):
    (make_pair(tmp_path / "models") / lacking).unlink()
    assert chosen(tmp_path / "models") == ["higgs-nano", "higgs-nano-codec"]


def test_the_first_complete_pair_comes_before_the_packs(pack, tmp_path):
    models = make_pair(make_pair(tmp_path / "models", "z-lm", "z-codec"), "m-lm", "m-codec")
    make_folder(models / "a-lm", files=["model.safetensors"])  # no tokenizer
    make_folder(models / "b-codec", "higgs_audio_v2_tokenizer", files=["readme.md"])  # no weights
    (models / "a-weights.pth").write_text("")  # another codec than Higgs'
    assert chosen(models) == ["m-lm", "m-codec"]


def test_the_original_layout_counts_as_well(pack, tmp_path):
    make_folder(tmp_path / "models" / "lm", "higgs_audio")
    codec = make_folder(tmp_path / "models" / "codec", "", ["model.pth"])
    (codec / "config.json").write_text(json.dumps({"semantic_techer": "", "ratios": [], "bins": 1024}))
    assert chosen(tmp_path / "models") == ["lm", "codec"]
    (codec / "model.pth").unlink()
    assert chosen(tmp_path / "models") == ["higgs-nano", "higgs-nano-codec"]
    [item] = find_checkpoints([tmp_path / "models"], "codec")
    assert item.label == "codec (missing: model.pth)"


def test_the_chosen_model_gets_a_codec_of_the_same_origin(pack, tmp_path):
    models = make_pair(tmp_path / "models")
    assert chosen(models, lm="higgs-nano") == ["higgs-nano", "higgs-nano-codec"]
    assert chosen(models, codec="higgs-nano-codec") == ["higgs-nano", "higgs-nano-codec"]
    assert chosen(models, lm="lm") == chosen(models, codec="codec") == ["lm", "codec"]
    assert chosen(models, lm="lm", codec="higgs-nano-codec") == ["lm", "higgs-nano-codec"]
    shutil.rmtree(models / "codec")
    with pytest.raises(
        CheckpointError, match="model and codec that goes with 'lm', got higgs-nano, .*Name the codec.*--codec"
    ):
        chosen(models, lm="lm")


def test_a_copy_of_half_the_pack_does_not_hide_it(pack, tmp_path):
    make_pair(tmp_path / "models", "higgs-nano", codec="")
    assert chosen(tmp_path / "models") == ["higgs-nano", "higgs-nano-codec"]


def test_nothing_at_all_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(catalog, "EMBEDDED", tmp_path / "absent")
    with pytest.raises(CheckpointError, match="No language model and codec were.*got no model. Put the folders"):
        chosen(tmp_path)
    assert embedded_voices() == {}


# --- speak and higgs say --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_pack(tmp_path_factory):
    """A pack whose pair can be loaded, with two voices."""
    root = tmp_path_factory.mktemp("pack")
    codec = load_codec(make_codec_checkpoint(root / "higgs-nano-codec"))
    lm = make_lm_checkpoint(root / "higgs-nano", num_hidden_layers=1, stream_end=0)
    add_to_config(lm, display_name="Higgs Nano", vocabulary=["hello", "words"], codec_identity=codec.identity)
    (root / "clips").mkdir()
    for name in ("rose", "jack"):
        AudioClip(sound_like(0.5, seed=len(name))[None], 24_000).save(root / "clips" / f"{name}.flac")
        (root / "clips" / f"{name}.txt").write_text("Hello, words.\n", encoding="utf-8")
    return root


@pytest.fixture
def real(real_pack, monkeypatch, tmp_path):
    """The loadable pack, in a working folder where nothing else is."""
    monkeypatch.setattr(catalog, "EMBEDDED", real_pack)
    for name in ("HIGGS_MODELS", "COMFYUI_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return real_pack


SHORT = Sampling(max_frames=5)
CUT_OFF = (
    "higgs: The speech was cut off after 0.2 s and may lack its end: “Hello.” Raise the maximum length, or try "
    "another seed.\n"
)


def say(*arguments: str) -> int:
    return cli.main(["say", "Hello.", "-o", "out.wav", "--max-seconds", "0.2", "--device", "cpu", *arguments])


def test_speak_without_model_and_codec(real):
    named = speak("Hello.", model=real / "higgs-nano", codec=real / "higgs-nano-codec", sampling=SHORT, device="cpu")
    assert torch.equal(speak("Hello.", sampling=SHORT, device="cpu").samples, named.samples)
    with pytest.raises(SettingError, match="both, or neither, got a model alone"):
        speak("Hello.", model=real / "higgs-nano", device="cpu")


def test_say_tells_that_it_is_a_demonstration(real, capsys):
    assert say() == 0
    said = capsys.readouterr()
    assert said.err == NOTICE + CUT_OFF and said.out == "out.wav: 0.20 s\n"
    assert say("--model", "nano") == 0
    assert capsys.readouterr().err == NOTICE + CUT_OFF


def test_say_with_installed_models_tells_nothing(real, tmp_path, capsys):
    models = tmp_path / "models" / "higgs_audio"
    for name in ("higgs-nano", "higgs-nano-codec"):
        shutil.copytree(real / name, models / f"installed-{name}")
    assert say() == 0
    assert capsys.readouterr().err == CUT_OFF


@pytest.fixture
def heard(monkeypatch):
    """What `say` gives to `speak`."""
    calls = []

    def spoken(text, voice, **options):
        calls.append((voice, options["transcript"]))
        return AudioClip(torch.zeros(1, 100), 24_000)

    monkeypatch.setattr("higgs_runtime.speech.speak", spoken)
    return calls


def test_voices_of_the_pack_go_by_name(real, heard):
    assert embedded_voices() == {name: real / "clips" / f"{name}.flac" for name in ("jack", "rose")}
    assert say("--voice", "rose") == say("--voice", "rose", "--transcript", "Mine.") == say() == 0
    rose = real / "clips" / "rose.flac"
    assert heard == [(rose, "Hello, words."), (rose, "Mine."), (None, "")]


def test_a_voice_of_the_pack_is_spoken_with(real, capsys):
    assert say("--voice", "rose") == 0
    said = capsys.readouterr().err
    assert said.startswith(NOTICE) and "rose.flac: Too short" in said and said.endswith(CUT_OFF)
    assert AudioClip.load("out.wav").seconds == pytest.approx(0.2)


def test_a_file_comes_before_a_voice_of_its_name_and_its_words_lie_beside_it(real, heard, capsys):
    for name in ("rose", "clip.wav"):
        Path(name).write_bytes(b"sound")
    Path("clip.txt").write_text(" What it says.\n", encoding="utf-8")
    assert say("--voice", "clip.wav") == 0
    for more in (["rose"], ["clip.wav", "--transcript", ""]):  # without words none is spoken with
        assert say("--voice", *more) == 1
        assert f"The words of '{more[0]}' are not known" in capsys.readouterr().err
    assert say("--voice", "rose", "--transcript", "Mine.") == 0
    assert heard == [(Path("clip.wav"), "What it says."), (Path("rose"), "Mine.")]


def test_a_voice_that_is_not_there(real, heard, capsys):
    assert say("--voice", "lily") == 1
    assert "no voice 'lily'. Expected an audio file or one of jack, rose," in capsys.readouterr().err
    Path("clip.wav").write_bytes(b"sound")
    Path("clip.txt").write_bytes(b"\xff\xfe\xfa")
    assert say("--voice", "clip.wav") == 1
    assert "clip.txt cannot be read" in capsys.readouterr().err and heard == []


def test_a_folder_without_a_checkpoint_in_it_is_not_taken_for_one(real, heard, capsys):
    for name in ("nano", "empty"):
        Path(name).mkdir()
    assert say("--model", "nano") == say("--model", str(real / "higgs-nano")) == 0
    assert say("--model", "empty") == say("--codec", "empty") == 1
    said = capsys.readouterr().err
    assert (
        "Which language model? Expected a folder with config.json" in said and "Which codec? Expected a folder" in said
    )
    assert len(heard) == 2


# --- what is really there -------------------------------------------------------------------------------------------


def test_the_embedded_pair_is_complete():
    lm, codec = default_pair([])
    assert (lm.name, lm.title, codec.name) == ("higgs-nano", "Higgs Nano", "higgs-nano-codec")
    assert all(file.with_suffix(".txt").is_file() for file in embedded_voices().values()) and embedded_voices()
    assert find_checkpoints([catalog.EMBEDDED]) == [lm, codec]


@pytest.mark.parametrize(
    "name", ["con.wav", "NUL.flac", "com1.wav", "what?.wav", "a:b.wav", 'x"y.wav', "a|b.wav", " a.wav"]
)
def test_an_output_name_that_windows_refuses_is_refused_before_speaking(real, heard, capsys, name):
    assert say("-o", name) == 1 and heard == []
    assert "Windows refuses it" in capsys.readouterr().err


def test_a_package_that_is_missing_is_told_before_speaking(real, heard, capsys, monkeypatch):
    import importlib.util

    from higgs_runtime.cli import common

    find = importlib.util.find_spec
    monkeypatch.setattr(common, "find_spec", lambda name: None if name == "soundfile" else find(name))
    assert say() == 1 and heard == []
    assert "The requirements are not installed" in capsys.readouterr().err


def test_speech_is_not_lost_where_a_package_is_broken(real, heard, capsys, monkeypatch):
    """It was found, and cannot be imported once the speech is there."""
    import sys

    from higgs_runtime.cli import common

    monkeypatch.setattr(common, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert say("-o", "a.flac") == 1
    said = capsys.readouterr().err
    assert "The audio is not lost" in said
    monkeypatch.undo()
    [kept] = [line.rpartition(" ")[2] for line in said.split("\n") if "not lost" in line]
    assert AudioClip.load(kept).length == 100

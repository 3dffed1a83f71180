"""One table of settings: each front door shows what stands in it, and checks refuse what lies outside."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from helpers_workflow import node_classes, node_inputs
from safetensors.torch import save_file

from higgs_runtime import AudioClip, RenderSettings, Sampling, SettingError
from higgs_runtime.cli import captions, edit, main, render_script as command, respeak, script
from higgs_runtime.script.grammar import SETTINGS as IN_SCRIPTS
from higgs_runtime.serve.fields import SpeechRequest
from higgs_runtime.serve.limits import MAX_WINDOW
from higgs_runtime.settings import CAPTION_LIMITS, SETTINGS, shown_at
from higgs_runtime.verification import Limits

NODES = (
    "HiggsGenerate",
    "HiggsRenderScript",
    "HiggsVerifyTakes",
    "HiggsLoadLoRA",
    "HiggsLoadSubtitles",
    "HiggsDirector",
    "HiggsEditSpeech",
)
ALONE = {
    "pause_s": "HiggsSpeakOn",
    "follow_db": "HiggsRespeak",
}  # nodes with defaults of their own for what others have too


@pytest.mark.parametrize("name", shown_at("node"))
def test_nodes_show_the_table(name):
    one, found = SETTINGS[name], 0
    alone = "HiggsCaptions" if name in CAPTION_LIMITS else ALONE.get(name)
    for node in [alone] if alone else NODES:
        kind, options = node_inputs(node).get(one.node or name, (None, None))[:2]
        if kind is None:
            continue
        found += 1
        assert (options["default"], options["tooltip"]) == (one.default, one.help)
        if one.kind is not bool:
            assert (options["min"], options["max"]) == (one.lowest_shown, one.most)
    assert found and node_classes()


def test_the_shell_shows_the_table():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for one in (command, captions, edit, respeak, script):
        one.add(commands)
    direct = commands.choices["script"]._subparsers._group_actions[0].choices["direct"]
    names = ("continue", "edit", "respeak", "captions", "render-script")  # the last of them counts
    parsers = (direct, *(commands.choices[name] for name in names))
    options = {option.dest: option for one in parsers for option in one._actions}
    for name, one in shown_at("cli").items():
        if name != "lora_strength":  # a part of --lora
            assert options[name].default == one.default and options[name].help.startswith(one.help)


@pytest.mark.parametrize("name", shown_at("server"))
def test_the_server_shows_the_table(name):
    one = SETTINGS[name]
    field = SpeechRequest.model_json_schema()["properties"][one.field or name]
    number = next(form for form in (field, *field.get("anyOf", ())) if "minimum" in form)
    assert (number["minimum"], number["maximum"]) == (one.least, MAX_WINDOW if name == "ras_window" else one.most)
    assert field["description"].startswith(one.help) and field["default"] in (one.default, None)


def test_checks_and_scripts_use_the_table():
    assert set(shown_at("script")) == set(IN_SCRIPTS)
    for kind in (Sampling, Limits, RenderSettings):
        for name in set(SETTINGS) & set(kind.__dataclass_fields__):
            one = SETTINGS[name]
            if name != "silence_s":
                assert getattr(kind(), name) == one.default
            if one.kind is bool:
                continue
            kind(**{name: one.least}), kind(**{name: one.most, **({"max_takes": 100} if name == "takes" else {})})
            for value in (one.least - 1, one.most + 1):
                with pytest.raises(SettingError):
                    kind(**{name: value})


def test_the_table_needs_no_torch():
    code = "import sys, higgs_runtime.settings; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    config = make_lm_checkpoint(root / "lm", initializer_range=0.1) and json.loads(
        (root / "lm" / "config.json").read_text(encoding="utf-8")
    )
    make_codec_checkpoint(root / "codec")
    (root / "lora").mkdir()
    (root / "lora" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 8}))
    width, generator = config["hidden_size"], torch.Generator().manual_seed(1)
    name = "base_model.model.model.layers.0.self_attn.o_proj.lora_{}.weight"
    inner = config["num_attention_heads"] * config.get("head_dim", width // config["num_attention_heads"])
    save_file(
        {
            name.format("A"): torch.randn(4, inner, generator=generator),
            name.format("B"): torch.randn(width, 4, generator=generator),
        },
        root / "lora" / "adapter_model.safetensors",
    )
    return root


@pytest.mark.parametrize("command", ["say", pytest.param("render-script", marks=pytest.mark.slow)])
def test_a_lora_and_the_window_from_the_shell(models, tmp_path, command, capsys):
    (tmp_path / "scene.txt").write_text("Hello.", encoding="utf-8")
    what = (
        ["say", "Hello."]
        if command == "say"
        else [command, str(tmp_path / "scene.txt"), "--no-store", "--voice", "rose", "--silence", "0"]
    )

    def sound(*more):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.wav"
        args = ["--models-dir", str(models), "--device", "cpu", "--max-seconds", "0.8", "--temperature", "1", "-o"]
        assert main([*what, *args, str(out), *more]) == 0, capsys.readouterr().err
        return AudioClip.load(out).samples

    plain = sound()
    assert torch.equal(sound("--lora", "lora=0"), plain) and torch.equal(sound("--ras-window", "-1"), plain)
    assert not torch.equal(sound("--lora", str(models / "lora")), plain), "at its full strength"
    assert not torch.equal(sound("--ras-window", "9", "--ras-max-repeats", "1"), plain)


@pytest.mark.parametrize(
    "given, words",
    [("lora=5", "number from -4 to 4"), ("none", "no LoRA 'none'"), ("lora=much", "strength of the LoRA")],
)
def test_a_lora_that_cannot_be_used(models, given, words, capsys):
    assert main(["say", "Hello.", "--models-dir", str(models), "--device", "cpu", "--lora", given]) == 1
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "name, least, most",
    [
        ("temperature", -1.0, 10.0),
        ("top_k", -1, 1_000_000),
        ("top_p", -1.0, 1.0),
        ("ras_window", -1, 1_000),
        ("ras_max_repeats", 1, 1_000),
        ("seed", 0, 2**64 - 1),
        ("batch", 1, 10_000),
        ("takes", 1, 100),
        ("max_takes", 1, 100),
        ("max_chars", 20, 100_000),
        ("max_wer", 0.0, 10.0),
        ("min_similarity", -1.0, 1.0),
    ],
)
def test_settings_once_allowed_stay_allowed(name, least, most):
    """Graphs, scripts and requests that people keep hold such values."""
    assert (SETTINGS[name].least, SETTINGS[name].most) == (least, most)

"""The workflows with checkpoints in the original layout, as Boson AI's own code saves them, and with converted ones."""

from __future__ import annotations

import json
import shutil

import pytest
import soundfile
from helpers_codec import make_codec_checkpoint
from helpers_vocabulary import llama_tokenizer
from helpers_workflow import read_workflow
from make_random_checkpoint import write_tokenizer
from safetensors.torch import load_file
from test_original_codec import CONFIG, SEMANTIC
from test_original_v2 import ask

pytestmark = pytest.mark.slow

LM, CODEC = "original-lm", "original-codec"
WORKFLOWS = ["clone_voice", "codec_round_trip", "text_to_speech", "two_voice_dialogue"]


@pytest.fixture(scope="module")
def originals(server, tmp_path_factory):
    """The original pair in the server's models folder, for a while."""
    models, root = server.base / "models" / "higgs_audio", tmp_path_factory.mktemp("original")
    write_tokenizer(models / LM, llama_tokenizer())
    ask("lm", {LM: {"folder": str(models / LM), "settings": {"stream_end": 0.0}, "conversations": {}}}, root)
    native = make_codec_checkpoint(root / "native", semantic_model_config=SEMANTIC)
    ask(
        "codec",
        {
            CODEC: {
                "folder": str(models / CODEC),
                "weights": load_file(native / "model.safetensors"),
                "config": CONFIG,
                "semantic": SEMANTIC,
                "widths": (4, 64),
                "waves": [],
            }
        },
        root,
    )
    (models / CODEC / "hubert_base").mkdir()
    (models / CODEC / "hubert_base" / "config.json").write_text(json.dumps(SEMANTIC))
    yield models
    for name in (LM, CODEC, "small-lm", "small-codec"):
        shutil.rmtree(models / name, ignore_errors=True)


def speak(client, folder, name: str, lm: str, codec: str):
    """(samples, rate) of a second of a workflow with these checkpoints."""
    prompt = read_workflow(name, api=True)
    chosen = {"HiggsLoadModel": lm, "HiggsLoadCodec": codec}
    for node in prompt.values():
        changes = {
            "max_seconds": 1.0,
            "transcript": "What the clip says.",
            "seed": 7,
            "checkpoint": chosen.get(node["class_type"]),
        }
        node["inputs"] |= {key: value for key, value in changes.items() if key in node["inputs"]}
    run = client.run(prompt)
    assert run.error is None, run.error
    [saved] = [run.outputs[key] for key, node in prompt.items() if node["class_type"] == "HiggsExportAudio"]
    return soundfile.read(client.download(saved["audio"][0], folder))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_workflow_runs_with_the_original_layout(client, originals, tmp_path, name):
    samples, rate = speak(client, tmp_path, name, LM, CODEC)
    assert rate == 24_000 and len(samples) >= rate and samples.std() > 1e-4


def test_what_was_converted_speaks_without_the_original(client, server, originals, tmp_path):
    convert = {
        "1": {"class_type": "HiggsLoadModel", "inputs": {"checkpoint": LM, "device": "auto", "dtype": "auto"}},
        "2": {"class_type": "HiggsLoadCodec", "inputs": {"checkpoint": CODEC, "device": "auto", "dtype": "auto"}},
        "3": {
            "class_type": "HiggsConvertModel",
            "inputs": {"model": ["1", 0], "quantization": "int8", "dtype": "bfloat16", "name": "small-lm"},
        },
        "4": {
            "class_type": "HiggsConvertCodec",
            "inputs": {"codec": ["2", 0], "dtype": "float16", "name": "small-codec"},
        },
    }
    run = client.run(convert)
    assert run.error is None, run.error
    for node in ("3", "4"):
        values = [(data["value"], data["max"]) for data in run.of_type("progress") if data["node"] == node]
        assert values == sorted(values) and values[-1] == (1000, 1000)
    for name in (LM, CODEC):
        shutil.rmtree(originals / name)
    notes = server.get("/higgs/choices/lm"), server.get("/higgs/choices/codec")
    assert " · int8 and bfloat16 · " in notes[0]["small-lm"] and " · float16" in notes[1]["small-codec"]
    samples, rate = speak(client, tmp_path, "clone_voice", "small-lm", "small-codec")
    assert (rate, len(samples)) == (24_000, 24_000) and samples.std() > 1e-4

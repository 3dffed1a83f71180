"""The original codec layout (config.json, model.pth) against Boson AI's own code, in an environment of its own."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from helpers_codec import RATE, SMALL, make_codec_checkpoint, sound_like
from safetensors.torch import load_file
from test_original_v2 import ask

from higgs_runtime import AudioClip, CheckpointError, Codes, load_codec
from higgs_runtime.codec.original import HUBERT_FOLDER
from higgs_runtime.hub.convert import convert_codec

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

CONFIG = {  # as released, but for D
    "n_filters": 32,
    "D": 16,
    "target_bandwidths": [0.5, 1, 1.5, 2],
    "ratios": [8, 5, 4, 2, 3],
    "sample_rate": RATE,
    "bins": 1024,
    "n_q": 8,
    "codebook_dim": 8,
    "normalize": False,
    "causal": False,
    "semantic_techer": "hubert_base_general",
    "last_layer_semantic": True,
    "merge_mode": "concat",
    "downsample_mode": "step_down",
    "semantic_mode": "classic",
    "vq_scale": 1,
    "semantic_sample_rate": 16_000,
}
SEMANTIC = {**SMALL["semantic_model_config"], "hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 1}
SAMPLES = [960, 1100, 1919, 2881, 12_000, 24_001, 24_480, 96_000]  # that code fails below some 900


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder of the original checkpoint, of a native one with its weights, [(codes, wave) for each of SAMPLES])."""
    root = tmp_path_factory.mktemp("codec")
    native = make_codec_checkpoint(root / "native", semantic_model_config=SEMANTIC)
    task = {
        "folder": str(root / "original"),
        "weights": load_file(native / "model.safetensors"),
        "config": CONFIG,
        "semantic": SEMANTIC,
        "widths": (4, 64),
        "waves": [sound_like(count / RATE) for count in SAMPLES],
    }
    answers = ask("codec", {"small": task}, root)["small"]["answers"]
    (root / "original" / HUBERT_FOLDER).mkdir()
    (root / "original" / HUBERT_FOLDER / "config.json").write_text(json.dumps(SEMANTIC))
    return root / "original", native, answers


@pytest.fixture(scope="module")
def codec(made):
    return load_codec(made[0])


@pytest.mark.parametrize("place", range(len(SAMPLES)), ids=SAMPLES)
def test_codes_and_wave(made, codec, place, record_property):
    codes, wave = made[2][place]
    ours = codec.encode(AudioClip(sound_like(SAMPLES[place] / RATE)[None], RATE))
    assert torch.equal(ours.ids, codes)
    deviation = (codec.decode(Codes(codes, 25.0, 1024), edges=False).samples - wave).abs().max().item()
    record_property("deviation", deviation)
    assert deviation < 1e-4 and wave.std() > 0.01


def test_edges_are_those_of_the_layout(made, codec):
    """The same weights in the native layout pad the acoustic branch otherwise: codes at the edges differ."""
    native, clip = load_codec(made[1]), AudioClip(sound_like(24_480 / RATE)[None], RATE)
    assert (codec.config.edge_padding, native.config.edge_padding) == (320, 480)
    assert codec.identity == native.identity
    assert not torch.equal(codec.encode(clip).ids, native.encode(clip).ids)
    codes = codec.encode(clip)
    assert (codec.decode(codes).samples - native.decode(codes).samples).abs().max() < 1e-5


def test_in_half_precision_it_needs_no_original_and_keeps_its_edges(made, tmp_path):
    source = shutil.copytree(made[0], tmp_path / "source")
    fresh = load_codec(source, dtype=torch.float16)
    again = load_codec(convert_codec(source, tmp_path / "small"), dtype=torch.float16)
    shutil.rmtree(source)
    mine, theirs = again.module.state_dict(), fresh.module.state_dict()
    assert list(mine) == list(theirs) and all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert again.config == fresh.config and again.config.edge_padding == 320 and again.identity == fresh.identity


def edited(made, tmp_path, change):
    """A copy of the checkpoint with other tensors."""
    folder = shutil.copytree(made[0], tmp_path / "codec")
    tensors = torch.load(folder / "model.pth", weights_only=True)
    change(tensors)
    torch.save(tensors, folder / "model.pth")
    return folder


def without_hubert(tensors):
    for name in [name for name in tensors if name.startswith("semantic_model.")]:
        tensors[f"kept.{name}"] = tensors.pop(name)
    return {name.removeprefix("kept.semantic_model."): tensors.pop(name) for name in list(tensors) if "kept" in name}


def test_hubert_may_lie_in_a_folder_of_its_own(made, codec, tmp_path):
    taken = {}
    folder = edited(made, tmp_path, lambda tensors: taken.update(without_hubert(tensors)))
    with pytest.raises(CheckpointError):
        load_codec(folder)  # its folder holds a config alone
    torch.save(taken, folder / HUBERT_FOLDER / "pytorch_model.bin")
    clip = AudioClip(sound_like(0.5)[None], RATE)
    assert torch.equal(load_codec(folder).encode(clip).ids, codec.encode(clip).ids)
    shutil.move(folder / HUBERT_FOLDER, tmp_path / HUBERT_FOLDER)  # beside it
    assert torch.equal(load_codec(folder).encode(clip).ids, codec.encode(clip).ids)
    shutil.rmtree(tmp_path / HUBERT_FOLDER)
    with pytest.raises(CheckpointError, match="bosonai/hubert_base"):
        load_codec(folder)


def test_a_missing_tensor_is_named(made, tmp_path):
    folder = edited(made, tmp_path, lambda tensors: tensors.pop("fc_post2.bias"))
    with pytest.raises(CheckpointError, match="fc2.bias"):
        load_codec(folder)
    edited_again = torch.load(folder / "model.pth", weights_only=True)
    del edited_again["encoder_semantic.conv.conv.weight"]
    torch.save(edited_again, folder / "model.pth")
    with pytest.raises(CheckpointError, match="encoder_semantic.conv.weight"):
        load_codec(folder)


class Harmful:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_pickle_with_more_than_tensors_is_refused_and_not_executed(made, tmp_path, capsys):
    folder = shutil.copytree(made[0], tmp_path / "codec")
    torch.save({"fc_prior.bias": Harmful()}, folder / "model.pth")
    with pytest.raises(CheckpointError, match="tensors and nothing else"):
        load_codec(folder)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("keep", [0, 1000, -1000])
def test_a_cut_file_is_refused(made, tmp_path, keep):
    folder = shutil.copytree(made[0], tmp_path / "codec")
    whole = (folder / "model.pth").read_bytes()
    (folder / "model.pth").write_bytes(whole[:keep])
    with pytest.raises(CheckpointError, match="download"):
        load_codec(folder)


@pytest.mark.parametrize("field, value", [("vq_scale", 2), ("bins", [8, 8]), ("codebook_dim", None)])
def test_settings_of_no_released_codec_are_refused(made, tmp_path, field, value):
    folder = shutil.copytree(made[0], tmp_path / "codec")
    (folder / "config.json").write_text(json.dumps({**CONFIG, field: value}))
    with pytest.raises(CheckpointError, match=field):
        load_codec(folder)

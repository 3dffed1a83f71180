"""The list of checkpoints and what each lacks."""

from __future__ import annotations

import json

from helpers_checkpoint import make_folder

from higgs_runtime.hub.catalog import find_checkpoints


def labels(root, kind=None):
    return [item.label for item in find_checkpoints([root], kind)]


def test_lists_each_kind_by_name(tmp_path):
    make_folder(tmp_path / "b_lm")
    make_folder(tmp_path / "A_codec", "higgs_audio_v2_tokenizer", ["model.safetensors"])
    assert labels(tmp_path) == ["A_codec", "b_lm"]
    assert labels(tmp_path, "lm") == ["b_lm"]
    assert labels(tmp_path, "codec") == ["A_codec"]


def test_missing_files_are_named(tmp_path):
    make_folder(tmp_path / "lm", files=[])
    make_folder(tmp_path / "no_config", model_type="", files=["model.safetensors"])
    lm, no_config = "lm (missing: model.safetensors, tokenizer.json)", "no_config (missing: config.json)"
    assert labels(tmp_path, "lm") == [lm, no_config]
    assert labels(tmp_path, "codec") == [no_config]


def test_names_missing_shards_of_an_index(tmp_path):
    folder = make_folder(tmp_path / "lm", files=["tokenizer.json", "model-1.safetensors"])
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert labels(tmp_path) == ["lm (missing: model-2.safetensors)"]


def test_finds_nested_folders_and_single_file_codecs_and_skips_the_rest(tmp_path):
    make_folder(tmp_path / "bosonai" / "higgs")
    make_folder(tmp_path / "hubert", "hubert")
    make_folder(tmp_path / ".cache" / "higgs")
    (tmp_path / "readme").mkdir()
    (tmp_path / "weights_24khz.pth").write_text("")
    assert labels(tmp_path) == ["bosonai/higgs", "weights_24khz.pth"]


def test_broken_config_stays_in_the_list(tmp_path):
    (make_folder(tmp_path / "lm") / "config.json").write_text("{")
    assert labels(tmp_path) == ["lm"]


def test_first_root_wins(tmp_path):
    for root in ("one", "two"):
        make_folder(tmp_path / root / "lm")
    found = find_checkpoints([tmp_path / "one", tmp_path / "two", tmp_path / "absent"])
    assert [item.path for item in found] == [tmp_path / "one" / "lm"]

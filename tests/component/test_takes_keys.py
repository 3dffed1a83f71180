"""Keys of takes: they change with all that determines the codes, and with nothing else."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from helpers_checkpoint import add_to_config, edit_tensors, make_lm_checkpoint, random_codes
from helpers_session import prompt_of
from safetensors.torch import save_file

from higgs_runtime import CheckpointError, Prompt, Sampling, SettingError, convert_model, generate, kept, load_model
from higgs_runtime.model.config import V2_SAMPLING, V3_SAMPLING
from higgs_runtime.takes import ModelIdentity, keys, line_key, model_identity, take_key

PROMPT = Prompt(torch.arange(9), torch.arange(16).view(2, 8))
MODEL = ModelIdentity("ab" * 32, "cpu", "float32", "float32", None, (("cd" * 32, 1.0),), V2_SAMPLING)
OTHER_MODEL = {
    "weights": "ba" * 32,
    "device": "mps",
    "dtype": "bfloat16",
    "cache_dtype": "bfloat16",
    "quantization": "int8",
    "adapters": (("cd" * 32, 0.5),),
    "released": replace(V2_SAMPLING, ras_window=0),
}
OTHER_SAMPLING = {
    "temperature": 0.31,
    "top_k": 49,
    "top_p": 0.951,
    "seed": 1,
    "ras_window": 6,
    "ras_max_repeats": 3,
    "max_frames": 751,
}


def key(prompt=PROMPT, sampling=None, model=MODEL, codec=None):
    return take_key(prompt, sampling or Sampling(), model, codec)


@pytest.mark.parametrize("name", [one.name for one in fields(Sampling)])
def test_every_setting_counts(name):
    other = replace(Sampling(), **{name: OTHER_SAMPLING[name]})
    assert key(sampling=other) != key()
    assert (line_key(PROMPT, other, MODEL) == line_key(PROMPT, Sampling(), MODEL)) == (name == "seed")


@pytest.mark.parametrize("name", [one.name for one in fields(ModelIdentity)])
def test_all_of_the_model_counts(name):
    assert key(model=replace(MODEL, **{name: OTHER_MODEL[name]})) != key()


def test_frames_that_a_take_begins_with_count():
    """The prompt's rows end before the last of them is whole: of one frame they have nothing but the begin column."""
    frames = torch.arange(24).view(8, 3)
    begun = replace(PROMPT, begun=frames)
    last = frames.clone()
    last[7, -1] += 1
    keys = {key(), key(begun), key(replace(PROMPT, begun=last)), key(replace(PROMPT, begun=frames[:, :2]))}
    assert len(keys) == 4 and key(begun) == key(replace(PROMPT, begun=frames.clone()))


def test_order_and_number_of_adapters_count():
    two = (("cd" * 32, 1.0), ("ef" * 32, 1.0))
    assert len({key(model=replace(MODEL, adapters=some)) for some in ((), two, two[::-1], two[:1])}) == 4


@pytest.mark.parametrize(
    "other",
    [
        Prompt(torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, 9]), PROMPT.audio_rows),
        Prompt(PROMPT.token_ids[:-1], PROMPT.audio_rows),
        Prompt(PROMPT.token_ids, PROMPT.audio_rows + torch.eye(8, dtype=torch.long)[:2]),
        Prompt(PROMPT.token_ids, PROMPT.audio_rows.view(4, 4)),
        Prompt(PROMPT.token_ids, PROMPT.audio_rows[:0]),
        Prompt(torch.arange(17), PROMPT.audio_rows.flatten()[8:].view(1, 8)),
    ],
    ids=["a token", "fewer tokens", "one code", "shape of the rows", "no rows", "bytes shifted from rows to tokens"],
)
def test_all_that_is_read_counts(other):
    assert key(prompt=other) != key()


def test_the_codec_counts():
    assert len({key(codec=codec) for codec in (None, "1234", "1235")}) == 3
    assert key(codec="") == key()


def test_settings_without_effect_on_the_codes_do_not_change_the_key():
    same = Prompt(PROMPT.token_ids.int(), PROMPT.audio_rows.to(torch.int16), warnings=("an unknown word",))
    assert key(prompt=same) == key()
    written_out = Sampling(temperature=0.3, top_k=50, top_p=0.95, ras_window=7)
    assert key(sampling=written_out) == key(), "as the model was released, left to it or written out"
    v3 = replace(MODEL, released=V3_SAMPLING)
    assert key(sampling=replace(written_out, temperature=0.8, ras_window=0), model=v3) == key(model=v3)
    assert key(sampling=Sampling(temperature=1)) == key(sampling=Sampling(temperature=1.0))


def test_the_version_of_the_engine_counts(monkeypatch):
    before = key()
    monkeypatch.setattr(keys, "ENGINE", keys.ENGINE + 1)
    assert key() != before


def test_form_of_keys():
    assert re.fullmatch(r"[0-9a-f]{64}-18446744073709551615", key(sampling=Sampling(seed=2**64 - 1)))
    assert key(sampling=Sampling(seed=5)) == line_key(PROMPT, Sampling(), MODEL) + "-5"


def test_a_key_is_the_same_everywhere_and_always():
    """Written down once. Should it change, stored takes are not found any more: is that meant?"""
    assert key(codec="12") == "fa9d7f7bd14c60b48f44ce271eabb6f6fc485d69557bb948b228749b2b8a606a-0"


def test_a_setting_that_is_no_plain_value_is_refused():
    with pytest.raises(SettingError, match="'x' cannot be part of a key"):
        keys._plain("x", object())


# ---- identity of checkpoints ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_lm_checkpoint(tmp_path_factory.mktemp("lm") / "one", num_hidden_layers=1)


def identity(path, **loading):
    return model_identity(path, **{"device": "cpu", "dtype": torch.float32, **loading})


@pytest.fixture
def copy(checkpoint, tmp_path):
    return Path(shutil.copytree(checkpoint, tmp_path / "elsewhere" / "another name"))


def test_path_times_and_other_files_do_not_count(checkpoint, copy):
    for file in copy.iterdir():
        os.utime(file, (1, 1))
    (copy / "README.md").write_text("a card")
    assert identity(copy) == identity(checkpoint)
    assert identity(str(copy), device="cpu:0") == identity(checkpoint)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: add_to_config(folder, rope_theta=1e4),
        lambda folder: edit_tensors(folder, lambda tensors: tensors["model.norm.weight"][-1:].add_(1e-3)),
        lambda folder: (folder / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes() + b"\n"),
    ],
    ids=["config", "one weight", "tokenizer"],
)
def test_contents_count_also_behind_the_same_size_and_time(checkpoint, copy, change):
    before = identity(copy)
    times = {file.name: file.stat().st_mtime_ns for file in copy.iterdir()}
    change(copy)
    for file in copy.iterdir():
        os.utime(file, ns=(times[file.name],) * 2)
    assert identity(copy).weights != before.weights
    assert replace(identity(copy), weights=before.weights) == before


def test_how_it_is_loaded_counts(checkpoint):
    found = [
        identity(checkpoint),
        identity(checkpoint, dtype=torch.bfloat16),
        identity(checkpoint, device="mps"),
        identity(checkpoint, quantization="int8"),
        identity(checkpoint, cache_dtype=torch.bfloat16),
    ]
    assert len(set(found)) == len(found)
    assert found[0] == identity(checkpoint, cache_dtype=torch.float32) and found[0].released == V2_SAMPLING


def test_a_converted_checkpoint_is_quantized_without_being_asked(checkpoint, tmp_path):
    made = convert_model(checkpoint, tmp_path / "made", "int8", dtype=torch.float32)
    assert identity(made).quantization == "int8"
    assert identity(made) == identity(made, quantization="int8")


def test_adapters_count_by_content(checkpoint, tmp_path):
    def adapter(name, value):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text("{}")
        save_file({"a": torch.full((2,), value)}, folder / "adapter_model.safetensors")
        return folder

    one, same, other = adapter("one", 1.0), adapter("same", 1.0), adapter("other", 2.0)
    assert identity(checkpoint, adapters=[(one, 1)]) == identity(checkpoint, adapters=[(same, 1.0)])
    assert len({identity(checkpoint, adapters=some) for some in ([], [(one, 1)], [(one, 0.5)], [(other, 1)])}) == 4


def test_missing_files_are_named(checkpoint, copy, tmp_path):
    (copy / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="no tokenizer.json"):
        identity(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights"):
        identity(copy)
    with pytest.raises(CheckpointError, match="no such model folder"):
        identity(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="no adapter_config.json"):
        identity(checkpoint, adapters=[(tmp_path, 1.0)])


def test_large_files_are_read_once_for_all_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(keys, "WORTH_KEEPING", 10)
    opened = []
    monkeypatch.setattr(
        keys, "open", lambda file, *how, **more: opened.append(file) or open(file, *how, **more), raising=False
    )
    file = tmp_path / "large"

    def hashed():
        keys._hash_of.cache_clear()  # as another process would find it
        opened.clear()
        return keys._file_hash(file), str(file) in opened

    file.write_bytes(b"x" * 100)
    (first, read), (second, again) = hashed(), hashed()
    assert (read, again) == (True, False) and first == second
    [kept] = (tmp_path / "cache" / "higgs_audio" / "hashes").iterdir()
    kept.write_bytes(b"\xff cut short")
    assert hashed() == (first, True), "a damaged note costs time, no more"
    stat = file.stat()
    file.write_bytes(b"y" * 100)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert hashed()[0] != first
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("no folder can be made here")
    file.write_bytes(b"x" * 100)
    assert hashed() == (first, True)


def test_no_home_folder_is_no_hindrance_to_an_identity(tmp_path, monkeypatch):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(kept.Path, "home", nowhere)
    monkeypatch.setattr(keys, "WORTH_KEEPING", 0)
    (tmp_path / "file").write_bytes(b"abc")
    assert len(keys._file_hash(tmp_path / "file")) == 64
    with pytest.raises(SettingError, match="HIGGS_TAKES"):
        kept.cache_folder()


# ---- the promise ------------------------------------------------------------------------------------------------


def test_equal_keys_give_equal_codes(checkpoint, copy, one_thread):
    """A copy of the folder, alone or beside other lines, the window named or left to the model."""
    spoken = {}
    for folder, window, beside in ((checkpoint, -1, 0), (copy, 7, 2)):
        model = load_model(folder)
        prompt = prompt_of(model, "Reference.", random_codes(5), "A line.")
        sampling = Sampling(temperature=1.0, seed=3, max_frames=12, ras_window=window)
        others = [prompt_of(model, f"Line {n}.") for n in range(beside)]
        made = generate(model, [*others, prompt], sampling)[-1]
        spoken.setdefault(take_key(prompt, sampling, identity(folder)), []).append(made.codes.ids)
    [(a, b)] = spoken.values()
    assert torch.equal(a, b) and a.numel()

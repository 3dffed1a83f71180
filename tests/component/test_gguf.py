"""Higgs Audio v3 in GGUF files of each who writes them: the same weights as the package `gguf` makes of them."""

from __future__ import annotations

import json
import shutil
import sys

import gguf
import helpers_gguf as forms
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from helpers_checkpoint import add_to_config
from helpers_codec import make_codec_checkpoint, sound_clip
from helpers_forms import copied
from helpers_v3 import make_v3_checkpoint
from helpers_vocabulary import V3_MARKS
from random_codec import SMALL
from safetensors.torch import load_file
from tokenizers import Tokenizer

from higgs_runtime import (
    CheckpointError,
    MissingExtraError,
    build_prompt,
    conversation,
    convert_model,
    load_codec,
    load_model,
)
from higgs_runtime.checkpoint import gguf_file
from higgs_runtime.checkpoint.gguf_file import BLOCKS, PLAIN, GgufFile, GgufTensors
from higgs_runtime.checkpoint.gguf_tokenizer import holds_tokenizer, tokenizer_of
from higgs_runtime.checkpoint.source import open_source
from higgs_runtime.codec import bundled
from higgs_runtime.hub import convert_codec, default_pair, describe_checkpoint, file_stats, find_checkpoints
from higgs_runtime.hub.catalog import checkpoint_at
from higgs_runtime.model.quantization import _pack_int4, _pack_int8
from higgs_runtime.takes.keys import model_identity

K_QUANTS = (Kind.Q4_K, Kind.Q5_K, Kind.Q6_K)
WRITERS = {
    "audio.cpp": lambda source, folder, chosen: forms.audiocpp(source, folder / "model.gguf", chosen),
    "audio.cpp before": lambda source, folder, chosen: forms.audiocpp(
        source, folder / "model.gguf", chosen, blob=False
    ),
    "Higgs-Audio-v3-Studio": lambda source, folder, chosen: forms.studio(source, folder / "model.gguf", chosen),
    "higgs-audio.cpp": lambda source, folder, chosen: forms.bluryar(source, folder / "model.gguf", chosen),
    "CrispASR": lambda source, folder, chosen: forms.crispasr(source, folder / "model.gguf", chosen),
    "CrispASR quantized": lambda source, folder, chosen: forms.crispasr(
        source, folder / "model.gguf", chosen, by_ggml=True
    ),
    "llama.cpp backbone": lambda source, folder, chosen: forms.pair(source, folder, chosen)[0],
}
TEXTS = (
    "Hello from here. It's 3:45 — isn't it?",
    "  two  spaces\n\n\ttabs, don't DON'T we'll 12345",
    "你好,世界。これはテストです。 한국어 Русский العربية 🎧👩‍🚀 e\u0301",
    "<|emotion:anger|>Now! <|im_start|>user <|sfx:laughter|>Haha <|unheard_of|>",
    "",
)


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory):
    return make_codec_checkpoint(tmp_path_factory.mktemp("codec") / "codec")


NARROW = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
NARROW["num_key_value_heads"] = 1


@pytest.fixture(scope="module")
def v3(tmp_path_factory):
    """Without codec: it would be the largest part of each file."""
    return make_v3_checkpoint(tmp_path_factory.mktemp("gguf") / "v3", **NARROW)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Rows of whole blocks of 256."""
    shape = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 8}
    return make_v3_checkpoint(tmp_path_factory.mktemp("wide") / "v3", num_hidden_layers=1, **shape)


def weights_of(model) -> dict[str, torch.Tensor]:
    """By name; matrices that lie apart in the file are joined, as they are elsewhere."""
    found: dict[str, list[torch.Tensor]] = {}
    for name, weight in model.state_dict().items():
        owner, apart, _ = name.partition(".apart.")
        found.setdefault(f"{owner}.weight" if apart else name, []).append(weight)
    return {name: torch.cat(parts) if len(parts) > 1 else parts[0] for name, parts in found.items()}


def same(one, other) -> bool:
    """Whether two models have the same weights."""
    first, second = weights_of(one), weights_of(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", [None, Kind.BF16, Kind.F16, Kind.Q8_0])
def test_the_weights_are_those_that_gguf_unpacks(writer, kind, v3, tmp_path):
    """In every form that they can be loaded in, and from a folder as from the file."""
    chosen = forms.matrices(kind)
    file = WRITERS[writer](v3, tmp_path / "gguf", chosen)
    meant = forms.as_meant(v3, chosen)
    if writer == "llama.cpp backbone":
        meant[forms.FUSED] = meant[forms.FUSED].half().float()
    plain = copied(v3, tmp_path / "plain", meant)
    for how in (
        {"dtype": torch.float32},
        {"dtype": torch.bfloat16},
        {"dtype": torch.float32, "quantization": "int8"},
        {"dtype": torch.float32, "quantization": "int4"},
    ):
        assert same(load_model(file, **how), load_model(plain, **how)), how
    ours, theirs = load_model(file.parent), load_model(plain)
    prompt = build_prompt(conversation("Now."), ours.tokenizer)
    assert torch.equal(ours.logits(prompt), theirs.logits(build_prompt(conversation("Now."), theirs.tokenizer)))
    assert ours.config == theirs.config


@pytest.mark.slow
@pytest.mark.parametrize("kind", K_QUANTS)
def test_k_quants(kind, wide, tmp_path):
    chosen = forms.matrices(kind)
    file = forms.studio(wide, tmp_path / "gguf" / "k.gguf", chosen)
    plain = copied(wide, tmp_path / "plain", forms.as_meant(wide, chosen))
    assert same(load_model(file), load_model(plain))
    assert same(load_model(file, quantization="int4"), load_model(plain, quantization="int4"))
    assert same(load_model(file, quantization="int8"), load_model(plain, quantization="int8"))


def test_embeddings_may_be_quantized_as_well(v3, tmp_path):
    """As Higgs-Audio-v3-Studio does it for Q8_0."""
    chosen = forms.everywhere(Kind.Q8_0)
    file = forms.studio(v3, tmp_path / "gguf" / "q8_0.gguf", chosen)
    plain = copied(v3, tmp_path / "plain", forms.as_meant(v3, chosen))
    for dtype in (torch.float32, torch.bfloat16):
        assert same(load_model(file, dtype=dtype), load_model(plain, dtype=dtype))


@pytest.mark.parametrize("quantization, pack", [("int8", _pack_int8), ("int4", _pack_int4)])
def test_what_is_packed_anew_was_not_rounded_before(quantization, pack, v3, tmp_path):
    chosen = forms.matrices(Kind.Q8_0)
    file = forms.studio(v3, tmp_path / "q8_0.gguf", chosen)
    packed = load_model(file, dtype=torch.bfloat16, quantization=quantization).layers[0].attention.o
    weight, scale = pack(forms.as_meant(v3, chosen)["body.layers.0.self_attn.o_proj.weight"])
    assert torch.equal(packed.weight, weight) and torch.equal(packed.scale, scale.bfloat16())


@pytest.mark.parametrize("kind", [Kind[name] for name, _, _ in BLOCKS.values()])
def test_blocks_are_unpacked_as_the_package_does(kind, tmp_path):
    """Whole, and any rows of them; and the sizes of blocks are the package's."""
    number = next(number for number, one in BLOCKS.items() if one[0] == kind.name)
    assert number == kind.value and BLOCKS[number][1:] == gguf.GGML_QUANT_SIZES[kind]
    block, length = gguf.GGML_QUANT_SIZES[kind]
    blocks = (
        torch.randint(0, 60, (300, 1024 // block * length), generator=torch.Generator().manual_seed(0)).byte().numpy()
    )
    file = forms.write(tmp_path / "x.gguf", "x", {"x": (blocks, kind)}, lambda writer: None)
    tensors, wanted = GgufTensors(GgufFile(file)), torch.from_numpy(gguf.quants.dequantize(blocks, kind))
    assert wanted.isfinite().all() and tensors.is_packed("x") and tensors.shape("x") == (300, 1024)
    assert torch.equal(tensors["x"], wanted) and torch.equal(tensors.rows("x", 17, 290), wanted[17:290])


def test_numbers_of_types_are_the_packages():
    assert {number: name for number, (name, _) in PLAIN.items()} == {
        kind.value: kind.name for kind in Kind if kind.name[:1] in "FI" and "Q" not in kind.name or kind == Kind.BF16
    }


# --- codec, tokenizer, config ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", WRITERS)
def test_the_codec_in_the_file(writer, codec_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "SIZES", SMALL)
    source = make_v3_checkpoint(tmp_path / "v3", codec=load_file(codec_folder / "model.safetensors"), **NARROW)
    file = WRITERS[writer](source, tmp_path / "models" / "gguf", forms.as_it_is)
    codec, native, clip = load_codec(file), load_codec(codec_folder), sound_clip(0.5)
    exact = writer != "llama.cpp backbone"  # whose companion has float16
    if exact:
        assert torch.equal(codec.encode(clip).ids, native.encode(clip).ids)
    half = {name: tensor.half().float() for name, tensor in native.module.state_dict().items()}
    wanted = native.module.state_dict() if exact else half
    assert all(torch.equal(one.float(), wanted[name]) for name, one in codec.module.state_dict().items())
    lm, found = default_pair(find_checkpoints([tmp_path / "models"]))
    assert lm.path == file and lm.with_codec and (found.path == file or not exact)  # a companion is a codec by itself
    assert "with its codec" in str(describe_checkpoint(lm))
    made = convert_model(file, tmp_path / "int8", "int8", dtype=torch.float32)
    assert same(load_model(made), load_model(source, quantization="int8")) or not exact
    assert load_codec(made).identity == codec.identity == load_codec(convert_codec(file, tmp_path / "half")).identity


def test_the_companion_of_a_pair_is_a_codec_by_itself(codec_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "SIZES", SMALL)
    source = make_v3_checkpoint(tmp_path / "v3", codec=load_file(codec_folder / "model.safetensors"), **NARROW)
    backbone, companion = forms.pair(source, tmp_path / "models")
    listed = {item.name: item for item in find_checkpoints([tmp_path / "models"])}
    assert [listed[file.name].kind for file in (backbone, companion)] == ["lm", "codec"]
    assert listed["audio.gguf"].licence and "codec of v3" in str(describe_checkpoint(listed["audio.gguf"]))
    assert load_codec(companion).identity == load_codec(backbone).identity
    with pytest.raises(CheckpointError, match="another kind of model.*the codec of a Higgs Audio v3 model"):
        load_model(companion)
    companion.unlink()
    with pytest.raises(CheckpointError, match="text part of a Higgs model alone.*Download both files of the pair"):
        load_model(backbone)
    [alone] = find_checkpoints([tmp_path / "models"])
    assert alone.missing == ("its companion .gguf with codebooks and codec",)


def test_a_file_without_a_codec_says_which_to_take(v3, tmp_path):
    with pytest.raises(CheckpointError, match="language model alone.*higgs-audio-v2-tokenizer"):
        load_codec(forms.audiocpp(v3, tmp_path / "model.gguf"))


@pytest.mark.parametrize("place", [".", "q8_0", "higgs-audio-v3-tts-4b", "../higgs-audio-v3-tts-4b"])
def test_the_tokenizer_is_looked_for_in_some_folders(v3, tmp_path, place):
    file = forms.studio(v3, tmp_path / "models" / "studio" / "q8_0.gguf", beside=False)
    [item] = find_checkpoints([tmp_path / "models"])
    assert item.label == "studio/q8_0.gguf (missing: tokenizer.json)"
    with pytest.raises(CheckpointError, match=r"holds no tokenizer.*tokenizer.json in .*q8_0.*bosonai/higgs-tts-3-4b"):
        load_model(file)
    folder = file.parent / place
    folder.mkdir(exist_ok=True)
    shutil.copyfile(v3 / "tokenizer.json", folder / "tokenizer.json")
    model = load_model(file)
    assert same(model, load_model(v3)) and model.tokenizer.checkpoint == "q8_0.gguf"
    found = {item.name: item for item in find_checkpoints([tmp_path / "models"])}
    assert found["studio/q8_0.gguf"].usable and "studio/q8_0" not in found


def test_a_config_is_made_of_the_shapes_where_there_is_none(v3, tmp_path):
    file = forms.studio(v3, tmp_path / "a" / "q8_0.gguf", beside=False)
    shutil.copyfile(v3 / "tokenizer.json", file.parent / "tokenizer.json")
    made, told = load_model(file).config, load_model(v3).config
    assert vars(made) | {"max_positions": 0} == vars(told) | {"max_positions": 0} and made.max_positions == 32_768
    (file.parent / "config.json").write_text(json.dumps({"model_type": "llama"}))  # of another model
    assert load_model(file).config == made
    shutil.copyfile(v3 / "config.json", file.parent / "config.json")
    assert load_model(file).config == told


def test_all_that_it_speaks_from_is_in_the_key_of_its_takes(v3, tmp_path):
    def key(path):
        return model_identity(path, device="cpu", dtype=torch.float32).weights

    file = forms.studio(v3, tmp_path / "model.gguf")
    before = key(file)
    assert before != key(v3) and before == key(file)
    (tmp_path / "config.json").write_text(
        json.dumps({**json.loads((v3 / "config.json").read_text()), "display_name": "x"})
    )
    changed = key(file)
    assert changed != before
    (tmp_path / "tokenizer.json").write_bytes((v3 / "tokenizer.json").read_bytes() + b"\n")
    assert key(file) not in (before, changed)
    backbone, companion = forms.pair(v3, tmp_path / "pair")
    before = key(backbone)
    shutil.copyfile(forms.pair(make_v3_checkpoint(tmp_path / "v3", seed=1, **NARROW), tmp_path / "other")[1], companion)
    assert key(backbone) != before


def test_another_file_beside_it_is_another_model(v3, tmp_path):
    """For the shared cache, as a file of a folder would be."""
    file = forms.studio(v3, tmp_path / "q8_0.gguf")
    before = file_stats(file)
    assert [name for name, _, _ in before] == ["q8_0.gguf", "tokenizer.json", "config.json"]
    add_to_config(tmp_path, display_name="x")
    assert file_stats(file) != before and file_stats(file)[:2] == before[:2]
    backbone, companion = forms.pair(v3, tmp_path / "pair")
    assert [name for name, _, _ in file_stats(backbone)] == ["backbone.gguf", "audio.gguf", "tokenizer.json"]
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    assert [name for name, _, _ in file_stats(tmp_path / "broken.gguf")] == ["broken.gguf"]


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["llama.cpp", "CrispASR"])
def test_a_tokenizer_is_made_of_pieces_and_merges(writer, tmp_path):
    """With the ids of the tokenizer that the file was made from: Qwen's whole vocabulary with v3's marks."""
    source = make_v3_checkpoint(tmp_path / "v3", whole_vocabulary=True, **NARROW)
    if writer == "CrispASR":
        file = forms.crispasr(
            source, tmp_path / "gguf" / "model.gguf", tokenizer=False, inside=source / "tokenizer.json"
        )
    else:
        file, _ = forms.pair(source, tmp_path / "gguf", tokenizer=False, inside=source / "tokenizer.json")
    [item] = [one for one in find_checkpoints([tmp_path / "gguf"]) if one.kind == "lm"]
    assert item.usable and len(open_source(file).files()) == (1 if writer == "CrispASR" else 2)
    theirs = Tokenizer.from_file(str(source / "tokenizer.json"))
    ours, plain = load_model(file).tokenizer, load_model(source).tokenizer
    for text in TEXTS:
        assert ours.encode(text) == plain.encode(text), text
    made = Tokenizer.from_buffer(open_source(file).tokenizer())
    for text in (*TEXTS, "".join(V3_MARKS), "<|tts|><|text|>Hi.<|audio|>"):
        text = text.replace("<|im_start|>", "")  # a mark of Qwen's, which the one to compare with lacks
        one, other = made.encode(text).ids, theirs.encode(text).ids
        assert one == other and made.decode(one) == theirs.decode(other), text
    assert ours.controls == plain.controls and len(ours.controls) == 43
    assert {one: ours.special(one) for one in V3_MARKS} == {one: plain.special(one) for one in V3_MARKS}
    made = load_model(convert_model(file, tmp_path / "int8", "int8"), dtype=torch.bfloat16).tokenizer
    assert made.encode(TEXTS[0]) == plain.encode(TEXTS[0])


@pytest.mark.parametrize(
    "change",
    [
        {"pre": "llama-bpe"},
        {"model": "llama"},
        {"types": [1] * 3},
        {"types": [6] * 4},
        {"tokens": ["a", "b", "ab", "<|other|>"]},
        {"merges": None},
    ],
)
def test_another_tokenizer_in_the_file_counts_as_none(change, tmp_path):
    said = {"model": "gpt2", "pre": "qwen2", "tokens": ["a", "b", "ab", "<|audio|>"], "types": [1, 1, 1, 3]}
    said |= {"merges": ["a b"]}

    def tokenizer(**how):
        def fields(writer) -> None:
            writer.add_tokenizer_model(how["model"])
            writer.add_tokenizer_pre(how["pre"])
            writer.add_token_list(how["tokens"])
            writer.add_token_types(how["types"])
            if how["merges"]:
                writer.add_token_merges(how["merges"])

        file = GgufFile(forms.write(tmp_path / "x.gguf", "qwen3", {"x": (torch.ones(2).numpy(), None)}, fields))
        assert holds_tokenizer(file) == (tokenizer_of(file) is not None)
        return tokenizer_of(file)

    assert Tokenizer.from_buffer(tokenizer(**said)).encode("ab").ids == [2]
    assert tokenizer(**said | change) is None


# --- lists ----------------------------------------------------------------------------------------------------------


def test_several_files_in_a_folder_are_several_models(v3, tmp_path):
    folder = tmp_path / "models" / "studio"
    for kind in (Kind.Q8_0, Kind.BF16):
        forms.studio(v3, folder / f"{kind.name}.gguf", forms.matrices(kind))
    forms.audiocpp(v3, tmp_path / "models" / "alone.gguf")
    found = find_checkpoints([tmp_path / "models"])
    assert [item.name for item in found] == ["alone.gguf", "studio/BF16.gguf", "studio/Q8_0.gguf"]
    assert all(item.usable and item.kind == "lm" and "non-commercial" in item.licence.lower() for item in found)
    assert str(describe_checkpoint(found[2])).startswith("v3, GGUF of Higgs-Audio-v3-Studio without codec · ")
    assert checkpoint_at(folder / "Q8_0.gguf").path == folder / "Q8_0.gguf"
    with pytest.raises(CheckpointError, match="several models.*BF16.gguf, Q8_0.gguf.*Name the file"):
        load_model(folder)
    shutil.copyfile(v3 / "model.safetensors", folder / "model.safetensors")  # beside: a folder, and two files
    names = [item.name for item in find_checkpoints([tmp_path / "models"])]
    assert names == ["alone.gguf", "studio", "studio/BF16.gguf", "studio/Q8_0.gguf"]
    assert same(load_model(folder), load_model(v3))


def test_an_unknown_family_names_the_keys_it_found(tmp_path):
    tensors = {"blk.0.attn_q.weight": (torch.ones(2, 2).numpy(), None)}
    file = forms.write(
        tmp_path / "llama.gguf", "llama", tensors, lambda writer: writer.add_uint32("llama.block_count", 1)
    )
    with pytest.raises(
        CheckpointError, match=r"known here.*audio.cpp.*one of 'llama' with the keys .*llama.block_count"
    ):
        load_model(file)
    with pytest.raises(CheckpointError, match="tensors blk.0.attn_q.weight"):
        load_codec(file)
    [item] = find_checkpoints([tmp_path])
    assert item.label == "llama.gguf (not supported: a GGUF of another kind)" and item.kind == ""
    assert all(one.embedded for one in default_pair([item]))


def test_a_speech_recognizer_of_audiocpp_is_another_kind(v3, tmp_path, monkeypatch):
    monkeypatch.setattr(forms, "SPEC", {"family": "higgs_audio_stt"})
    file = forms.write(
        tmp_path / "stt.gguf",
        "audiocpp",
        {"layers.0.x": (torch.ones(2, 2).numpy(), None)},
        lambda writer: writer.add_string("audiocpp.model_spec.family", "higgs_audio_stt"),
    )
    with pytest.raises(CheckpointError, match="one of 'audiocpp / higgs_audio_stt'"):
        load_model(file)


def test_without_the_package_only_what_is_quantized_needs_it(v3, tmp_path, monkeypatch):
    plain = forms.audiocpp(v3, tmp_path / "plain.gguf", forms.matrices(Kind.BF16))
    packed = forms.audiocpp(v3, tmp_path / "packed.gguf", forms.matrices(Kind.Q8_0))
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert load_model(plain).config.num_layers == 1
    assert [item.usable for item in find_checkpoints([tmp_path])] == [True, True]
    with pytest.raises(
        MissingExtraError, match="A quantized GGUF file needs the optional package 'gguf'.*pip install gguf"
    ):
        load_model(packed)


def test_plain_tensors_stay_mapped(v3, tmp_path):
    tensors = open_source(forms.audiocpp(v3, tmp_path / "plain.gguf")).tensors()
    one, other = tensors["body.norm.weight"], tensors["body.layers.0.self_attn.o_proj.weight"]
    assert one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def test_rows_are_read_in_mappings_of_their_own(v3, tmp_path, monkeypatch):
    """So that no page of a large file stays after it was copied."""
    file = forms.studio(v3, tmp_path / "x.gguf", forms.matrices(Kind.Q8_0))
    tensors, opened = open_source(file).tensors(), []
    plain = gguf_file.GgufTensors._mapping
    monkeypatch.setattr(gguf_file.GgufTensors, "_mapping", lambda self: opened.append(1) or plain(self))
    rows = tensors.rows(forms.FUSED, 5, 9)
    assert opened == [1] and torch.equal(rows, load_file(v3 / "model.safetensors")[forms.FUSED][5:9])

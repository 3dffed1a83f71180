"""Codes know which codec they are of, and never go through another one."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace

import pytest
import torch
from helpers_checkpoint import add_to_config, edit_tensors, make_lm_checkpoint, random_codes
from helpers_codec import make_codec_checkpoint, make_dac_weights, sound_clip
from safetensors.torch import load_file

from higgs_runtime import (
    AudioError,
    CheckpointError,
    PromptError,
    Sampling,
    Voice,
    build_prompt,
    conversation,
    generate,
    load_codec,
    load_model,
    speak,
)

pytestmark = pytest.mark.usefixtures("one_thread")
OTHER = "0123456789abcdef"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_codec_checkpoint(tmp_path_factory.mktemp("codec"))


@pytest.fixture(scope="module")
def codec(folder):
    return load_codec(folder)


@pytest.fixture(scope="module")
def strict(folder, tmp_path_factory):
    """The same codec, but only for codes that name it."""
    return load_codec(
        add_to_config(shutil.copytree(folder, tmp_path_factory.mktemp("strict") / "codec"), named_codes_only=True)
    )


@pytest.fixture(scope="module")
def lm_folder(tmp_path_factory, codec):
    folder = make_lm_checkpoint(tmp_path_factory.mktemp("lm"), num_hidden_layers=1, stream_end=0)
    return add_to_config(folder, codec_identity=codec.identity)


@pytest.fixture(scope="module")
def lm(lm_folder):
    return load_model(lm_folder)


# --- the identity ---------------------------------------------------------------------------------------------------


def test_identity_is_a_hash_of_the_entries(folder, codec):
    tensors = load_file(folder / "model.safetensors")
    entries = [tensors[f"quantizer.quantizers.{k}.codebook.embed"] for k in range(codec.num_codebooks)]
    data = b"".join(one.half().numpy().astype("<f2").tobytes() for one in entries)
    assert codec.identity == hashlib.sha256(data).hexdigest()[:16]
    assert codec.__dict__["identity"] == codec.identity, "computed once"


@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
@pytest.mark.parametrize(
    "loaded", [torch.bfloat16, *(pytest.param(one, marks=pytest.mark.slow) for one in (torch.float32, torch.float16))]
)
def test_identity_is_the_same_in_any_dtype(folder, codec, tmp_path, stored, loaded):
    copy = shutil.copytree(folder, tmp_path / "codec")
    edit_tensors(copy, lambda tensors: tensors.update({name: tensor.to(stored) for name, tensor in tensors.items()}))
    again = load_codec(copy, dtype=loaded)
    assert again.identity == codec.identity
    assert again.decode(again.encode(sound_clip(0.4))).samples.isfinite().all()


def test_another_codebook_or_order_is_another_codec(codec, folder, tmp_path):
    first, second = (f"quantizer.quantizers.{k}.codebook.embed" for k in (0, 1))
    copy = shutil.copytree(folder, tmp_path / "codec")
    edit_tensors(copy, lambda tensors: tensors.update({first: tensors[second], second: tensors[first]}))
    assert load_codec(copy).identity != codec.identity


@pytest.fixture(scope="module")
def rounded(folder, tmp_path_factory):
    """The codec as it lies inside v3: the same in bfloat16."""
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("rounded") / "codec")
    edit_tensors(copy, lambda all_: all_.update({name: tensor.bfloat16() for name, tensor in all_.items()}))
    return load_codec(copy)


def test_codes_of_a_codec_go_through_the_same_one_in_bfloat16(codec, rounded):
    clip = sound_clip(0.4)
    whole, coarse = codec.encode(clip), rounded.encode(clip)
    assert codec.identity != rounded.identity and whole.may_join(coarse) and coarse.may_join(whole)
    assert torch.equal(rounded.decode(whole).samples, rounded.decode(replace(whole, codec="")).samples)
    assert codec.decode(coarse).length == codec.decode(whole).length
    assert Voice(whole, "A.", more=((coarse, "B."),)).references


def test_a_codec_that_differs_by_more_than_rounding_is_another_one(codec, rounded, folder, tmp_path):
    name = "quantizer.quantizers.0.codebook.embed"
    copy = shutil.copytree(folder, tmp_path / "codec")
    edit_tensors(copy, lambda all_: all_.update({name: all_[name] * (1 + 2.0**-6)}))
    stranger = load_codec(copy).encode(sound_clip(0.4))
    for one in (codec, rounded):
        assert not stranger.may_join(one.encode(sound_clip(0.4)))
        with pytest.raises(AudioError, match="belong to another codec"):
            one.decode(stranger)


def test_codes_from_before_there_was_a_signature_still_fit(codec, rounded):
    codes = codec.encode(sound_clip(0.4))
    before = replace(codes, codec=codec.identity)
    assert codes.may_join(before) and before.may_join(codes)
    assert torch.equal(codec.decode(before).samples, codec.decode(codes).samples)
    assert not rounded.takes(codec.identity), "the one hash says nothing of what is left after rounding"


@pytest.mark.slow
def test_identity_of_dac(tmp_path):
    pytest.importorskip("dac")
    weights = make_dac_weights(tmp_path / "dac.pth", 16_000)
    whole, half = load_codec(weights), load_codec(weights, dtype=torch.bfloat16)
    assert whole.identity == half.identity and len(whole.identity) == 16
    assert whole.encode(sound_clip(0.4)).codec == whole.signature
    assert load_codec(make_dac_weights(tmp_path / "other.pth", 16_000, seed=1)).identity != whole.identity


# --- codes ----------------------------------------------------------------------------------------------------------


def test_codes_carry_where_they_are_from(codec, lm):
    assert codec.encode(sound_clip(0.4)).codec == codec.signature and codec.signature.startswith(codec.identity + "~")
    assert random_codes(1).codec == ""
    [spoken] = generate(lm, [build_prompt(conversation("Hello."), lm.tokenizer)], Sampling(max_frames=3))
    assert spoken.codes.codec == codec.identity


@pytest.mark.parametrize(
    "mine, yours, fits", [("", "", True), ("a", "", True), ("", "a", True), ("a", "a", True), ("a", "b", False)]
)
def test_unknown_origin_fits_every_codec(mine, yours, fits):
    assert random_codes(1, codec=mine).may_be_of(yours) is fits


def test_decoding_codes_of_another_codec_is_refused(codec):
    codes = codec.encode(sound_clip(0.4))
    stranger = replace(codes, codec=OTHER)
    says = f"another codec. Expected codes of codec {codec.identity}, got codes of codec {OTHER}"
    with pytest.raises(AudioError, match=says):
        codec.decode(stranger)
    with pytest.raises(AudioError, match=says):
        list(codec.decode_stream([codes, stranger]))
    assert torch.equal(codec.decode(replace(codes, codec="")).samples, codec.decode(codes).samples)


def test_a_codec_may_refuse_codes_that_do_not_name_it(codec, strict):
    named = strict.encode(sound_clip(0.4))
    assert torch.equal(strict.decode(named).samples, codec.decode(named).samples)
    unnamed = replace(named, codec="")
    says = "do not say which codec they are of. Expected codes of codec .*, got codes that name no codec. Choose"
    with pytest.raises(AudioError, match=says):
        strict.decode(unnamed)
    with pytest.raises(AudioError, match=says):
        list(strict.decode_stream([unnamed]))
    with pytest.raises(AudioError, match=f"another codec. Expected codes of codec {codec.identity}, got .* {OTHER}"):
        strict.decode(replace(named, codec=OTHER))
    assert not codec.named_codes_only and strict.named_codes_only


@pytest.mark.parametrize("value", ["true", 1])
def test_named_codes_only_is_true_or_false(folder, tmp_path, value):
    broken = add_to_config(shutil.copytree(folder, tmp_path / "codec"), named_codes_only=value)
    with pytest.raises(CheckpointError, match=f"named_codes_only is {value!r}"):
        load_codec(broken)


def test_a_prompt_refuses_codes_of_another_codec(codec, lm):
    def prompt(origin):
        return build_prompt(conversation("Hello.", [Voice(random_codes(3, codec=origin), "Words.")]), lm.tokenizer)

    assert len(prompt("")) == len(prompt(codec.identity))
    with pytest.raises(
        PromptError,
        match=f"than the model was trained with. Expected codes of codec {codec.identity}, got codes of codec {OTHER}",
    ):
        prompt(OTHER)


def test_speak_refuses_another_codec_before_it_speaks(lm_folder, codec, tmp_path):
    stranger = load_codec(make_codec_checkpoint(tmp_path / "codec", seed=1))
    with pytest.raises(CheckpointError, match=f"another one than the model.*{codec.identity}.*{stranger.identity}"):
        speak("Hello.", model=lm_folder, codec=stranger, device="cpu", on_frames=lambda *_: pytest.fail("it spoke"))
    assert speak("Hello.", model=lm_folder, codec=codec, device="cpu", sampling=Sampling(max_frames=3)).seconds > 0


def test_speak_refuses_a_model_that_names_no_codec_before_it_speaks(lm_folder, strict, tmp_path):
    assert speak("Hello.", model=lm_folder, codec=strict, device="cpu", sampling=Sampling(max_frames=3)).seconds > 0
    unnamed = add_to_config(shutil.copytree(lm_folder, tmp_path / "lm"), codec_identity=None)
    with pytest.raises(CheckpointError, match=f"a model that names codec {strict.identity}, got .* names no codec"):
        speak("Hello.", model=unnamed, codec=strict, device="cpu", on_frames=lambda *_: pytest.fail("it spoke"))

"""Higgs Audio v3: backbone and head against transformers' Qwen3Model, prompt, tags and wind-down by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from helpers_checkpoint import random_codes
from helpers_codec import make_codec_checkpoint, sound_clip
from helpers_v3 import Reference, make_v3_checkpoint
from helpers_vocabulary import FIRST_MARK, V3_MARKS
from random_codec import SMALL
from safetensors.torch import load_file, save_file

from higgs_runtime import (
    CheckpointError,
    Message,
    PromptError,
    Sampling,
    Session,
    SettingError,
    Voice,
    build_prompt,
    conversation,
    generate,
    load_codec,
    load_model,
)
from higgs_runtime.codec import bundled
from higgs_runtime.generation.request import with_length_warning
from higgs_runtime.hub.cache import model_bytes
from higgs_runtime.hub.catalog import default_pair, find_checkpoints
from higgs_runtime.model import HiggsModel
from higgs_runtime.model.config import ModelConfig, parse_v3
from higgs_runtime.model.linear import PackedLinear
from higgs_runtime.text.tags import TAGS
from higgs_runtime.types import ReleasedSampling

ONE, TWO = random_codes(12, seed=1), random_codes(5, seed=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_v3_checkpoint(tmp_path_factory.mktemp("v3") / "higgs", stream_end=1.2, whole_vocabulary=True)


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder)


@pytest.fixture(scope="module")
def reference(folder):
    return Reference(folder)


def delayed(codes) -> torch.Tensor:
    """[F + 7, 8] as the model was trained: begin ids in one corner, end ids in the other."""
    frames = codes.frames
    rows = torch.full((frames + 7, 8), 1025)
    for k in range(8):
        rows[:k, k] = 1024
        rows[k : k + frames, k] = codes.ids[k]
    return rows


def dialogue() -> list[Message]:
    """Two voices, one line that was spoken, and the next one."""
    return [
        Message("system", "Generate audio following instruction."),
        Message("user", "The first voice.", reference=True),
        Message("assistant", ONE, reference=True),
        Message("user", "Die zweite.", reference=True),
        Message("assistant", TWO, reference=True),
        Message("user", "Hello."),
        Message("assistant", TWO),
        Message("user", "And <|sfx:laughter|>you?"),
    ]


PARTS = {
    "text": (conversation("What shall we say?"), ["<|tts|><|text|>What shall we say?<|audio|>"]),
    "voice": (
        conversation("Now.", [Voice(ONE, "The first voice.")]),
        ["<|tts|><|ref_text|>The first voice.<|ref_audio|>", delayed(ONE), "<|text|>Now.<|audio|>"],
    ),
    "voice without words": (
        conversation("Now.", [Voice(ONE)]),
        ["<|tts|><|ref_audio|>", delayed(ONE), "<|text|>Now.<|audio|>"],
    ),
    "dialogue": (
        dialogue(),
        [
            "<|tts|><|ref_text|>The first voice.<|ref_audio|>",
            delayed(ONE),
            "<|ref_text|>Die zweite.<|ref_audio|>",
            delayed(TWO),
            "<|text|>Hello.<|audio|>",
            delayed(TWO),
            "<|text|>And <|sfx:laughter|>you?<|audio|>",
        ],
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_logits_are_those_of_qwen3(model, reference, name, record_property):
    """The prompt ends before <|audio|>: that is the take's first row."""
    messages, parts = PARTS[name]
    prompt = build_prompt(messages, model.tokenizer)
    expected = reference.logits(reference.embedded(parts))
    assert len(prompt) == len(expected) - 1
    deviation = (model.logits(prompt) - expected[:-1]).abs().max().item()
    record_property("deviation", deviation)
    assert deviation < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_greedy_frames_are_those_of_the_state_machine(model, reference, name):
    messages, parts = PARTS[name]
    frames = reference.speak(parts, 40)
    take = generate(
        model, [build_prompt(messages, model.tokenizer)], Sampling(temperature=0, ras_window=0, max_frames=33)
    )[0]
    assert frames.shape[1] > 8 and torch.equal(take.codes.ids, frames)
    assert take.finish_reason == ("length" if frames.shape[1] == 33 else "stop")


@pytest.mark.slow
def test_takes_end_by_themselves(tmp_path):
    folder = make_v3_checkpoint(tmp_path / "ends", stream_end=1.6, whole_vocabulary=True)
    model, reference = load_model(folder), Reference(folder)
    reasons = set()
    for messages, parts in PARTS.values():
        frames = reference.speak(parts, 300)
        prompt = build_prompt(messages, model.tokenizer)
        take = generate(model, [prompt], Sampling(temperature=0, ras_window=0, max_frames=293))[0]
        assert torch.equal(take.codes.ids, frames)
        reasons.add(take.finish_reason)
    assert "stop" in reasons


def test_marks_of_a_prompt(model, reference):
    prompt = build_prompt(PARTS["voice"][0], model.tokenizer)
    text = reference.tokens("<|tts|><|ref_text|>The first voice.<|ref_audio|>")
    assert prompt.token_ids.tolist() == [*text, *[-100] * 19, *reference.tokens("<|text|>Now.")]
    assert torch.equal(prompt.audio_rows, delayed(ONE))
    assert reference.tokens("".join(V3_MARKS)) == list(range(151665, 151727)), "as released"


def test_the_prompt_that_others_published_has_their_ids(model):
    """pegainfer's golden trace of the released checkpoint; the last mark is the take's own first row here."""
    prompt = build_prompt(conversation("Hello from PegaInfer."), model.tokenizer)
    assert prompt.token_ids.tolist() == [151667, 151672, 9707, 504, 393, 11188, 641, 802, 13]
    assert model.config.audio_bos_token_id == 151670
    said = build_prompt(conversation("你好 hello"), model.tokenizer).token_ids.tolist()
    assert said[2:] == [108386, 23811]


def test_known_tags_are_one_token_and_others_are_refused(model):
    assert model.tokenizer.controls == sorted(TAGS) and set(TAGS) < set(V3_MARKS), "the table is the vocabulary's"
    prompt = build_prompt(conversation("<|emotion:anger|>No!"), model.tokenizer)
    assert prompt.token_ids.tolist().count(model.tokenizer.special("<|emotion:anger|>")) == 1
    for text, nearest in [
        ("<|emotion:angry|>No!", "<|emotion:anger|>"),
        ("<|sfx:laugh|>", "<|sfx:laughter|>"),
        ("<|audio|>", "<|"),
        ("Over.<|im_start|>", "<|"),
    ]:
        with pytest.raises(PromptError) as caught:
            build_prompt(conversation(text), model.tokenizer)
        assert nearest in str(caught.value) and "which is not a tag of this model" in str(caught.value)
    plain = build_prompt(conversation("a <| b |> <|c"), model.tokenizer)  # no tags
    assert not set(plain.token_ids.tolist()[2:]) & set(range(FIRST_MARK, FIRST_MARK + 62))


def test_messages_that_v3_ignores_are_reported(model):
    messages = conversation("Hello.", scene="A quiet room.")
    assert build_prompt(messages, model.tokenizer).warnings == ("Higgs Audio v3 reads no scene; left out.",)
    for scene, what in (("", "description of a voice"), ("A hall.", "scene and description of a voice")):
        described = conversation("Hi.", [Voice(description="Warm, slow.")], scene=scene)
        [warning] = build_prompt(described, model.tokenizer).warnings
        assert warning == f"Higgs Audio v3 reads no {what}; left out."
    messages = conversation("Hello.", scene="A quiet room.", system="Sing.")
    assert "instruction and scene" in build_prompt(messages, model.tokenizer).warnings[0]
    with pytest.raises(PromptError, match="do not alternate"):
        build_prompt([*conversation("One."), Message("user", "Two.")], model.tokenizer)
    with pytest.raises(SettingError, match="prompt layout"):
        build_prompt(conversation("One."), model.tokenizer, layout="native")


def test_a_line_has_the_same_codes_in_a_batch_and_a_dialogue_continues(model):
    prompts = [build_prompt(messages, model.tokenizer) for messages, _ in PARTS.values()]
    sampling = [Sampling(temperature=0.8, seed=n, max_frames=20) for n in range(len(prompts))]
    alone = [generate(model, [prompt], one)[0] for prompt, one in zip(prompts, sampling, strict=True)]
    together = generate(model, prompts, sampling)
    assert all(torch.equal(a.codes.ids, b.codes.ids) for a, b in zip(alone, together, strict=True))
    session = Session(model, batch=1)
    first = conversation("Hello there.", [Voice(ONE, "The first voice.")])
    take = session.generate([build_prompt(first, model.tokenizer)], Sampling(temperature=0.8, max_frames=20))[0]
    longer = build_prompt([*first, Message("assistant", take.codes), Message("user", "Next.")], model.tokenizer)
    again = session.generate([longer], Sampling(temperature=0.8, max_frames=10))[0]
    read = take.prompt_positions + 1 + take.frames  # with <|audio|>, and up to where the rows are wound down
    assert read - 1 <= again.reused_positions <= read + 7
    cold = generate(model, [longer], Sampling(temperature=0.8, max_frames=10))[0]
    assert torch.equal(again.codes.ids, cold.codes.ids)


def test_no_guard_against_repetitions_by_default(model):
    """v3 was released without; v2 looks at 7 frames."""
    prompt = build_prompt(conversation("Hello."), model.tokenizer)

    def codes(**settings):
        return generate(model, [prompt], Sampling(temperature=0.1, max_frames=30, **settings))[0].codes.ids

    assert torch.equal(codes(), codes(ras_window=0))
    assert not torch.equal(codes(), codes(ras_window=20, ras_max_repeats=1))


def test_beyond_what_it_was_trained_on_there_is_a_warning(model):
    """Its file says 32,768 positions; it was trained on 8,192."""
    prompt = build_prompt(conversation("Hello."), model.tokenizer)
    config = replace(model.config, max_positions=32_768)
    room = 8192 - len(prompt) - 8
    for frames, warned in ((room, False), (room + 1, True), (30_000, True)):
        found = with_length_warning(prompt, Sampling(max_frames=frames), config).warnings
        assert bool(found) == warned and all("trained on 8192" in one and "of at most 327 s" in one for one in found)
    assert replace(config, max_positions=4096).trained_positions == 4096


def test_samples_as_it_was_released(model):
    """Boson AI's examples for v3 use 0.8 and 50; 0.3 is v2's advice. What is asked for counts."""
    prompt = build_prompt(conversation("Hello."), model.tokenizer)

    def used(**settings):
        [take] = generate(model, [prompt], Sampling(max_frames=4, **settings))
        return take.sampling

    assert used() == Sampling(temperature=0.8, top_k=50, top_p=0.95, ras_window=0, max_frames=4)
    assert used(temperature=0.3, top_k=7).temperature == 0.3 and used(top_k=7).top_k == 7
    assert ModelConfig.released == ReleasedSampling(temperature=0.3, top_k=50, top_p=0.95, ras_window=7)


def test_head_and_embedding_are_one_matrix(model, folder):
    assert model.audio_head.weight is model.audio_embedding.weight
    assert model_bytes(model) < sum(tensor.nbytes for tensor in load_file(folder / "model.safetensors").values()) + 1e4


@pytest.mark.parametrize("quantization", ["int8", pytest.param("int4", marks=pytest.mark.slow)])
def test_quantized(folder, quantization):
    model = load_model(folder, quantization=quantization)
    take = generate(model, [build_prompt(conversation("Hello."), model.tokenizer)], Sampling(max_frames=5))[0]
    assert take.frames == 5


# As the released config.json says it (a copy in Higgs-Audio-v3-Studio).
RELEASED = {
    "architectures": ["HiggsMultimodalQwen3ForConditionalGeneration"],
    "model_type": "higgs_multimodal_qwen3",
    "_hidden_size": 2560,
    "_vocab_size": 151936,
    "audio_token_id": -100,
    "ignore_index": -100,
    "audio_encoder_config": {
        "model_type": "higgs_audio_encoder",
        "encoder_type": "discrete",
        "num_codebooks": 8,
        "vocab_size": 1026,
        "out_dim": 2560,
        "tie_word_embeddings": True,
        "use_delay_pattern": True,
        "max_chunk_size": 50,
        "mel_per_sample": 8,
    },
    "text_config": {
        "model_type": "qwen3",
        "num_hidden_layers": 36,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 32768,
        "rope_parameters": {"rope_theta": 1_000_000, "rope_type": "default"},
        "tie_word_embeddings": True,
        "bos_token_id": 151643,
        "eos_token_id": 151643,
        "vocab_size": 151936,
        "dtype": "bfloat16",
    },
    "transformers_version": "5.5.0",
}


def test_the_released_config_and_its_tensors():
    """399 tensors of the language model, two of which are another's twin: in the file, and not in the index."""
    config = parse_v3(RELEASED)
    assert (config.num_layers, config.hidden_size, config.max_positions, config.trained_positions) == (
        36,
        2560,
        32_768,
        8192,
    )
    assert config.rope.theta == 1e6 and config.tied_head and config.qk_norm and config.codebook_size == 1024
    with torch.device("meta"):
        whole = HiggsModel(config)
    names = dict(whole.named_parameters())
    assert names["audio_embedding.weight"].shape == (8208, 2560)
    packed = sum(len(part.parts) for part in whole.modules() if isinstance(part, PackedLinear))
    packs = sum(isinstance(part, PackedLinear) for part in whole.modules())
    assert len(names) - 1 - packs + packed == 36 * 11 + 3, "the head is the embedding's"


def test_twins_that_the_index_leaves_out_are_read_past(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "released")
    tensors = load_file(copy / "model.safetensors")
    twins = {
        "tied.head.text_head.weight": tensors["tied.embedding.text_embedding.weight"].clone(),
        "tied.head.modality_heads.0.weight": tensors["tied.embedding.modality_embeddings.0.embedding.weight"].clone(),
    }
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, "model.safetensors")}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    save_file({**tensors, **twins}, copy / "model.safetensors", metadata={"format": "pt"})
    again, plain = load_model(copy), load_model(folder)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), plain.parameters(), strict=True))


def test_other_v3_settings_are_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    for name in ("text_config", "audio_encoder_config"):
        (copy / "config.json").write_text(json.dumps({**config, name: "qwen3"}))
        with pytest.raises(CheckpointError, match=name):
            load_model(copy)
    config["audio_encoder_config"]["encoder_type"] = "whisper"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="encoder_type 'whisper'"):
        load_model(copy)


@pytest.mark.slow
def test_its_own_codec(tmp_path, monkeypatch):
    native = make_codec_checkpoint(tmp_path / "native")
    folder = make_v3_checkpoint(tmp_path / "models" / "higgs", codec=load_file(native / "model.safetensors"))
    monkeypatch.setattr(bundled, "SIZES", SMALL)
    codec, clip = load_codec(folder), sound_clip(0.5)
    assert torch.equal(codec.encode(clip).ids, load_codec(native).encode(clip).ids)
    lm, found = default_pair(find_checkpoints([tmp_path / "models"]))
    assert lm.path == found.path == folder
    assert [item.name for item in find_checkpoints([tmp_path / "models"], "codec")] == ["higgs"]
    assert load_model(folder).config.num_codebooks == 8


def test_without_a_codec_it_says_which_to_take(folder):
    with pytest.raises(CheckpointError, match="higgs-audio-v2-tokenizer"):
        load_codec(folder)

"""The language model against transformers' HiggsAudioV2ForConditionalGeneration on the same checkpoint files."""

from __future__ import annotations

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint, random_codes

from higgs_runtime import HiggsModel, Message, Sampling, build_prompt, generate, load_model
from higgs_runtime.checkpoint.assign import assign_strict
from higgs_runtime.model.config import ModelConfig
from higgs_runtime.model.transformer import ALL_TEXT

CONFIGS = {
    "base": {},
    "one_layer_no_groups": {"num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4},
    "single_kv_head": {"num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 8},
    "wide_heads": {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 64, "hidden_size": 96},
    "four_codebooks": {"num_codebooks": 4, "num_hidden_layers": 3},
    "two_small_codebooks": {
        "num_codebooks": 2,
        "codebook_size": 66,
        "audio_stream_bos_id": 64,
        "audio_stream_eos_id": 65,
    },
    "biases": {"attention_bias": True, "mlp_bias": True, "num_hidden_layers": 4},
    "default_rope": {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
}
ONE_FAST = ["base", *(pytest.param(name, marks=pytest.mark.slow) for name in [*CONFIGS][1:])]
# Frames of the clips, each with its user text before it; then the text to speak.
CONVERSATIONS = {
    "text_only": ([], "What shall we say now?"),
    "one_clip": ([20], "What shall we say now?"),
    "three_clips": ([20, 27, 34], "What shall we say now?"),
    "multi_turn": ([30, 5, 61, 1, 12], "[SPEAKER1] And then?"),
}


@pytest.fixture(scope="module", params=ONE_FAST)
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)  # moderate weights: fp32 rounding grows with the logits
    return load_pair(make_lm_checkpoint(folder, initializer_range=0.2, whole_vocabulary=True, **CONFIGS[request.param]))


def load_pair(folder):
    """(our model, transformers' model, folder)."""
    from transformers import HiggsAudioV2ForConditionalGeneration

    return load_model(folder), HiggsAudioV2ForConditionalGeneration.from_pretrained(folder).eval(), folder


def conversation_prompt(model, name):
    clips, text = CONVERSATIONS[name]
    config = model.config
    messages = [Message("system", "Generate audio following instruction.")]
    if name == "multi_turn":
        messages.append(Message("scene", ["A harbour.", "SPEAKER0: calm", "SPEAKER1: hoarse"]))
    for n, frames in enumerate(clips):
        codes = random_codes(frames, num_codebooks=config.num_codebooks, size=config.codebook_size, seed=n)
        messages += [Message("user", f"Sentence number {n}."), Message("assistant", codes)]
    return build_prompt([*messages, Message("user", text)], model.tokenizer)


def reference_inputs(prompt):
    inputs = {"input_ids": prompt.token_ids[None], "attention_mask": torch.ones(1, len(prompt), dtype=torch.long)}
    if len(prompt.audio_rows):
        inputs["audio_input_ids"] = prompt.audio_rows[None]
        inputs["audio_input_ids_mask"] = torch.ones(1, len(prompt.audio_rows), dtype=torch.bool)
    return inputs


def reference_logits(reference, prompt):
    with torch.no_grad():
        return reference(**reference_inputs(prompt)).logits[0].float()


def reference_rows(reference, prompt, steps):
    rows = reference.generate(**reference_inputs(prompt), do_sample=False, max_new_tokens=steps)[0]
    return rows[len(prompt.audio_rows) :]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_logits(pair, name, record_property):
    ours, reference, _ = pair
    prompt = conversation_prompt(ours, name)
    deviation = (ours.logits(prompt).flatten(1) - reference_logits(reference, prompt)).abs().max().item()
    record_property("deviation", deviation)
    assert deviation < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("computed", [torch.float32, torch.bfloat16], ids=["as on a CPU", "as on a GPU"])
def test_bfloat16(pair, record_property, monkeypatch, computed):
    """As close to float32 as the reference's own bfloat16, in its logits and in the ids it would choose."""
    ours, reference, folder = pair
    half = load_model(folder, dtype=torch.bfloat16)
    their_half = type(reference).from_pretrained(folder, dtype=torch.bfloat16).eval()
    errors, agreement = [], []
    for name in CONVERSATIONS:
        prompt = conversation_prompt(ours, name)
        truth = ours.logits(prompt)
        with monkeypatch.context() as patch:
            patch.setattr(HiggsModel, "compute_dtype", computed)
            x = half.logits(prompt)
        y = reference_logits(their_half, prompt).view_as(truth)
        errors.append([(z - truth).pow(2).mean() for z in (x, y)])
        agreement.append([(a.argmax(-1) == b.argmax(-1)).float().mean() for a, b in ((x, y), (y, truth))])
    (error, their_error), (with_them, them_with_truth) = (torch.tensor(z).mean(0).tolist() for z in (errors, agreement))
    record_property("error", error**0.5)
    record_property("their_error", their_error**0.5)
    record_property("same_ids", with_them)
    assert error < (0.8 if computed == torch.float32 else 1.5) * their_error
    assert with_them > them_with_truth - 0.03


@pytest.mark.parametrize("name", ONE_FAST)
def test_greedy_rows_with_wind_down(name, tmp_path):
    """Until the model ends by itself: ramp-in, open frames, wind-down, the same stop."""
    ours, reference, _ = load_pair(make_lm_checkpoint(tmp_path, stream_end=1.3, **CONFIGS[name]))
    lengths = set()
    for conversation in CONVERSATIONS:
        prompt = conversation_prompt(ours, conversation)
        result = generate(ours, [prompt], Sampling(temperature=0, ras_window=0, max_frames=300))[0]
        assert result.finish_reason == "stop"
        assert torch.equal(result.rows, reference_rows(reference, prompt, len(result.rows)))
        lengths.add(result.frames)
    assert max(lengths) > 8, "all ended in the ramp-in"


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_FAST)
def test_greedy_rows_for_150_frames(name, tmp_path):
    """The same where nothing ends early."""
    ours, reference, _ = load_pair(make_lm_checkpoint(tmp_path, stream_end=0, **CONFIGS[name]))
    prompt = conversation_prompt(ours, "one_clip")
    result = generate(ours, [prompt], Sampling(temperature=0, ras_window=0, max_frames=150))[0]
    assert result.finish_reason == "length" and result.frames == 150
    assert torch.equal(result.rows, reference_rows(reference, prompt, len(result.rows)))


def single_path_model():
    config = ModelConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=48,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        norm_eps=1e-6,
        max_positions=512,
        num_codebooks=2,
        codebook_rows=18,
        audio_token_id=90,
        audio_delay_token_id=91,
        audio_bos_token_id=92,
        stream_bos_id=16,
        stream_eos_id=17,
        audio_path=False,
        qk_norm=True,
    )
    return HiggsModel(config).eval()


def test_a_single_path_layer_with_head_norms_is_a_qwen3_layer():
    """The room for the second backbone: one FFN, q/k norms, checked against transformers' Qwen3Model."""
    from transformers import Qwen3Config, Qwen3Model

    with torch.random.fork_rng():
        ours = single_path_model()
        c = ours.config
        theirs = Qwen3Model(
            Qwen3Config(
                vocab_size=c.vocab_size,
                hidden_size=c.hidden_size,
                intermediate_size=c.intermediate_size,
                num_hidden_layers=c.num_layers,
                num_attention_heads=c.num_heads,
                num_key_value_heads=c.num_kv_heads,
                head_dim=c.head_dim,
                rms_norm_eps=c.norm_eps,
                rope_parameters={"rope_type": "default", "rope_theta": c.rope.theta},
            )
        ).eval()
    names = {
        "self_attn": "attention",
        "mlp": "text.ffn",
        "input_layernorm": "text.attention_norm",
        "post_attention_layernorm": "text.ffn_norm",
        "embed_tokens": "text_embedding",
    }
    state = {}
    for key, value in theirs.state_dict().items():
        for old, new in names.items():
            key = key.replace(old, new)
        state[key.replace("_proj.", ".")] = torch.randn_like(value) * 0.2
    own = {name: ours.state_dict()[name] for name in ("audio_embedding.weight", "audio_head.weight")}
    assign_strict(ours, {**state, **own})
    renamed = dict(zip(theirs.state_dict(), state.values(), strict=True))
    theirs.load_state_dict(renamed)
    ids = torch.randint(0, 100, (1, 30), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        hidden = ours(ours.text_embedding(ids), ALL_TEXT)
        expected = theirs(input_ids=ids).last_hidden_state
    assert (hidden - expected).abs().max() < 1e-4

"""The original v2 layout against Boson AI's own code, in an environment of its own (`python dev.py test` makes it)."""

from __future__ import annotations

import json
import subprocess

import pytest
import torch
from helpers_checkpoint import ROOT, random_codes
from helpers_environments import python_of
from helpers_vocabulary import llama_tokenizer
from make_random_checkpoint import write_tokenizer

from higgs_runtime import CheckpointError, Message, Sampling, SettingError, build_prompt, generate, load_model

pytestmark = pytest.mark.slow

SYSTEM = "Generate audio following instruction."
ROOM = "Audio is recorded from a quiet room."


def ask(kind: str, task: dict, folder) -> dict:
    """What the original code answers."""
    asked, answered = folder / "task.pt", folder / "answer.pt"
    torch.save(task, asked)
    command = [
        str(python_of("boson")),
        "-W",
        "ignore",
        str(ROOT / "tests" / "conformance" / "original_v2.py"),
        kind,
        str(asked),
        str(answered),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return torch.load(answered, weights_only=True)


def conversations() -> dict:
    """Name -> messages as the original code takes them, and the same ones as ours."""
    one, two = random_codes(21, seed=1), random_codes(9, seed=2)
    text, line = "Sentence number 1.", "What shall we say now?"
    scene = f"{SYSTEM}\n\n<|scene_desc_start|>\n{ROOM}"
    end = "\n<|scene_desc_end|>"
    return {
        "text": ([("system", [SYSTEM]), ("user", [line])], [Message("system", SYSTEM), Message("user", line)]),
        "voice": (
            [("system", [scene + end]), ("user", [text]), ("assistant", [one.ids]), ("user", [line])],
            [
                Message("system", SYSTEM),
                Message("scene", ROOM),
                Message("user", text),
                Message("assistant", one),
                Message("user", line),
            ],
        ),
        "heard": (
            [("system", [f"{scene}\n\nSPEAKER0: ", one.ids, "\nSPEAKER1: ", two.ids, end]), ("user", [line])],
            [
                Message("system", SYSTEM),
                Message("scene", [ROOM, "SPEAKER0:", one, "SPEAKER1:", two]),
                Message("user", line),
            ],
        ),
    }


SETTINGS = {
    "released": {"stream_end": 1.3},
    "some_layers": {"audio_adapter_type": "dual_ffn", "audio_dual_ffn_layers": [0, 2], "stream_end": 0.0},
    "partly_frozen": {"frozen": 128000, "stream_end": 0.0},
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """(folder with a checkpoint of each of SETTINGS, what the original code answers of each)."""
    root = tmp_path_factory.mktemp("original")
    asked = {name: (theirs, 40) for name, (theirs, _) in conversations().items()}
    tasks = {}
    for name, settings in SETTINGS.items():
        write_tokenizer(root / name, llama_tokenizer())
        tasks[name] = {"folder": str(root / name), "settings": settings, "conversations": asked}
    return root, ask("lm", tasks, root)


@pytest.fixture(scope="module", params=SETTINGS)
def pair(request, answers):
    """(our model, what the original code answers, the checkpoint's folder)."""
    root, found = answers
    return load_model(root / request.param), found[request.param], root / request.param


@pytest.mark.parametrize("name", conversations())
def test_ids_logits_and_greedy_frames(pair, name, record_property):
    """Up to the first frame that holds a stream-end: there our clips end."""
    model, answers, _ = pair
    answer, prompt = answers[name], build_prompt(conversations()[name][1], model.tokenizer)
    assert torch.equal(prompt.token_ids, answer["ids"])
    if answer["spoken"].any():
        deviation = (model.logits(prompt)[answer["spoken"]] - answer["logits"]).abs().max().item()
        record_property("deviation", deviation)
        assert deviation < 1e-4
    take = generate(model, [prompt], Sampling(temperature=0, ras_window=0, max_frames=answer["frames"].shape[1]))[0]
    assert answer["frames"].shape[1] > 8 and torch.equal(take.codes.ids, answer["frames"])
    assert answer["ended"] == (take.finish_reason == "stop") or take.finish_reason == "length"


def test_released_ends_by_itself(pair):
    """So the wind-down above is compared, too."""
    if pair[2].name.startswith("released"):
        assert any(answer["ended"] for answer in pair[1].values())


def test_prompts_can_be_laid_out_the_other_way(pair):
    model, messages = pair[0], conversations()["heard"][1]
    native, original = (build_prompt(messages, model.tokenizer, layout=one) for one in ("native", "original"))
    assert torch.equal(original.token_ids, build_prompt(messages, model.tokenizer).token_ids)
    assert torch.equal(native.audio_rows, original.audio_rows) and len(native) == len(original)
    begin, heard = (model.tokenizer.special(token) for token in ("<|audio_out_bos|>", "<|AUDIO|>"))
    assert (native.token_ids == begin).sum() == 3 and (original.token_ids == begin).sum() == 1
    assert not (native.token_ids == heard).any() and (original.token_ids == heard).sum() == len(original.audio_rows)
    with pytest.raises(SettingError, match="prompt layout"):
        build_prompt(messages, model.tokenizer, layout="chatml")


def test_the_layout_is_the_released_one(pair):
    """Shards with an index, and the names that Boson AI's files have."""
    folder = pair[2]
    names = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))["weight_map"]
    assert len(set(names.values())) > 1
    assert {
        "audio_codebook_embeddings.weight",
        "audio_decoder_proj.audio_lm_head.weight",
        "layers.0.audio_mlp.up_proj.weight",
        "layers.0.audio_post_attention_layernorm.weight",
    } <= set(names)
    frozen = "embed_tokens.embedding_frozen.weight" in names
    assert frozen == (folder.name == "partly_frozen") != ("embed_tokens.weight" in names)


@pytest.mark.parametrize(
    "field, value, named",
    [
        ("audio_dual_ffn_layers", [0], "dual_ffn_fast_forward with audio_dual_ffn_layers for 1 of 3 layers"),
        ("audio_adapter_type", "cross", "audio_adapter_type 'cross'"),
        ("use_delay_pattern", False, "use_delay_pattern False"),
        ("audio_embed_avg", True, "audio_embed_avg True"),
        ("use_audio_out_self_attention", True, "use_audio_out_self_attention True"),
    ],
)
def test_settings_of_no_released_checkpoint_are_refused(answers, tmp_path, field, value, named):
    config = json.loads((answers[0] / "released" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, field: value}))
    with pytest.raises(CheckpointError, match=named):
        load_model(tmp_path)


def test_a_config_without_its_text_part_is_incomplete(answers, tmp_path):
    config = json.loads((answers[0] / "released" / "config.json").read_text(encoding="utf-8"))
    del config["text_config"]["num_attention_heads"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="num_attention_heads"):
        load_model(tmp_path)

"""LoRA adapters against PEFT on transformers' model, in an environment of its own (`python dev.py test` makes it)."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import torch
from helpers_checkpoint import ROOT, make_lm_checkpoint, random_codes
from helpers_environments import python_of
from helpers_forms import as_port
from helpers_v3 import make_v3_checkpoint
from helpers_workflow import PACK, node_classes, node_module
from safetensors.torch import load_file, save_file

from higgs_runtime import CheckpointError, Message, Sampling, build_prompt, conversation, generate, load_model
from higgs_runtime.model.lora import adapted, load_adapter

pytestmark = pytest.mark.slow

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
ALL = r"model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj|audio_mlp\.(gate|up|down)_proj)"
MAKE = {
    "attention": {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION},
    "all": {"r": 3, "lora_alpha": 5, "target_modules": ALL, "use_rslora": True},
    "one": {"r": 2, "lora_alpha": 2, "target_modules": ["v_proj"], "alpha_pattern": {"layers.1.self_attn.v_proj": 7}},
    "either": {"r": 2, "lora_alpha": 2, "target_modules": ALL, "alpha_pattern": {"layers.1|v_proj": 7}},
}
USE = {
    "attention": {"attention": 1.0},
    "all": {"all": 1.0},
    "half": {"all": 0.5},
    "either": {"either": 1.0},
    "one": {"one": 1.0},
    "several": {"attention": 0.7, "all": 1.2, "one": -0.5},
}


PORT_MAKE = {
    "attention": {"r": 4, "lora_alpha": 8, "target_modules": ATTENTION, "use_rslora": True},
    "patterns": {
        "r": 3,
        "lora_alpha": 5,
        "target_modules": [*ATTENTION, "gate_proj", "up_proj", "down_proj"],
        "rank_pattern": {"q_proj|down_proj": 6, "layers.1.mlp.up_proj": 2},
        "alpha_pattern": {"q_proj|v_proj": 9, r"layers\.0\.mlp\..*_proj": 1},
        "use_rslora": True,
    },
}
PORT_USE = {
    "attention": {"attention": 1.0},
    "patterns": {"patterns": 1.0},
    "both": {"patterns": 0.6, "attention": -0.5},
}


def ask_peft(root, folder, inputs, make: dict, use: dict) -> dict[str, torch.Tensor]:
    """PEFT's logits by the names of `use`; the adapters are made in `root`."""
    tasks = {
        name: {"model": str(folder), "folder": str(root), "inputs": inputs, "use": one, "make": {} if index else make}
        for index, (name, one) in enumerate(use.items())
    }
    torch.save(tasks, root / "tasks.pt")
    program = ROOT / "tests" / "conformance" / "peft_reference.py"
    command = [str(python_of("peft")), "-W", "ignore", str(program), str(root / "tasks.pt"), str(root / "answers.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return torch.load(root / "answers.pt", weights_only=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(our model, its prompt, folder of the adapters, PEFT's logits by the names of USE)."""
    root = tmp_path_factory.mktemp("lora")
    model = load_model(make_lm_checkpoint(root / "lm", initializer_range=0.2, whole_vocabulary=True))
    prompt = build_prompt(
        [
            Message("system", "Speak."),
            Message("user", "One."),
            Message("assistant", random_codes(9)),
            Message("user", "Two."),
        ],
        model.tokenizer,
    )
    inputs = {
        "input_ids": prompt.token_ids[None],
        "attention_mask": torch.ones(1, len(prompt), dtype=torch.long),
        "audio_input_ids": prompt.audio_rows[None],
        "audio_input_ids_mask": torch.ones(1, len(prompt.audio_rows), dtype=torch.bool),
    }
    return model, prompt, root, ask_peft(root, root / "lm", inputs, MAKE, USE)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The same of a v3 model and adapters that were made on its port to transformers."""
    root = tmp_path_factory.mktemp("port")
    v3 = make_v3_checkpoint(root / "v3", whole_vocabulary=True)
    model = load_model(v3)
    prompt = build_prompt(conversation("What shall we say?"), model.tokenizer)
    folder = as_port(v3, root / "port")
    return model, prompt, root, ask_peft(root, folder, {"token_ids": prompt.token_ids[None]}, PORT_MAKE, PORT_USE)


@pytest.mark.parametrize("name", PORT_USE)
def test_adapters_of_the_port_of_v3_are_those_of_peft(port, name, record_property):
    model, prompt, root, answers = port
    plain = model.logits(prompt)
    with adapted(model, [(load_adapter(root / one), strength) for one, strength in PORT_USE[name].items()]):
        logits = model.logits(prompt)
    deviation = (logits.flatten(1) - answers[name]).abs().max().item()
    record_property("deviation", deviation)
    assert deviation < 3e-4
    assert (logits - plain).abs().max() > 0.1


@pytest.mark.parametrize("name", USE)
def test_logits_are_those_of_peft(made, name, record_property):
    model, prompt, root, answers = made
    plain = model.logits(prompt)
    with adapted(model, [(load_adapter(root / one), strength) for one, strength in USE[name].items()]):
        logits = model.logits(prompt)
    deviation = (logits.flatten(1) - answers[name]).abs().max().item()
    record_property("deviation", deviation)
    assert deviation < 2e-4
    assert (logits - plain).abs().max() > 0.1
    assert torch.equal(model.logits(prompt), plain), "nothing stays"


def test_it_speaks_and_nothing_stays_behind(made):
    model, prompt, root, _ = made
    before = {name: id(module) for name, module in model.named_modules()}
    sampling = Sampling(seed=3, temperature=1.0, max_frames=12)
    plain = generate(model, [prompt], sampling)[0].codes.ids
    with adapted(model, [(load_adapter(root / "all"), 1.0)]):
        other = generate(model, [prompt] * 3, sampling)
    assert all(torch.equal(one.codes.ids, other[0].codes.ids) for one in other)
    assert not torch.equal(other[0].codes.ids, plain)
    with adapted(model, [(load_adapter(root / "all"), 0.0)]):
        assert torch.equal(generate(model, [prompt], sampling)[0].codes.ids, plain)
    with pytest.raises(RuntimeError), adapted(model, [(load_adapter(root / "all"), 1.0)]):
        raise RuntimeError
    assert {name: id(module) for name, module in model.named_modules()} == before


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_on_quantized_weights(made, quantization):
    """What is added is the same: it is not quantized."""
    _, prompt, root, _ = made
    model = load_model(root / "lm", quantization=quantization)
    adapter = load_adapter(root / "one")
    base = model.layers[0].attention.qkv
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    with adapted(model, [(adapter, 1.0)]):
        added = model.layers[0].attention.qkv(x) - base(x)
    down, up, scale = adapter.matrices["model.layers.0.self_attn.v_proj"]
    expected = torch.cat((torch.zeros(3, 96), (x @ down.T) @ up.T * scale), dim=1)
    assert torch.allclose(added, expected, atol=1e-4)
    assert model.logits(prompt).isfinite().all()


@pytest.mark.parametrize(
    "change, named",
    [
        ({"peft_type": "IA3"}, "peft_type IA3"),
        ({"use_dora": True}, "use_dora True"),
        ({"bias": "all"}, "bias 'all'"),
        ({"alora_invocation_tokens": [5, 6]}, r"alora_invocation_tokens \[5, 6\]"),
        ({"use_qalora": True}, "use_qalora"),
        ({"init_lora_weights": "pissa"}, "weights that were changed.*init_lora_weights 'pissa'.*save_pretrained"),
        ({"init_lora_weights": "pissa_niter_16"}, "weights that were changed"),
        ({"init_lora_weights": "olora"}, "weights that were changed"),
        ({"init_lora_weights": "lora_ga"}, "weights that were changed"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"target_parameters": ["audio_head.weight"]}, "target_parameters"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights 'pissa_niter_4'"),
        ({"lora_alpha": None}, "no plain|complete|lora_alpha"),
        ({"lora_alpha": "16"}, "cannot be used"),
        ({"alpha_pattern": {"(": 1}}, "cannot be used"),
        ({"alpha_pattern": [1]}, "cannot be used"),
    ],
)
def test_other_adapters_are_refused(made, tmp_path, change, named):
    folder = shutil.copytree(made[2] / "one", tmp_path / "one")
    config = json.loads((folder / "adapter_config.json").read_text())
    config.update(change)
    if change.get("lora_alpha", 0) is None:
        del config["lora_alpha"]
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=named):
        load_adapter(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"modules_to_save": []},
        {"modules_to_save": None, "bias": None},
        {"layer_replication": [], "bias": "none"},
        {"init_lora_weights": "gaussian", "velora_config": {}},
        {"init_lora_weights": "orthogonal", "alora_invocation_tokens": None},
    ],
)
def test_a_config_may_say_in_many_ways_that_there_is_nothing_more(made, tmp_path, change):
    folder = shutil.copytree(made[2] / "one", tmp_path / "one")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **change}))
    assert load_adapter(folder).matrices.keys() == load_adapter(made[2] / "one").matrices.keys()


def test_the_name_of_an_adapter_in_its_keys_is_passed_over(made, tmp_path):
    """As in the state of a PeftModel that was saved by itself: lora_A.default.weight."""
    folder = shutil.copytree(made[2] / "one", tmp_path / "one")
    file = folder / "adapter_model.safetensors"
    for name in ("default", "my_voice"):
        tensors = load_file(made[2] / "one" / "adapter_model.safetensors")
        save_file({key.replace(".weight", f".{name}.weight"): one for key, one in tensors.items()}, file)
        assert load_adapter(folder).matrices.keys() == load_adapter(made[2] / "one").matrices.keys()


def test_what_cannot_be_applied_is_named(made, tmp_path):
    model = made[0]
    folder = shutil.copytree(made[2] / "one", tmp_path / "one")
    file = folder / "adapter_model.safetensors"
    more = {f"base_model.model.lm_head.lora_{one}.weight": torch.zeros(2, 2) for one in "AB"}
    save_file({**load_file(file), **more}, file)
    with pytest.raises(CheckpointError, match="more than the matrices of the layers.*got lm_head"):
        with adapted(model, [(load_adapter(folder), 1)]):
            pass


def test_on_the_canvas(made, tmp_path, monkeypatch):
    """Load Higgs LoRA hands the model on with it, and Generate speaks with it."""
    root, nodes = made[2], node_classes()
    import folder_paths

    handles, runtime = node_module("host.handles"), __import__(f"{PACK}.higgs_runtime", fromlist=["x"])
    shutil.copytree(root / "all", tmp_path / "models" / "voices" / "all")
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "higgs_audio", ([str(tmp_path / "models")], set()))
    assert node_module("shared.checkpoints").adapter_choices() == ["voices/all"]
    assert nodes["HiggsLoadLoRA"].validate_inputs("voices/all") is True
    assert "There is no LoRA '../all'" in nodes["HiggsLoadLoRA"].validate_inputs("../all")
    handle = handles.ModelHandle("lm", str(root / "lm"))
    [adapted_handle] = nodes["HiggsLoadLoRA"].execute(handle, "voices/all", 1.0).args
    assert handle.adapters == () and len(adapted_handle.adapters) == 1
    settings = {
        "seed": 3,
        "max_seconds": 0.4,
        "temperature": 1.0,
        "top_k": 50,
        "top_p": 0.95,
        "ras_window": -1,
        "ras_max_repeats": 2,
    }
    try:
        takes = [
            nodes["HiggsGenerate"].execute(one, runtime.conversation("Hello."), **settings).args[0]
            for one in (handle, adapted_handle, handle)
        ]
    finally:
        node_module("host.residency").model_cache().clear()
    plain, other, again = (take.ids for take in takes)
    assert torch.equal(plain, again) and not torch.equal(plain, other)
    with pytest.raises(runtime.SettingError, match="cannot be converted"):
        nodes["HiggsConvertModel"].execute(adapted_handle, "int8", "bfloat16", "")


def test_broken_files_and_other_models_are_named(made, tmp_path):
    model, _, root, _ = made
    folder = shutil.copytree(root / "one", tmp_path / "one")
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    key = next(name for name in tensors if "lora_B" in name)
    save_file({name: tensor for name, tensor in tensors.items() if name != key}, file)
    with pytest.raises(CheckpointError, match="not complete.*'B'"):
        load_adapter(folder)
    save_file({**tensors, "base_model.model.lm_head.weight": torch.zeros(2)}, file)
    with pytest.raises(CheckpointError, match="other than LoRA matrices"):
        load_adapter(folder)
    save_file({**tensors, key: torch.zeros(2)}, file)
    with pytest.raises(CheckpointError, match="other than LoRA matrices"):
        load_adapter(folder)
    save_file(
        {name: tensor[:0] if "lora_A" in name else tensor[:, :0].contiguous() for name, tensor in tensors.items()}, file
    )
    with pytest.raises(CheckpointError, match="cannot be used"):
        load_adapter(folder)
    save_file({name.replace("layers.0", "layers.7"): tensor for name, tensor in tensors.items()}, file)
    with pytest.raises(CheckpointError, match="'one' is of another model"), adapted(model, [(load_adapter(folder), 1)]):
        pass
    save_file(
        {name: tensor[..., :-1].contiguous() if "lora_A" in name else tensor for name, tensor in tensors.items()}, file
    )
    with pytest.raises(CheckpointError, match="expected|another model"), adapted(model, [(load_adapter(folder), 1)]):
        pass
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="safetensors"):
        load_adapter(folder)
    file.unlink()
    with pytest.raises(CheckpointError, match="has no adapter_model.safetensors"):
        load_adapter(folder)

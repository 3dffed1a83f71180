"""The nodes' schemas, and what knows ComfyUI (nodes/host), inside this process with ComfyUI's own modules."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from dataclasses import replace

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_workflow import PACK, ROOT, comfyui_tree, node_classes, node_inputs, node_module, pack_module, widget_names

NODE_IDS = [
    "HiggsLoadModel",
    "HiggsLoadCodec",
    "HiggsLoadAudio",
    "HiggsEncodeAudio",
    "HiggsVoice",
    "HiggsChatMLPrompt",
    "HiggsGenerate",
    "HiggsDecodeCodes",
    "HiggsMixAudio",
    "HiggsJoinAudio",
    "HiggsDuckAudio",
    "HiggsVoiceChain",
    "HiggsTempoPitch",
    "HiggsDownloadModel",
    "HiggsConvertModel",
    "HiggsConvertCodec",
    "HiggsLoadLoRA",
    "HiggsRemoteModel",
    "HiggsPrepareReference",
    "HiggsCombineVoices",
    "HiggsSaveVoice",
    "HiggsLoadVoice",
    "HiggsScript",
    "HiggsLoadSubtitles",
    "HiggsLoadBook",
    "HiggsDirector",
    "HiggsPrepareText",
    "HiggsRenderScript",
    "HiggsRespeak",
    "HiggsAssemble",
    "HiggsVerifyTakes",
    "HiggsReferencesFromFilm",
    "HiggsWordTimes",
    "HiggsCaptions",
    "HiggsEditSpeech",
    "HiggsSpeakOn",
    "HiggsLoudness",
    "HiggsNormalizeLoudness",
    "HiggsAudioPicture",
    "HiggsExportAudio",
]


# --- schemas --------------------------------------------------------------------------------------------------------


def test_the_pack_has_these_nodes():
    assert sorted(name for name in node_classes() if name.startswith("Higgs")) == sorted(NODE_IDS)


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_every_input_and_output_is_explained(node_id):
    schema = node_classes()[node_id].GET_SCHEMA()
    assert schema.category.startswith("Higgs Audio") and schema.description and schema.display_name
    for socket in [*schema.inputs, *schema.outputs]:
        assert len(socket.tooltip or "") > 8, socket.id
    for name, (kind, options) in node_inputs(node_id).items():
        if kind in ("INT", "FLOAT"):
            assert options["min"] <= options["default"] <= options["max"], name


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_help_page_names_every_input_and_output(node_id):
    page = (ROOT / "web" / "docs" / f"{node_id}.md").read_text(encoding="utf-8")
    schema = node_classes()[node_id].GET_SCHEMA()
    for name, (_, options) in node_inputs(node_id).items():
        if not name[-1].isdigit() or name.endswith("_0"):
            assert f"`{name}`" in page
            if isinstance(options.get("default"), (int, float)) and not isinstance(options["default"], bool):
                assert f"| {options['default']} |" in page, name
    for output in schema.outputs:
        assert f"`{output.display_name}`" in page


def test_seed_can_change_after_each_run():
    assert "seed:control_after_generate" in widget_names("HiggsGenerate")


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_few_inputs_are_left_that_are_not_advanced(node_id):
    """Of a growing list those of its first item; more_settings folds others of Mix Audio away."""
    inputs = node_inputs(node_id)
    shown = [name for name in widget_names(node_id) if ":" not in name and name[-1] not in "1234567"]
    advanced = {name for name in shown if inputs[name][1].get("advanced")}
    assert all("default" in inputs[name][1] or inputs[name][0] == "COMBO" for name in advanced)
    assert len(shown) - len(advanced) <= (24 if node_id == "HiggsMixAudio" else 10)


def test_a_newer_comfyui_has_a_flag_of_its_own_for_advanced_inputs():
    schemas = node_module("host.schemas")

    class Input:
        advanced = None

    schemas.mark_advanced(one := Input())
    assert one.advanced is True


def test_a_newer_comfyui_is_told_what_an_older_one_does_not_know(monkeypatch):
    schemas = node_module("host.schemas")
    newer = {"search_aliases": ["tts"], "essentials_category": "Audio", "has_intermediate_output": True}
    monkeypatch.setattr(schemas.io, "Schema", lambda **told: told)
    given = {"search_aliases": ["tts"], "essentials_category": "Audio", "shown_again": True, "node_id": "X"}
    assert schemas.node_schema(**given) == {"node_id": "X"}
    monkeypatch.setattr(schemas, "KNOWN", {"node_id", *newer})
    assert schemas.node_schema(**given) == {"node_id": "X", **newer}


def test_defaults_are_those_of_the_runtime(runtime):
    settings = runtime.Sampling()
    for name in ("temperature", "top_k", "top_p", "ras_window", "ras_max_repeats", "seed"):
        assert node_inputs("HiggsGenerate")[name][1]["default"] == getattr(settings, name)
    assert node_inputs("HiggsChatMLPrompt")["system"][1]["default"] == pack_module("prompt.builder").DEFAULT_SYSTEM


@pytest.mark.slow
def test_importing_the_pack_loads_nothing_heavy():
    program = (
        "import sys, asyncio, importlib.util\n"
        f"sys.path.insert(0, {str(comfyui_tree())!r})\n"
        "from comfy.cli_args import args\nargs.cpu = True\n"
        "import comfy_api.latest, comfy.model_patcher, comfy.utils, folder_paths\n"
        "before = set(sys.modules)\n"
        f"spec = importlib.util.spec_from_file_location('pack', {str(ROOT / '__init__.py')!r},\n"
        f"    submodule_search_locations=[{str(ROOT)!r}])\n"
        "module = sys.modules['pack'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "asyncio.run(module.comfy_entrypoint())\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print('NEW', *sorted(new & {'librosa', 'pydub', 'transformers', 'tokenizers', 'soundfile', 'scipy', 'numba',\n"
        "    'higgs_runtime'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "NEW"


# --- audio ----------------------------------------------------------------------------------------------------------


def test_audio_goes_to_a_clip_and_back():
    audio = {"waveform": torch.randn(1, 2, 100, dtype=torch.float64), "sample_rate": 8000}
    host = node_module("host.audio")
    clip = host.clip_from_audio(audio)
    assert (clip.samples.shape, clip.samples.dtype, clip.sample_rate) == ((2, 100), torch.float32, 8000)
    assert torch.equal(host.audio_from_clip(clip)["waveform"][0], clip.samples)


@pytest.mark.parametrize("shape, words", [((2, 1, 10), "one clip"), ((1, 1, 0), "empty")])
def test_audio_that_is_not_one_clip_is_refused(runtime, shape, words):
    with pytest.raises(runtime.AudioError, match=words):
        node_module("host.audio").clip_from_audio({"waveform": torch.zeros(shape), "sample_rate": 8000})


def test_gap_in_a_growing_list_is_refused(runtime):
    growing = node_module("shared.growing_inputs")
    assert growing.without_gaps({"voice_0": "a", "voice_1": "b", "voice_2": None}, "voice_") == ["a", "b"]
    with pytest.raises(runtime.SettingError, match="voice_1"):
        growing.without_gaps({"voice_0": "a", "voice_2": "c"}, "voice_")


# --- devices and memory ---------------------------------------------------------------------------------------------


def test_gpu_is_refused_where_there_is_none(handles, runtime):
    assert handles.pick_device("auto") == handles.pick_device("cpu") == torch.device("cpu")
    with pytest.raises(runtime.SettingError, match="no GPU"):
        handles.pick_device("gpu")


def test_dtype_on_the_cpu(handles, tmp_path):
    """auto: bfloat16 where the checkpoint has it, else float32; codecs always float32."""
    cpu, stored = torch.device("cpu"), {}
    for dtype in ("float32", "float16", "bfloat16"):
        stored[dtype] = make_lm_checkpoint(tmp_path / dtype, dtype=dtype, num_hidden_layers=1)
        picked = handles.pick_dtype(handles.ModelHandle("lm", str(stored[dtype])), cpu)
        assert picked is (torch.bfloat16 if dtype == "bfloat16" else torch.float32)
        chosen = handles.ModelHandle("lm", str(stored[dtype]), dtype="float16")
        assert handles.pick_dtype(chosen, cpu) is torch.float16
    assert handles.pick_dtype(handles.ModelHandle("codec", str(stored["bfloat16"])), cpu) is torch.float32
    assert handles.pick_dtype(handles.ModelHandle("lm", str(tmp_path / "nothing")), cpu) is torch.float32


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(16, 16, bias=False) for _ in range(4))


LAYER_BYTES = 16 * 16 * 4


@pytest.fixture
def opened(handles, monkeypatch, tmp_path):
    """Opens a stand-in model through its handle; its loads are counted, and where its weights are is looked at."""
    (tmp_path / "model.safetensors").write_bytes(b"")
    loads = []

    def load(handle, device, dtype):
        loads.append(handle)
        return Model()

    monkeypatch.setattr(handles, "_load", load)
    handle = handles.ModelHandle("lm", str(tmp_path))

    def open_once(device="auto", work_bytes=None):
        with handles.open_model(replace(handle, device=device), work_bytes) as model:
            open_once.places = {parameter.device.type for parameter in model.parameters()}
            return weakref.ref(model)

    open_once.loads = loads
    yield open_once
    node_module("host.residency").model_cache().clear()


def test_model_is_shared_and_known_to_comfyui(opened):
    import comfy.model_management as management

    first, second = opened(), opened()
    assert first() is second() is not None and len(opened.loads) == 1
    sizes = [patcher.model_size() for patcher in management.loaded_models()]
    assert sizes.count(4 * LAYER_BYTES) == 1


def test_unload_models_frees_the_weights_at_once(opened):
    import comfy.model_management as management

    models = [opened(), opened()]
    gc.disable()  # freed by reference count, not by a later collection
    try:
        management.unload_all_models()
        assert [model() for model in models] == [None, None]
    finally:
        gc.enable()
    assert not [loaded for loaded in management.current_loaded_models if loaded.model is None]
    assert opened()() is not None and len(opened.loads) == 2


def test_unload_models_waits_for_a_model_in_use(handles, opened, tmp_path):
    import comfy.model_management as management

    with handles.open_model(handles.ModelHandle("lm", str(tmp_path))) as model:
        management.unload_all_models()
        assert model.layers[0].weight.sum().isfinite()
        seen = weakref.ref(model)
        del model
        assert seen() is not None
    assert seen() is None


def test_dropping_from_our_cache_leaves_nothing_with_comfyui(opened):
    import comfy.model_management as management

    opened()
    node_module("host.residency").model_cache().clear()
    management.cleanup_models()
    assert all(patcher is None or patcher.model_size() == 0 for patcher in management.loaded_models())
    assert opened()() is not None


@pytest.fixture
def gpu(handles, monkeypatch):
    """A ComfyUI on a GPU of 24 GB, the meta device in its place; yields its free bytes, to be changed."""
    import comfy.model_management as management

    free = [20e9]
    monkeypatch.setattr(management, "get_torch_device", lambda: torch.device("meta"))
    monkeypatch.setattr(management, "get_total_memory", lambda device=None: 24e9 if device.type == "meta" else 64e9)
    monkeypatch.setattr(management, "should_use_bf16", lambda device: True)
    monkeypatch.setattr(
        management,
        "get_free_memory",
        lambda device=None, torch_free_too=False: (free[0], free[0]) if torch_free_too else free[0],
    )
    yield free
    node_module("host.residency").model_cache().clear()


def registered():
    """The patchers of our models that ComfyUI holds, those not counted whose weights are gone."""
    import comfy.model_management as management

    return [one for one in management.loaded_models() if one is not None and one.model.weights is not None]


def test_a_model_on_the_cpu_asks_for_no_pinned_memory_of_the_gpu(gpu, opened, monkeypatch):
    """ComfyUI 0.33 adds up the sizes of what it loads, and pushes others' pinned memory out for so much."""
    import comfy.model_management as management

    load, asked = management.load_models_gpu, []

    def watched(models, *args, **more):
        asked.extend(management.LoadedModel(one).model_memory() for one in models)
        return load(models, *args, **more)

    monkeypatch.setattr(management, "load_models_gpu", watched)
    opened("cpu")
    assert asked == [0]
    [patcher] = registered()
    assert patcher.loaded_size() > 1e20, "and others take none of it"


def test_gpu_keeps_the_model_from_use_to_use(gpu, opened):
    models = [opened() for _ in range(6)]
    assert len(opened.loads) == 1 and opened.places == {"meta"}
    assert len({id(model()) for model in models}) == 1
    assert len(registered()) == 1


@pytest.mark.parametrize("demand", ["unload all", "a little", "smart memory off"])
def test_gpu_gives_the_model_up_when_comfyui_wants_the_memory(gpu, opened, monkeypatch, demand):
    import comfy.model_management as management

    opened(), opened()
    gpu[0] = 2e9
    monkeypatch.setattr(management, "DISABLE_SMART_MEMORY", demand == "smart memory off")
    if demand == "unload all":
        management.unload_all_models()
    else:
        management.free_memory(gpu[0] + 100, torch.device("meta"))
    assert registered() == []
    opened()
    assert len(opened.loads) == 2


def test_gpu_model_in_use_survives_a_deleted_patcher(gpu, opened):
    opened()
    [patcher] = node_module("host.residency").model_cache().residency._patchers.values()
    patcher.__del__()
    opened()
    assert len(opened.loads) == 1


def test_gpu_too_small_for_the_weights_leaves_nothing_behind(gpu, opened, monkeypatch):
    offload = sys.modules[f"{PACK}.higgs_runtime.model.offload"]
    moved = []

    def full(original, new):
        moved.append(new)
        if len(moved) == 3:
            raise torch.OutOfMemoryError("the GPU is full")
        return like(original, new)

    like = offload._like
    monkeypatch.setattr(offload, "_like", full)
    with pytest.raises(torch.OutOfMemoryError):
        opened()
    cache = node_module("host.residency").model_cache()
    assert cache.stats().models == () and not cache.residency._patchers
    assert registered() == []
    opened()  # there is room now
    assert len(opened.loads) == 2 and opened.places == {"meta"}


def test_gpu_room_for_work_is_asked_for(gpu, opened, monkeypatch):
    import comfy.model_management as management

    asked = []
    monkeypatch.setattr(management, "free_memory", lambda size, device, *_: asked.append(size) or [])
    opened(work_bytes=lambda model: 3_000_000_000 + len(model.layers))
    assert max(asked) >= 3_000_000_004 + management.extra_reserved_memory()
    asked.clear()
    opened()
    assert max(asked) < 3_000_000_000


def test_model_in_ordinary_memory_stays_when_another_node_wants_the_gpu(gpu, opened):
    import comfy.model_management as management

    opened("cpu"), opened("gpu")
    assert len(opened.loads) == 2
    gpu[0] = 2e9
    management.free_memory(23e9, torch.device("meta"))
    assert len(registered()) == 1, "the one on the GPU is gone"
    opened("cpu")
    assert len(opened.loads) == 2 and opened.places == {"cpu"}
    management.unload_all_models()
    assert registered() == []
    opened("cpu")
    assert len(opened.loads) == 3


def test_budget_is_a_share_of_each_devices_memory(gpu, monkeypatch):
    residency = node_module("host.residency")
    for name in ("residency", "budget_bytes"):
        monkeypatch.setattr(residency.shared_cache(), name, None)  # as before the first use
    assert residency.model_cache().budget_bytes == {"meta": int(0.8 * 24e9), "cpu": int(0.8 * 64e9)}


def test_cancel_acts_before_a_model_is_loaded_and_after(handles, opened, monkeypatch):
    import comfy.model_management as management

    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        opened()
    assert opened.loads == []

    def load(handle, device, dtype):
        management.interrupt_current_processing()
        return Model()

    monkeypatch.setattr(handles, "_load", load)
    with pytest.raises(management.InterruptProcessingException):
        opened()
    assert opened() is not None, "the model is loaded, and free to be used"


@pytest.fixture
def gpu_patcher(handles):
    """A patcher for a GPU, the meta device in its place."""
    key = handles.ModelKey("lm", "model", (), "meta", "torch.float32")
    model, dropped = Model(), []
    patcher = node_module("host.residency")._Patcher(key, model, lambda: dropped.append(key))
    patcher.dropped = dropped
    yield patcher, model
    patcher.let_go()


def test_gpu_takes_the_whole_model_where_it_fits(gpu_patcher):
    patcher, model = gpu_patcher
    assert patcher.loaded_size() == 0
    assert patcher.partially_load(torch.device("meta"), 1e32) == 4 * LAYER_BYTES == patcher.loaded_size()
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert patcher.partially_load(torch.device("meta"), 1e32) == 0


def test_small_gpu_takes_some_layers_and_later_more(gpu_patcher):
    patcher, model = gpu_patcher
    gained = [patcher.partially_load(torch.device("meta"), extra) for extra in (2.5 * LAYER_BYTES, -1, LAYER_BYTES)]
    assert gained == [2 * LAYER_BYTES, 0, LAYER_BYTES]
    assert [layer.weight.device.type for layer in model.layers] == ["meta", "meta", "meta", "cpu"]
    assert [bool(layer._forward_pre_hooks) for layer in model.layers] == [False, False, False, True]


def test_layers_that_do_not_fit_are_noted(handles, gpu_patcher, monkeypatch):
    patcher, model = gpu_patcher
    monkeypatch.setitem(node_module("host.residency").model_cache().residency._patchers, "this one", patcher)
    assert handles.offload_notes(model) == (), "it is not there yet"
    patcher.partially_load(torch.device("meta"), 1.5 * LAYER_BYTES)
    [note] = handles.offload_notes(model)
    assert note.startswith("3 of 4 layers have no room on the GPU") and "slower" in note
    patcher.partially_load(torch.device("meta"), 1e32)
    assert handles.offload_notes(model) == () == handles.offload_notes(Model())


def test_comfyui_taking_the_memory_back_drops_the_model(gpu_patcher):
    patcher, _ = gpu_patcher
    assert patcher.partially_unload(torch.device("cpu"), 1) == 0
    patcher.detach()
    assert len(patcher.dropped) == 1
    patcher.let_go()
    patcher.detach()
    assert len(patcher.dropped) == 1 and patcher.loaded_size() == 0

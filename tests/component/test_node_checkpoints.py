"""The loaders' choice "auto", and what nodes show to the person, in this process with ComfyUI's own modules."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from types import SimpleNamespace

import helpers_gguf as forms
import pytest
import torch
from helpers_checkpoint import add_to_config, make_folder, make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from helpers_v3 import make_v3_checkpoint
from helpers_workflow import PACK, node_classes, node_inputs, node_module

CODEC_TYPE = "higgs_audio_v2_tokenizer"
LOADERS = {"lm": "HiggsLoadModel", "codec": "HiggsLoadCodec"}


@pytest.fixture
def models(runtime, monkeypatch, tmp_path):
    """ComfyUI's only folder of Higgs models, empty, and a pack with a pair of its own."""
    import folder_paths

    node_classes()
    pack = tmp_path / "pack"
    add_to_config(make_folder(pack / "higgs-nano"), display_name="Higgs Nano", vocabulary=["hello", "words"])
    make_folder(pack / "higgs-nano-codec", CODEC_TYPE, ["model.safetensors"])
    monkeypatch.setattr(sys.modules[f"{PACK}.higgs_runtime.hub.catalog"], "EMBEDDED", pack)
    (tmp_path / "models").mkdir()
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "higgs_audio", ([str(tmp_path / "models")], set()))
    return tmp_path / "models"


@pytest.fixture
def shown(monkeypatch):
    """(node, text) as the editor shows them; nodes run as number 7."""
    node_classes()
    from comfy_execution.utils import CurrentNodeContext

    sent = []
    server = SimpleNamespace(
        client_id="page", send_sync=lambda event, data, client: sent.append((data["node"], data["text"]))
    )
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=server)))
    monkeypatch.setattr(node_module("host.messages"), "_showing", set())
    with CurrentNodeContext("prompt", "7"):
        yield sent


def install(models) -> None:
    make_folder(models / "released")
    make_folder(models / "released-codec", CODEC_TYPE, ["model.safetensors"])


def load(kind: str, choice: str = "auto") -> str:
    """The name of the folder whose handle the loader gives."""
    [handle] = node_classes()[LOADERS[kind]].execute(choice, "auto", "auto").args
    assert handle.kind == kind
    return os.path.basename(handle.path)


def checkpoints():
    return node_module("shared.checkpoints")


# --- auto -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOADERS)
def test_auto_is_the_first_option_and_the_default(kind):
    _, options = node_inputs(LOADERS[kind])["checkpoint"]
    assert options["options"][0] == options["default"] == "auto"
    assert "auto: the first complete one" in options["tooltip"]
    assert ("speaks only those words" in options["tooltip"]) == (kind == "lm")


def test_the_packs_pair_stands_among_the_choices(models):
    install(models)
    assert checkpoints().checkpoint_choices("lm") == ["auto", "higgs-nano", "released"]
    assert checkpoints().checkpoint_choices("codec") == ["auto", "higgs-nano-codec", "released-codec"]


def test_folders_of_extra_model_paths_are_looked_at(models, tmp_path):
    make_folder(tmp_path / "elsewhere" / "speech" / "there")
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(f"mine:\n  base_path: {tmp_path / 'elsewhere'}\n  higgs_audio: speech\n")
    from utils.extra_config import load_extra_path_config

    load_extra_path_config(str(file))
    assert checkpoints().checkpoint_choices("lm") == ["auto", "higgs-nano", "there"]
    assert load("lm", "there") == "there"


def test_each_choice_has_its_note(models):
    assert list(checkpoints().checkpoint_notes("lm")) == ["auto", "higgs-nano"]
    install(models)
    make_folder(models / "half", files=[])
    notes = checkpoints().checkpoint_notes("lm")
    assert set(notes) == set(checkpoints().checkpoint_choices("lm"))
    assert notes["auto"].startswith("now released · v2, transformers-native")
    assert notes["half (missing: model.safetensors, tokenizer.json)"].startswith("v2, transformers-native · 0.0 MB")
    assert "now released-codec" in checkpoints().checkpoint_notes("codec")["auto"]


def test_a_note_tells_the_size_once_loaded_as_the_node_is_set(models, tmp_path, shown):
    make_v3_checkpoint(models / "v3", num_hidden_layers=1)
    notes = {
        name: checkpoints().checkpoint_notes("lm", how)["v3"]
        for name, how in {
            "auto": {},
            "float32": {"device": "cpu", "dtype": "float32", "quantization": "off"},
            "int8": {"device": "auto", "dtype": "auto", "quantization": "int8"},
            "none of them": {"device": "gpu2", "dtype": "int3", "quantization": "<b>"},
            "no gpu": {"device": "gpu"},
        }.items()
    }
    sizes = {name: note.partition("→ RAM ")[2].partition(" · ")[0] for name, note in notes.items()}
    assert sizes["auto"] == sizes["float32"] == sizes["none of them"] and sizes["auto"].endswith(" MB float32")
    assert sizes["int8"].endswith(" MB int8") and sizes["int8"] != sizes["auto"] and not sizes["no gpu"]
    node_classes()["HiggsLoadModel"].execute("v3", "auto", "auto", "int8")
    assert shown[-1][1].startswith(f"→ RAM {sizes['int8']}\n")


def test_auto_takes_the_released_pair_once_it_is_whole(models):
    assert (load("lm"), load("codec")) == ("higgs-nano", "higgs-nano-codec")
    make_folder(models / "released")
    assert (load("lm"), load("codec")) == ("higgs-nano", "higgs-nano-codec")
    make_folder(models / "released-codec", CODEC_TYPE, ["model.safetensors"])
    assert (load("lm"), load("codec")) == ("released", "released-codec")
    assert (load("lm", "higgs-nano"), load("codec", "higgs-nano-codec")) == ("higgs-nano", "higgs-nano-codec")


@pytest.mark.parametrize("kind", LOADERS)
def test_auto_and_names_pass_when_they_are_queued(models, kind):
    loader, suffix = node_classes()[LOADERS[kind]], "-codec" if kind == "codec" else ""
    install(models)
    for choice in ("auto", f"released{suffix}", f"higgs-nano{suffix}"):
        assert loader.validate_inputs(choice) is True
    assert "There is no Higgs" in loader.validate_inputs("unheard-of")


def test_auto_without_any_model_says_what_to_do(models, monkeypatch):
    monkeypatch.setattr(sys.modules[f"{PACK}.higgs_runtime.hub.catalog"], "EMBEDDED", models / "absent")
    assert checkpoints().checkpoint_notes("lm") == {"auto": "No language model and codec were found."}
    said = node_classes()["HiggsLoadModel"].validate_inputs("auto")
    assert "No language model and codec were found." in said and "Put the folders of both" in said


@pytest.mark.parametrize("kind", LOADERS)
def test_auto_runs_again_when_it_means_another_checkpoint(models, kind):
    def fingerprint():
        return node_classes()[LOADERS[kind]].fingerprint_inputs("auto", device="auto", dtype="auto")

    prints = [fingerprint(), fingerprint()]
    install(models)
    prints.append(fingerprint())
    (models / "released-codec" / "model.safetensors").write_text("changed")
    (models / "released" / "model.safetensors").write_text("changed")
    prints.append(fingerprint())
    (models / "released" / "model.safetensors").unlink()  # the pack's pair again
    prints.append(fingerprint())
    assert prints[0] == prints[1] == prints[4] and len(set(prints)) == 3


def test_a_checkpoint_of_equal_files_is_another_one(models, tmp_path):
    install(models)
    before = node_classes()["HiggsLoadModel"].fingerprint_inputs("auto")
    shutil.move(models / "released", models / "elsewhere")  # the same files with the same times
    assert node_classes()["HiggsLoadModel"].fingerprint_inputs("auto") != before


def test_the_quantization_that_is_chosen_is_that_of_the_model(runtime, tmp_path):
    folder = make_lm_checkpoint(tmp_path / "models" / "small", num_hidden_layers=1)
    handles, chosen = node_module("host.handles"), {}
    try:
        for quantization in (None, "int8", "int4"):
            handle = handles.ModelHandle("lm", str(folder), quantization=quantization)
            with handles.open_model(handle) as model:
                chosen[quantization] = model.layers[0].attention.o.weight.dtype
    finally:
        node_module("host.residency").model_cache().clear()
    assert chosen == {None: torch.float32, "int8": torch.int8, "int4": torch.uint8}


@pytest.mark.parametrize("choice, meant", [("off", None), ("int8", "int8"), ("int4", "int4"), ("fp8", "fp8")])
def test_the_loader_names_the_quantization(models, choice, meant):
    [handle] = node_classes()["HiggsLoadModel"].execute("auto", "auto", "auto", choice).args
    assert handle.quantization == meant
    assert choice in node_inputs("HiggsLoadModel")["quantization"][1]["options"]


def test_a_model_is_converted_into_the_models_folder(runtime, models, shown, tmp_path):
    node = node_classes()["HiggsConvertModel"]
    folder = make_lm_checkpoint(tmp_path / "source" / "small", num_hidden_layers=1)
    handle = node_module("host.handles").ModelHandle("lm", str(folder))
    [report] = node.execute(handle, "int8", "bfloat16", "").args
    assert report.startswith("small-int8: 18.8 MB instead of 37.5 MB") and shown[-1][1] == report
    assert runtime.load_model(models / "small-int8").layers[0].attention.o.weight.dtype == torch.int8
    assert "small-int8" in checkpoints().checkpoint_choices("lm")
    with pytest.raises(Exception, match="exists"):
        node.execute(handle, "int8", "bfloat16", "")
    assert node.validate_inputs("my.model-1") is True
    for name in ("../up", "a/b", ".hidden", "C:x"):
        assert "no name for a folder" in node.validate_inputs(name)


def test_a_gguf_appears_when_it_is_dropped_into_the_folder(models, tmp_path):
    """The page asks for the choices anew at R."""
    before = checkpoints().checkpoint_choices("lm")
    source = make_v3_checkpoint(tmp_path / "v3", num_hidden_layers=1)
    file = forms.studio(source, models / "studio" / "q8_0.gguf", forms.matrices(forms.Kind.Q8_0))
    assert set(checkpoints().checkpoint_choices("lm")) - set(before) == {"studio/q8_0.gguf"}
    assert "studio/q8_0.gguf" in node_inputs("HiggsLoadModel")["checkpoint"][1]["options"]
    note = checkpoints().checkpoint_notes("lm")["studio/q8_0.gguf"]
    assert "GGUF of Higgs-Audio-v3-Studio" in note and "non-commercial" in note
    assert load("lm", "studio/q8_0.gguf") == "q8_0.gguf"
    printed = checkpoints().choice_fingerprint("lm", "studio/q8_0.gguf")
    os.utime(file, ns=(1, 1))
    assert checkpoints().choice_fingerprint("lm", "studio/q8_0.gguf") != printed
    (models / "other.gguf").write_bytes(forms.write(tmp_path / "x.gguf", "llama", {}, lambda writer: None).read_bytes())
    refused = "other.gguf (not supported: a GGUF of another kind)"
    assert refused in checkpoints().checkpoint_choices("lm")
    assert "in a form that is not supported" in checkpoints().explain_choice("lm", refused)


def test_a_codec_is_converted_into_the_models_folder(runtime, models, shown, tmp_path):
    node, folder = node_classes()["HiggsConvertCodec"], make_codec_checkpoint(tmp_path / "source" / "codec")
    handle = node_module("host.handles").ModelHandle("codec", str(folder))
    [report] = node.execute(handle, "float16", "").args
    assert report.startswith("codec-float16: 1.0 MB instead of 2.1 MB") and shown[-1][1] == report
    assert "codec-float16" in checkpoints().checkpoint_choices("codec")
    with pytest.raises(Exception, match="exists"):
        node.execute(handle, "float16", "")
    assert "no name for a folder" in node.validate_inputs("../up")


@pytest.mark.parametrize(
    "node_id, kind, values",
    [
        ("HiggsConvertModel", "lm", ("int8", "bfloat16")),
        ("HiggsConvertCodec", "codec", ("float16",)),
    ],
)
def test_a_name_that_another_node_gives_is_checked_when_it_comes(models, tmp_path, node_id, kind, values):
    node, handle = node_classes()[node_id], node_module("host.handles").ModelHandle(kind, str(tmp_path / "x"))
    assert node.validate_inputs(None) is True  # so ComfyUI asks for a linked one
    for name in ("../up", "a/b", ".hidden", str(tmp_path / "there")):
        with pytest.raises(Exception, match="cannot be called that"):
            node.execute(handle, *values, name)
    assert not list(models.iterdir()) and not (tmp_path / "up").exists()


def test_cancel_ends_a_conversion_and_leaves_nothing(models, tmp_path):
    import comfy.model_management as management

    folder = make_lm_checkpoint(tmp_path / "source" / "small", num_hidden_layers=1)
    handle = node_module("host.handles").ModelHandle("lm", str(folder))
    values, hook = [], comfy_hook()

    def bar(value, total, *_, **__):
        values.append(value)
        if value > 300:
            management.interrupt_current_processing()
        management.throw_exception_if_processing_interrupted()  # as ComfyUI's own hook does

    hook(bar)
    try:
        with pytest.raises(management.InterruptProcessingException):
            node_classes()["HiggsConvertModel"].execute(handle, "int8", "bfloat16", "")
    finally:
        hook(None)
    assert values[-1] > 300 and not list(models.iterdir())


def comfy_hook():
    """Sets what ComfyUI calls at each step of a progress bar."""
    import comfy.utils

    return comfy.utils.set_progress_bar_global_hook


# --- what is shown --------------------------------------------------------------------------------------------------


def test_loaders_show_what_auto_means_and_a_small_vocabulary(models, shown, caplog):
    caplog.set_level(logging.INFO)
    install(models)
    for kind, choice in [("lm", "auto"), ("codec", "auto"), ("lm", "higgs-nano"), ("lm", "released")]:
        load(kind, choice)
    limited = "Higgs Nano (2 words); it speaks only these."
    assert shown == [("7", "auto: released"), ("7", "auto: released-codec"), ("7", limited), ("7", "")]
    assert "Higgs Audio: auto: released" in caplog.messages and f"Higgs Audio: {limited}" in caplog.messages
    load("lm", "released")
    assert len(shown) == 4, "nothing is taken back twice"
    shutil.rmtree(models / "released")
    load("lm")
    assert shown[-1] == ("7", f"auto: {limited}")


def test_the_licence_of_v3_is_shown_where_it_is_chosen(models, shown):
    make_folder(models / "higgs-v3", "higgs_multimodal_qwen3")
    load("lm", "higgs-v3")
    [(_, text)] = shown
    assert (
        "Non-Commercial License" in text and "Creator Use Grant" in text and "credit to Boson AI's Higgs Audio" in text
    )
    load("lm")
    assert shown[-1][1].startswith("auto: higgs-v3\nBoson Higgs Audio v3 Research")
    load("codec")
    assert shown[-1][1].startswith("auto: higgs-v3")


def test_generate_shows_and_reports_its_warnings(runtime, shown, tmp_path, caplog, monkeypatch):
    folder = make_lm_checkpoint(tmp_path / "higgs-nano", num_hidden_layers=1, stream_end=0)
    add_to_config(folder, display_name="Higgs Nano", vocabulary=["hello", "words"])
    handle = node_module("host.handles").ModelHandle("lm", str(folder))

    def report(text):
        settings = {"temperature": 0.3, "top_k": 50, "top_p": 0.95, "ras_window": 7, "ras_max_repeats": 2}
        prompt = runtime.conversation(text)
        return node_classes()["HiggsGenerate"].execute(handle, prompt, seed=0, max_seconds=0.12, **settings).args[1]

    warning = (
        "Higgs Nano does not know: lighthouse, zebra; it knows 2 words, listed by `higgs models higgs-nano --words`."
    )
    try:
        assert f"Note: {warning}" in report("Hello, lighthouse. Zebra!").splitlines()
        assert shown == [("7", warning)]
        logged = [one for one in caplog.records if "Steps on the CPU" not in one.message]  # said once in a process
        assert [(one.levelno, one.message) for one in logged] == [(logging.WARNING, f"Higgs Audio: {warning}")]
        assert "know" not in report("Hello.")
        assert shown[1:] == [("7", "")]
        [patcher] = node_module("host.residency").model_cache().residency._patchers.values()
        monkeypatch.setattr(type(patcher), "streamed", 1)  # as on a GPU that is too small
        assert "Note: 1 of 1 layers have no room on the GPU" in report("Hello.")
    finally:
        node_module("host.residency").model_cache().clear()

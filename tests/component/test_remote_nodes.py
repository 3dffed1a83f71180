"""Higgs Remote Model before Higgs Generate: codes from a server, keys from the environment, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from helpers_codec import sound_clip
from helpers_remote import KEY, Stub
from helpers_serve import load_pair, make_pair, serving, spoken_alone
from helpers_workflow import node_classes, node_module, pack_module

TEXT = "Good morning to you."
SETTINGS = {
    "seed": 5,
    "max_seconds": 0.8,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 0.95,
    "ras_window": -1,
    "ras_max_repeats": 2,
}
INPUTS = {"server": "higgs serve", "url": "", "model": "", "voice": "", "key_variable": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    make_pair(folder)
    return folder


def remote(**inputs):
    [handle] = node_classes()["HiggsRemoteModel"].execute(**{**INPUTS, **inputs}).args
    return handle


def generate(handle, messages):
    return node_classes()["HiggsGenerate"].execute(handle, messages, **SETTINGS).args


@pytest.mark.slow
def test_generate_gives_the_same_codes_from_higgs_serve(folder, runtime):
    pair = load_pair(folder)
    take = spoken_alone(pair[0], TEXT, seed=5, temperature=1.0, max_frames=20)
    with serving(pair) as server:
        codes, report = generate(remote(url=server.url + "/v1"), runtime.conversation(TEXT))
    assert torch.equal(codes.ids, take.codes.ids) and isinstance(codes, runtime.Codes)
    assert "0.80 s of audio from higgs serve at http://127.0.0.1" in report and "finish reason: length" in report


def test_sound_from_a_server_is_encoded_here(folder, handles, runtime):
    """Also a reference, which comes as codes and leaves as sound."""
    codec = runtime.load_codec(folder / "codec")
    handle = handles.ModelHandle("codec", str(folder / "codec"))
    voice = runtime.Voice(codec.encode(runtime.AudioClip(sound_clip(1.0).samples, 24_000)), "Words.")
    with Stub("SGLang-Omni") as stub:
        asked = remote(server="SGLang-Omni", url=stub.url, codec=handle)
        codes, report = generate(asked, runtime.conversation(TEXT, [voice]))
        sound = torch.frombuffer(bytearray(stub.sound), dtype=torch.int16)[None].float() / 32767
    assert torch.equal(codes.ids, codec.encode(runtime.AudioClip(sound, 24_000)).ids) and codes.codec == codec.signature
    assert len(stub.bodies[0]["references"]) == 1 and "encoded here" in report


def test_without_a_codec_it_says_why_not(runtime):
    with Stub("Boson AI") as stub, pytest.raises(runtime.SettingError, match="codec input of Higgs Remote Model"):
        generate(remote(server="Boson AI", url=stub.url), runtime.conversation(TEXT))
    assert stub.bodies == []


def test_the_key_comes_from_the_environment_and_goes_where_the_environment_says(folder, handles, runtime, monkeypatch):
    codec = handles.ModelHandle("codec", str(folder / "codec"))
    for name, value in (("BOSON_API_KEY", KEY), ("OTHER_KEY", "another")):
        monkeypatch.setenv(name, value)

    def ask(**more):
        return generate(remote(server="Boson AI", url=stub.url, codec=codec, **more), runtime.conversation(TEXT))

    with Stub("Boson AI") as stub:
        with pytest.raises(pack_module("errors").RemoteError, match="refused: key"):
            ask()
        for variable in ("BOSON_API_KEY", "OTHER_KEY"):
            with pytest.raises(runtime.SettingError, match="HIGGS_REMOTE_"):
                ask(key_variable=variable)
        assert ["authorization" in headers for headers in stub.headers] == [False]
        monkeypatch.setenv("HIGGS_REMOTE_URLS", stub.url)
        monkeypatch.setenv("HIGGS_REMOTE_KEYS", "OTHER_KEY,UNSET_KEY")
        ask()
        with pytest.raises(pack_module("errors").RemoteError, match="refused: key"):
            ask(key_variable="OTHER_KEY")
        assert [headers["authorization"] for headers in stub.headers[1:]] == [f"Bearer {KEY}", "Bearer another"]
        with pytest.raises(runtime.SettingError, match="UNSET_KEY is not set"):
            ask(key_variable="UNSET_KEY")
        assert len(stub.headers) == 3
    assert KEY not in repr(remote(server="Boson AI"))


def test_an_address_that_may_not_be_is_refused_before_it_runs(runtime, monkeypatch):
    node, away = node_classes()["HiggsRemoteModel"], "http://203.0.113.5:8000/v1"
    assert node.validate_inputs("higgs serve", "", "") is True
    assert node.validate_inputs() is node.validate_inputs("higgs serve", None, "ANY") is True, "from other nodes"
    assert "no address" in node.validate_inputs("higgs serve", "http://me:secret@host/v1")
    assert "no server of the kind" in node.validate_inputs("another", "")
    with pytest.raises(runtime.SettingError, match="no server of this kind.*vLLM-Omni.*got 'another'"):
        remote(server="another")  # linked from another node
    assert "HIGGS_REMOTE_URLS" in node.validate_inputs("higgs serve", away, "")
    assert "HIGGS_REMOTE_KEYS" in node.validate_inputs("higgs serve", "", "PATH")
    for inputs in ({"url": away}, {"key_variable": "PATH"}):
        with pytest.raises(runtime.SettingError, match="HIGGS_REMOTE_"):
            remote(**inputs)
    handle = remote()
    monkeypatch.setattr(pack_module("remote.client"), "Remote", None)  # nobody is asked
    with pytest.raises(runtime.SettingError, match="HIGGS_REMOTE_URLS"):
        generate(replace(handle, path=away), runtime.conversation(TEXT))


def test_cancel_leaves_the_server(folder, handles, runtime, monkeypatch):
    class Interrupted(BaseException):
        pass

    import comfy.model_management as management

    def interrupt():
        if management.processing_interrupted():
            raise Interrupted

    with Stub("SGLang-Omni") as stub:
        stub.pieces, stub.pause_s = 100, 0.05
        monkeypatch.setattr(management, "processing_interrupted", lambda: len(stub.bodies) > 0)
        monkeypatch.setattr(management, "throw_exception_if_processing_interrupted", interrupt)
        codec = handles.ModelHandle("codec", str(folder / "codec"))
        with pytest.raises(Interrupted):
            generate(remote(server="SGLang-Omni", url=stub.url, codec=codec), runtime.conversation(TEXT))
        assert stub.left.wait(20)


def test_nodes_that_need_a_model_here_say_so(handles, runtime, tmp_path):
    handle = remote()
    with pytest.raises(runtime.SettingError, match="model on this computer"), handles.open_model(handle):
        pass
    with pytest.raises(runtime.SettingError, match="model on this computer"):
        handles.identity_of(handle)  # Render Script asks first for it
    with pytest.raises(runtime.SettingError, match="model on this computer"):
        node_classes()["HiggsConvertModel"].execute(handle, "int8", "bfloat16", "")
    with pytest.raises(runtime.SettingError, match="model on this computer"):
        node_classes()["HiggsLoadLoRA"].execute(handle, "any", 1.0)


def test_the_origin_of_a_sound_names_the_server():
    node_classes()
    origin = node_module("shared.origin").origin
    prompt = {
        "1": {"class_type": "HiggsRemoteModel", "inputs": {**INPUTS, "server": "Boson AI"}},
        "2": {"class_type": "HiggsGenerate", "inputs": {"model": ["1", 0]}},
    }
    credit = "Made with Boson AI's Higgs Audio"
    assert origin(json.loads(json.dumps(prompt)), "2") == ("Boson AI", "", "", credit, "")

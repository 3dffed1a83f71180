"""The pack in a real ComfyUI, over HTTP and websocket."""

from __future__ import annotations

import copy
import re
import time

import pytest
import requests
import soundfile
import torch
from helpers_server import PACK_FOLDER, Refused
from helpers_workflow import read_workflow

from higgs_runtime import AudioClip, load_model
from higgs_runtime.hub.cache import model_bytes
from higgs_runtime.hub.catalog import embedded_clips

SECONDS = 1.0
WORKFLOWS = ["clone_voice", "codec_round_trip", "text_to_speech", "two_voice_dialogue"]
SCRIPTS = [  # see test_render_script
    "audiobook",
    "directed_book",
    "dub_a_film",
    "edit_speech",
    "five_voice_scene",
    "respeak",
    "retake_line",
    "speak_on",
    "srt_dubbing",
]
CANCEL_LIMIT_S = 1.0


def workflow(name: str, **changes) -> dict:
    """An example in API format; changes go to every node that has an input of that name."""
    prompt = copy.deepcopy(read_workflow(name, api=True))
    for node in prompt.values():
        settings = {"max_seconds": SECONDS, "transcript": "What the clip says.", **changes}
        node["inputs"] |= {key: value for key, value in settings.items() if key in node["inputs"]}
    return prompt


def set_input(prompt: dict, class_type: str, **values) -> dict:
    for node in prompt.values():
        if node["class_type"] == class_type:
            node["inputs"].update(values)
    return prompt


def node_ids(prompt: dict, class_type: str) -> list[str]:
    return [key for key, node in prompt.items() if node["class_type"] == class_type]


def saved_audio(client, run, prompt, folder):
    [node] = node_ids(prompt, "HiggsExportAudio")
    [file] = run.outputs[node]["audio"]
    return soundfile.read(client.download(file, folder), always_2d=True)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_runs_to_a_playable_file(client, tmp_path, name):
    prompt = workflow(name, seed=7)
    run = client.run(prompt)
    assert run.error is None, run.error["exception_message"]
    samples, rate = saved_audio(client, run, prompt, tmp_path)
    # the bed is longer than so short a dialogue
    lasting = {"codec_round_trip": "rose", "two_voice_dialogue": "bed"}.get(name)
    seconds = AudioClip.load(embedded_clips()[lasting]).seconds if lasting else SECONDS
    assert (rate, samples.shape[1]) == (24_000, 1)
    assert len(samples) / rate == pytest.approx(seconds, abs=0.041)  # a frame is 40 ms
    assert samples.std() > 1e-4


def test_the_workflow_with_tags_speaks_with_v3_and_refuses_wrong_ones(client, tmp_path):
    prompt = set_input(workflow("tags_v3", seed=7), "HiggsLoadModel", checkpoint="higgs-audio-v3-tts-4b")
    set_input(prompt, "HiggsLoadCodec", checkpoint="higgs-audio-v2-tokenizer")
    set_input(prompt, "HiggsGenerate", in_pieces=False)
    run = client.run(prompt)
    assert run.error is None, run.error["exception_message"]
    samples, rate = saved_audio(client, run, prompt, tmp_path)
    assert (rate, len(samples)) == (24_000, 24_000) and samples.std() > 1e-4
    wrong = set_input(prompt, "HiggsChatMLPrompt", text="<|emotion:angry|>No!")
    assert "<|emotion:anger|>" in client.run(wrong).error["exception_message"]


def test_a_template_without_the_words_of_its_clip_asks_for_them(client):
    run = client.run(workflow("clone_voice", transcript=""))
    assert "The reference clip has no transcript" in run.error["exception_message"]


def test_report_names_what_happened(client):
    prompt = workflow("text_to_speech", seed=3)
    run = client.run(prompt)
    [shown] = node_ids(prompt, "PreviewAny")
    [text] = run.outputs[shown]["text"]
    assert re.search(r"25 frames, 1\.00 s of audio", text)
    assert re.search(r"real-time factor \d+\.\d\d", text)
    assert re.search(r"prompt: \d+ tokens", text)
    assert re.search(r"memory: \d+ MB of weights, and \d+ MB for max_seconds", text)
    assert "finish reason: length" in text and "Raise max_seconds" in text


def test_progress_arrives_while_it_generates(client):
    prompt = workflow("text_to_speech", seed=11, max_seconds=8.0)
    run = client.run(prompt)
    [node] = node_ids(prompt, "HiggsGenerate")
    values = [(data["value"], data["max"]) for data in run.of_type("progress") if data["node"] == node]
    assert len(values) >= 4
    assert values == sorted(values) and values[-1] == (200, 200)


def test_cancel_ends_a_generation_at_once_and_the_server_goes_on(client):
    prompt = workflow("text_to_speech", seed=5, max_seconds=240.0)
    run = client.queue(prompt)
    client.follow(run, until=lambda kind, data: kind == "progress" and data["value"] > 10)
    asked = time.monotonic()
    client.interrupt()
    client.follow(run)
    assert time.monotonic() - asked < CANCEL_LIMIT_S
    assert run.of_type("execution_interrupted")
    assert client.run(workflow("text_to_speech", seed=6)).error is None


@pytest.mark.parametrize("stage", ["HiggsEncodeAudio", "HiggsDecodeCodes"])
def test_cancel_ends_the_codecs_work_at_once_and_the_server_goes_on(client, server, stage):
    rate, seconds = 24_000, 150
    soundfile.write(server.base / "input" / "long.wav", [0.1, -0.1] * (rate * seconds // 2), rate)
    prompt = set_input(workflow("codec_round_trip"), "HiggsLoadAudio", audio="long.wav")
    [node] = node_ids(prompt, stage)
    run = client.queue(prompt)
    client.follow(run, until=lambda kind, data: kind == "progress" and data["node"] == node and data["value"] > 0)
    asked = time.monotonic()
    client.interrupt()
    client.follow(run)
    assert time.monotonic() - asked < CANCEL_LIMIT_S
    [interrupted] = run.of_type("execution_interrupted")
    assert interrupted["node_id"] == node
    assert client.run(workflow("codec_round_trip")).error is None


def test_unchanged_graph_comes_from_comfyuis_cache(client):
    prompt = workflow("clone_voice", seed=9)
    assert client.run(prompt).executed
    again = client.run(prompt)
    assert again.executed == []
    [cached] = again.of_type("execution_cached")
    assert set(node_ids(prompt, "HiggsGenerate")) <= set(cached["nodes"])


def test_replaced_input_file_is_loaded_again(client, server, tmp_path):
    clip = server.base / "input" / "changing.wav"
    prompt = set_input(workflow("codec_round_trip"), "HiggsLoadAudio", audio=clip.name)
    for seconds in (1.0, 2.0):
        soundfile.write(clip, [0.1, -0.1] * int(seconds * 4000), 8000)
        samples, rate = saved_audio(client, client.run(prompt), prompt, tmp_path)
        assert len(samples) / rate == seconds


def test_free_gives_the_models_memory_back(client, server):
    large = load_model(server.base / "models" / "higgs_audio" / "large", dtype=torch.bfloat16)
    expected = 0.9 * model_bytes(large)
    del large
    prompt = set_input(workflow("text_to_speech", seed=1), "HiggsLoadModel", checkpoint="large", dtype="bfloat16")
    assert client.run(prompt).error is None
    loaded = server.memory_bytes()
    client.free()
    deadline = time.monotonic() + 10
    while server.memory_bytes() > loaded - expected and time.monotonic() < deadline:
        time.sleep(0.1)
    freed = loaded - server.memory_bytes()
    assert freed >= expected, f"{freed / 2**20:.0f} MiB came back, expected {expected / 2**20:.0f}"
    assert client.run(prompt).error is None  # and it loads again


def expect_error(client, prompt: dict, node_type: str, *parts: str) -> None:
    """The prompt fails at this kind of node, with these words, and the next prompt runs."""
    run = client.run(prompt)
    assert run.error is not None
    assert run.error["node_type"] == node_type
    for part in parts:
        assert part in run.error["exception_message"]
    assert client.run(workflow("codec_round_trip")).error is None


def test_broken_checkpoint_is_an_error_that_says_how_to_mend(client, server):
    models = server.base / "models" / "higgs_audio"
    broken = models / "unreadable"  # by this name not the first, which `auto` means
    broken.mkdir()
    for file in (models / "higgs-audio-v2-generation-3B-base").iterdir():
        content = file.read_bytes()
        (broken / file.name).write_bytes(content[:-1000] if file.suffix == ".safetensors" else content)
    prompt = set_input(workflow("text_to_speech"), "HiggsLoadModel", checkpoint=broken.name)
    expect_error(client, prompt, "HiggsGenerate", "safetensors", "download the file again")


def test_empty_clip_is_an_error(client):
    prompt = workflow("codec_round_trip")
    prompt["99"] = {"class_type": "EmptyAudio", "inputs": {"duration": 0.0, "sample_rate": 44100, "channels": 1}}
    set_input(prompt, "HiggsEncodeAudio", audio=["99", 0])
    expect_error(client, prompt, "HiggsEncodeAudio", "The clip is empty.", "got 0 samples")


def test_empty_text_is_an_error(client):
    expect_error(client, workflow("text_to_speech", text="  "), "HiggsChatMLPrompt", "nothing to say", "Write the text")


def test_fade_longer_than_its_clip_is_an_error(client):
    prompt = set_input(workflow("two_voice_dialogue"), "HiggsMixAudio", fade_in_1=60.0)
    expect_error(client, prompt, "HiggsMixAudio", "fade_in_s", "got 60")


def test_speaker_without_voice_is_an_error(client):
    prompt = workflow("clone_voice", text="[SPEAKER3] Hello.")
    expect_error(client, prompt, "HiggsChatMLPrompt", "SPEAKER3")


def test_incomplete_model_folder_is_listed_and_refused_with_what_is_missing(client, server):
    folder = server.base / "models" / "higgs_audio" / "half"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "higgs_audio_v2"}')
    label = "half (missing: model.safetensors, tokenizer.json)"
    info = server.get("/object_info/HiggsLoadModel")["HiggsLoadModel"]
    assert label in info["input"]["required"]["checkpoint"][1]["options"]
    prompt = set_input(workflow("text_to_speech"), "HiggsLoadModel", checkpoint=label)
    with pytest.raises(Refused) as refused:
        client.run(prompt)
    said = str(refused.value)
    assert "model.safetensors" in said and "Download the missing files" in said


def test_the_editor_is_told_what_stands_behind_a_choice(server):
    for name, choice, says in (
        ("lm", "higgs-nano", "17.0 MB · float16"),
        ("codec", "higgs-nano-codec", "codec, "),
        ("releases", "higgs-audio-v3-tts-4b", "Creator Use Grant"),
    ):
        assert says in server.get(f"/higgs/choices/{name}")[choice]
    for name in ("..", "none", "..%2F..%2Fetc"):
        assert requests.get(f"{server.url}/higgs/choices/{name}", timeout=10).status_code == 404


def test_codec_chosen_as_language_model_is_refused(client):
    prompt = set_input(workflow("text_to_speech"), "HiggsLoadModel", checkpoint="higgs-audio-v2-tokenizer")
    with pytest.raises(Refused, match="no Higgs language model"):
        client.run(prompt)


def test_pack_imports_fast_and_whole(server):
    [seconds] = re.findall(rf"([\d.]+) seconds: .*{PACK_FOLDER}", server.said())
    assert float(seconds) < 1.0  # a third of it compiles the files of a new clone; a heavy import takes seconds
    assert "IMPORT FAILED" not in server.said()


def test_editor_finds_scripts_templates_and_help(server):
    assert f"/extensions/{PACK_FOLDER}/chatml_prompt.js" in server.get("/extensions")
    names = [*WORKFLOWS, *SCRIPTS, "master_a_mix", "tags_v3"]
    assert sorted(server.get("/workflow_templates")[PACK_FOLDER]) == sorted(names)
    for name in names:
        assert server.get(f"/api/workflow_templates/{PACK_FOLDER}/{name}.json")["nodes"]
    for node in [name for name in server.get("/object_info") if name.startswith("Higgs")]:
        page = requests.get(f"{server.url}/extensions/{PACK_FOLDER}/docs/{node}.md", timeout=10)
        assert page.ok, f"{node} has no help page"

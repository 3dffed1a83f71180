"""Lists and loops of ComfyUI around the pack's nodes, in a real server: every item as if it ran alone, none lost."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
import requests
import soundfile
from helpers_workflow import read_workflow

TEXTS = ["Welcome, everyone.", "The weather is beautiful.", "The story is ready."]
SECONDS = 0.4
PROMPT, SPEAK, DECODE, EXPORT = "3", "4", "5", "7"  # of the workflow text_to_speech


def graph(**inputs) -> dict:
    """The workflow text_to_speech; names of nodes to further inputs, or to nodes that are added."""
    prompt = copy.deepcopy(read_workflow("text_to_speech", api=True))
    prompt[SPEAK]["inputs"]["max_seconds"] = SECONDS
    prompt[EXPORT]["inputs"] |= {"format": "wav 32-bit float", "file_name": "lists/take"}
    for name, changes in inputs.items():
        name = {"prompt": PROMPT, "speak": SPEAK, "export": EXPORT}.get(name, name)
        if "class_type" in changes:
            prompt[name] = changes
        else:
            prompt[name]["inputs"] |= changes
    return prompt


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def items(*values, **connected) -> dict:
    return node("TestList", items=json.dumps(values), **connected)


def run_to_files(client, prompt: dict, folder) -> tuple:
    """The run, and the samples of each file that it wrote, in order."""
    run = client.run(prompt)
    assert run.error is None, run.error["exception_message"]
    files = run.outputs[EXPORT]["audio"]
    names = [file["filename"] for file in files]
    assert len(set(names)) == len(names), "none is written over"
    return run, [soundfile.read(client.download(file, folder), dtype="float32")[0] for file in files]


def alone(client, folder, **inputs) -> np.ndarray:
    [samples] = run_to_files(client, graph(**inputs), folder)[1]
    return samples


def told(run, name: str) -> str:
    return [data["text"] for data in run.of_type("higgs.text") if data["node"] == name][-1]


def live(server, run, item: int) -> tuple[np.ndarray, dict]:
    answer = requests.get(f"{server.url}/higgs/live/{run.prompt_id}/{SPEAK}?item={item}", timeout=30)
    answer.raise_for_status()
    return np.frombuffer(answer.content, "<f4"), json.loads(answer.headers["Higgs-Live"])


def test_a_list_of_texts_is_spoken_one_by_one_each_as_if_alone(client, server, tmp_path):
    loads = len(re.findall("Requested to load", server.said()))
    prompt = graph(texts=items(*TEXTS), prompt={"text": ["texts", 0]}, speak={"seed": 71})
    run, sounds = run_to_files(client, prompt, tmp_path)
    assert len(re.findall("Requested to load", server.said())) - loads <= 2, "model and codec, once each"
    for text, samples in zip(TEXTS, sounds, strict=True):
        assert np.array_equal(samples, alone(client, tmp_path, prompt={"text": text}, speak={"seed": 71}))
    bar = [data["value"] for data in run.of_type("progress") if data["node"] == SPEAK]
    assert bar.count(0) == 3 and set(bar) <= {*range(11)}, "ten frames, three times"
    assert [line.split(". ")[0] for line in told(run, EXPORT).splitlines()] == ["1", "2", "3"]
    reports = run.outputs["6"]["text"]
    assert len(reports) == 3 and all("10 frames" in report for report in reports)
    for item, samples in enumerate(sounds):  # what the player has
        heard, about = live(server, run, item)
        assert np.array_equal(heard, samples) and (about["item"], about["exact"]) == (item, True)
    assert requests.get(f"{server.url}/higgs/live/{run.prompt_id}/{SPEAK}?item=3", timeout=30).status_code == 404
    assert requests.get(f"{server.url}/higgs/live/{run.prompt_id}/{SPEAK}?item=x", timeout=30).status_code == 400


def test_seeds_and_texts_go_in_step(client, tmp_path):
    prompt = graph(
        texts=items(*TEXTS[:2]), seeds=items(5, 6, 7), prompt={"text": ["texts", 0]}, speak={"seed": ["seeds", 0]}
    )
    _, sounds = run_to_files(client, prompt, tmp_path)
    assert len(sounds) == 3 and not np.array_equal(sounds[1], sounds[2])
    for text, seed, samples in zip([*TEXTS[:2], TEXTS[1]], (5, 6, 7), sounds, strict=True):
        assert np.array_equal(samples, alone(client, tmp_path, prompt={"text": text}, speak={"seed": seed}))


def test_a_batch_of_clips_is_a_list_of_voices(client, tmp_path):
    loaded = read_workflow("clone_voice", api=True)["3"]["inputs"]
    clips = {
        name: node(
            "HiggsLoadAudio", **loaded | {"audio": f"{name} (from the pack)", "duration": 1.0, "trim_silence": 0.0}
        )
        for name in ("rose", "alan")
    }
    voice = node("HiggsVoice", transcript="Hello.", description="", codes=["codes", 0])
    clone = {"codes": node("HiggsEncodeAudio", codec=["2", 0], audio=["both", 0]), "voice": voice, **clips}
    batch = node("TestBatch", a=["rose", 0], b=["alan", 0])
    with_voice = {"prompt": {"text": "Hello.", "voice_0": ["voice", 0]}, **clone}
    run, sounds = run_to_files(client, graph(both=batch, **with_voice), tmp_path)
    assert len(sounds) == 2 and not np.array_equal(*sounds)
    assert re.search(r"^Clip 0\. .*\nClip 1\. ", told(run, "codes"), re.M)
    for number, name in enumerate(clips):
        same = node("TestBatch", a=[name, 0], b=[name, 0])
        _, twice = run_to_files(client, graph(both=same, **with_voice), tmp_path)
        assert len(twice) == 2 and all(np.array_equal(one, sounds[number]) for one in twice)


def test_a_long_text_is_spoken_in_pieces_and_joined(client, tmp_path):
    said = node(
        "HiggsPrepareText",
        text=" ".join(TEXTS),
        model="Higgs Audio v2",
        language="en",
        spell_numbers=False,
        max_chars=30,
    )
    joined = node("HiggsJoinAudio", crossfade=0.0, gap=0.5, trim_silence=0.0, audio_0=["5", 0])
    prompt = graph(said=said, prompt={"text": ["said", 2]}, joined=joined, export={"audio": ["joined", 0]})
    _, [whole] = run_to_files(client, prompt, tmp_path)
    assert len(whole) == round(24_000 * (3 * SECONDS + 2 * 0.5))


def test_the_turns_of_a_script_are_lists(client):
    script = node("HiggsScript", text="[Anna] Hello.\n\n[Bob] Who is there?\n")
    shown = {name: node("PreviewAny", source=["script", slot]) for name, slot in (("texts", 2), ("speakers", 3))}
    run = client.run({"script": script, **shown})
    assert [run.outputs[name]["text"] for name in shown] == [["Hello.", "Who is there?"], ["Anna", "Bob"]]


def test_warnings_of_all_items_stand_on_the_node_and_are_told_to_scripts(client, server):
    """Of the three texts the second has no words that Higgs Nano lacks."""
    texts = ["Zebra, hello.", "Hello.", "Hello, xylophone."]
    nano = {name: {"checkpoint": checkpoint} for name, checkpoint in (("1", "higgs-nano"), ("2", "higgs-nano-codec"))}
    run = client.run(graph(texts=items(*texts), prompt={"text": ["texts", 0]}, **nano))
    assert run.error is None
    said = told(run, SPEAK)
    assert re.match(r"1\. .*zebra", said, re.I | re.S) and re.search(r"^3\. .*xylophone", said, re.I | re.M)
    assert not re.search(r"^2\. ", said, re.M)
    assert server.get(f"/higgs/warnings?prompt={run.prompt_id}")[SPEAK] == said
    again = client.run(graph(prompt={"text": "Hello."}, **nano))
    assert told(again, SPEAK) == "", "another run takes back what that one said"


def test_rounds_of_a_loop_are_items_of_the_node_that_the_page_knows(client, server, tmp_path):
    """As Start and End Loop run them: under ids of the executor's own."""
    loop = node("TestLoop", texts=json.dumps(TEXTS[:2]), body=json.dumps([PROMPT, SPEAK, DECODE]))
    prompt = graph(loop=loop, speak={"seed": 8}, export={"audio": ["loop", 0]})
    del prompt["6"]  # the report, which would run the body once more
    run, [one, other] = run_to_files(client, prompt, tmp_path)
    assert {data["node"] for data in run.of_type("higgs.live")} == {SPEAK}
    sounds = [live(server, run, item)[0] for item in range(2)]
    heard = {sound.tobytes() for sound in sounds}  # the rounds of this loop run in any order
    assert heard == {one.tobytes(), other.tobytes()} and len(heard) == 2
    assert np.array_equal(one, alone(client, tmp_path, prompt={"text": TEXTS[0]}, speak={"seed": 8}))


@pytest.mark.parametrize("broken", [1, 2])
def test_an_item_that_fails_ends_the_list_with_its_message(client, broken):
    texts = [*TEXTS]
    texts[broken] = "  "
    run = client.run(graph(texts=items(*texts), prompt={"text": ["texts", 0]}))
    assert run.error["node_type"] == "HiggsChatMLPrompt" and "nothing to say" in run.error["exception_message"]

"""Edit Speech and Speak On in the real server with Higgs Nano, and the box of struck-through words in the page."""

from __future__ import annotations

import json

import av
import pytest
from helpers_scene import open_editor, run

from higgs_runtime import AudioClip, embedded_voices

ALAN = embedded_voices()["alan"]
SAID = ALAN.with_suffix(".txt").read_text(encoding="utf-8").strip()
EDITED = SAID.replace("train", "bus")


def graph(node: str, **inputs) -> dict:
    how = {"recognizer": "auto", "language": "en", "seed": 0, "temperature": -1.0, "candidates": 2}
    how["consent"] = "Alan agreed."
    pause = {"pause": 0.3} if node == "HiggsSpeakOn" else {}
    links = {"model": ["1", 0], "codec": ["2", 0], "audio": ["3", 0]}
    return {
        "1": {"class_type": "HiggsLoadModel", "inputs": {**AUTO, "checkpoint": "higgs-nano", "quantization": "off"}},
        "2": {"class_type": "HiggsLoadCodec", "inputs": {**AUTO, "checkpoint": "higgs-nano-codec"}},
        "3": {"class_type": "HiggsLoadAudio", "inputs": {**LOADED, "audio": "alan (from the pack)"}},
        "4": {
            "class_type": node,
            "inputs": {"transcript": SAID, **how, **pause, "consent": "Alan agreed.", **links, **inputs},
        },
        "5": {"class_type": "HiggsExportAudio", "inputs": {**EXPORT, "audio": ["4", 0]}},
        "6": {"class_type": "PreviewAny", "inputs": {"source": ["4", 4]}},
    }


AUTO = {"device": "auto", "dtype": "auto"}
LOADED = {
    "start": 0.0,
    "duration": 0.0,
    "trim_silence": 0.0,
    "mono": False,
    "sample_rate": 0,
    "level": "off",
    "level_target": -20.0,
}
EXPORT = {
    "file_name": "audio/edited_{n:03}",
    "format": "flac 16-bit",
    "kbps": 0,
    "tags": "",
    "chapters": "",
    "note": True,
    "consent": "",
    "credit_file": False,
}


def exported(client, found, tmp_path):
    """(clip, comment) of the file that was written."""
    [file] = found.outputs["5"]["audio"]
    path = client.download(file, tmp_path)
    with av.open(str(path)) as opened:
        return AudioClip.load(path), opened.metadata["comment"]


def test_one_word_is_changed_and_the_file_says_so(client, tmp_path, ears):
    found = client.run(graph("HiggsEditSpeech", text=EDITED))
    assert found.error is None, found.error
    clip, comment = exported(client, found, tmp_path)
    before, start = AudioClip.load(ALAN), 2 * 24_000  # the word comes later
    assert (clip.samples[:, :start] - before.samples[:, :start]).abs().max() <= 1 / 32_000
    assert "Synthetic speech within a recording: " in comment and "“bus,”" in comment and "Alan agreed" in comment
    assert "bus" in ears.hear(clip).lower()


def test_a_recording_goes_on(client, tmp_path):
    found = client.run(graph("HiggsSpeakOn", text="The weather is good today."))
    assert found.error is None, found.error
    clip, comment = exported(client, found, tmp_path)
    before = AudioClip.load(ALAN)
    kept = before.length - 2400
    assert (clip.samples[:, :kept] - before.samples[:, :kept]).abs().max() <= 1 / 32_000
    assert clip.seconds > before.seconds + 1 and "within a recording: from" in comment


@pytest.mark.parametrize(
    ("node", "inputs", "words"),
    [
        ("HiggsEditSpeech", {"text": ""}, "The new text has no words"),
        ("HiggsEditSpeech", {"text": EDITED, "audio": None}, "There is no recording"),
        ("HiggsEditSpeech", {"text": EDITED, "transcript": "One two three four five."}, "says something else"),
        ("HiggsSpeakOn", {"text": " "}, "The new text has no words"),
    ],
)
def test_bad_input_is_told(client, node, inputs, words):
    prompt = graph(node, **inputs)
    prompt["4"]["inputs"] = {name: value for name, value in prompt["4"]["inputs"].items() if value is not None}
    assert words in client.run(prompt).error["exception_message"]


def test_without_a_transcript_the_recording_is_heard(client):
    found = client.run(graph("HiggsEditSpeech", text="", transcript=""))
    assert found.error is None, found.error
    heard = [one["text"] for one in found.of_type("higgs.transcript")]
    assert heard and "morning" in heard[0].lower()


# --- the page -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(server, tmp_path_factory):
    page = open_editor(server, tmp_path_factory.mktemp("chromium"))
    yield page
    page.close()


@pytest.mark.web
@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue"])
def test_the_box_strikes_old_words_through_and_puts_them_back(page, vue, tmp_path):
    run(
        page,
        f"""
        await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', {json.dumps(vue)});
        app.graph.clear();
        await until(() => !document.querySelector("[data-node-id], .dom-widget"));
        const made = window.editNode = LiteGraph.createNode("HiggsEditSpeech");
        made.pos = [60, 40];
        app.graph.add(made);
        Object.assign(app.canvas.ds, {{ offset: [40, 40], scale: 1 }});
        const named = (name) => made.widgets.find((one) => one.name === name);
        named("transcript").value = {json.dumps(SAID)};
        named("transcript").callback?.({json.dumps(SAID)});
        made.higgsEdit.load();
        app.canvas.setDirty(true, true);
        await until(() => made.higgsEdit.root.getBoundingClientRect().height > 100);
        """,
    )
    state = """
        const made = window.editNode, box = made.higgsEdit;
        const texts = (tag) => [...box.view.querySelectorAll(tag)].map((one) => one.textContent);
        const { value } = made.widgets.find((one) => one.name === "text");
        return [value, texts("del"), texts("ins"), box.status.textContent];
    """
    assert run(page, state) == [SAID, [], [], "Nothing is changed."]
    run(
        page,
        f"""
        const {{ field }} = window.editNode.higgsEdit;
        field.value = {json.dumps(EDITED.replace("old ", ""))};
        field.dispatchEvent(new Event("input", {{ bubbles: true }}));
        field.dispatchEvent(new Event("change", {{ bubbles: true }}));
        """,
    )
    text, old, new, status = run(page, state)
    assert text == EDITED.replace("old ", "") and (old, new) == (["train,", "old"], ["bus,"])
    assert status.startswith("2 changes.")
    page.screenshot(tmp_path / f"edit_{'vue' if vue else 'canvas'}.png")
    run(page, "window.editNode.higgsEdit.view.querySelectorAll('del')[1].click();")
    assert run(page, state)[:3] == [EDITED, ["train,"], ["bus,"]]
    run(page, "window.editNode.higgsEdit.back.click();")
    assert run(page, state)[0] == SAID
    run(page, "await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', false);")

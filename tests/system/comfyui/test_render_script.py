"""A script in a real ComfyUI: what the editor is told, cancel within a line, and a second run from the store."""

from __future__ import annotations

import json

import pytest
from helpers_render_graph import CODEC, LM, TEXT, render_graph
from helpers_workflow import read_workflow

from higgs_runtime import AudioClip, TakeStore, parse_script

CANCEL_LIMIT_S = 5.0


def lines_of(run) -> dict[int, dict]:
    """The last that was told of each line."""
    told = {}
    for data in run.of_type("higgs.lines"):
        assert data["node"] == "render"
        told.update({line["line"]: line for line in data["lines"]})
    return told


def test_a_script_is_spoken_assembled_and_kept(server, client):
    run = client.run(render_graph())
    assert run.error is None, run.error
    [report] = run.outputs["report"]["text"]
    assert "3 of 3 lines" in report and "Ross: ross of the pack" in report
    first, told = run.of_type("higgs.lines")[0], lines_of(run)
    assert [line["state"] for line in first["lines"]] == ["queued"] * 3
    assert {line["state"] for line in told.values()} == {"spoken"} and all(line["take"] for line in told.values())
    timeline = json.loads(run.outputs["timeline"]["text"][0])
    assert [line["speaker"] for line in timeline["lines"]] == ["Rose", "Ross", "Rose"]
    assert len(run.outputs["save"]["audio"]) == 1
    assert {file["filename"].split("_")[0] for file in run.outputs["stems"]["audio"]} == {"Rose", "Ross", "sounds"}

    changed = client.run(render_graph(TEXT.replace("soon", "tomorrow")))
    assert "2 from the store, 1 spoken now" in changed.outputs["report"]["text"][0]

    store = TakeStore(server.base / "takes")
    store.lock_take(told[1]["take"])
    assert "render" in client.run(render_graph(TEXT.replace("soon", "tomorrow"))).executed, "a lock is looked at"


def test_cancel_acts_within_a_line_and_keeps_those_before(server, client):
    """The random model never ends by itself: each line lasts as long as its text allows."""
    text = "\n".join(f"[SPEAKER0] This is line number {n} of a rather long story." for n in range(30))
    settings = {"model": "auto", "codec": "auto", "voice_0": ["voice", 0], "seed": 5}
    prompt = {
        **render_graph(text, **settings),
        "voice": {"class_type": "HiggsVoice", "inputs": {"transcript": "", "description": "Calm."}},
    }
    run = client.queue(prompt)
    client.follow(
        run,
        lambda kind, data: (
            kind == "higgs.lines" and any(line["line"] >= 3 and line["state"] == "speaking" for line in data["lines"])
        ),
    )
    client.interrupt()
    before = run.events[-1][0]
    client.follow(run)
    assert run.of_type("execution_interrupted"), run.error and run.error["exception_message"]
    assert run.events[-1][0] - before < CANCEL_LIMIT_S
    states = [line["state"] for line in lines_of(run).values()]
    assert states.count("spoken") >= 2 and "queued" in states  # a line takes about as long as two messages are apart
    kept = [line["take"] for line in lines_of(run).values() if line["state"] == "spoken"]
    store = TakeStore(server.base / "takes")
    assert all(store.peek(key) is not None for key in kept)


@pytest.mark.parametrize(
    "text, settings, words",
    [
        ("[Zoe] Hello.", {}, "none for Zoe"),
        (TEXT, {"choose": "3"}, "does not choose a take"),
        ("[Rose] Hello.\n[sfx: nothing.wav]", {}, "'nothing.wav' of a cue is not there"),
    ],
)
def test_errors_reach_the_person(client, text, settings, words):
    assert words in client.run(render_graph(text, **settings)).error["exception_message"]


# ---- the example workflows, with Higgs Nano ------------------------------------------------------------------------


@pytest.fixture
def run_example(client):
    def run(name: str, recognizer: str = "none"):
        prompt = read_workflow(name, api=True)
        for node in prompt.values():
            if "checkpoint" in node["inputs"]:
                node["inputs"]["checkpoint"] = LM if node["class_type"] == "HiggsLoadModel" else CODEC
            if "recognizer" in node["inputs"]:
                node["inputs"]["recognizer"] = recognizer
        run = client.run(prompt)
        assert run.error is None, run.error["exception_message"]
        shown = {
            node["_meta"]["title"]: run.outputs[key]["text"][0]
            for key, node in prompt.items()
            if node["class_type"] == "PreviewAny"
        }
        files = {key: run.outputs[key]["audio"][0] for key in run.outputs if run.outputs[key].get("audio")}
        return prompt, shown, files

    return run


def test_five_voices_over_music(run_example, client, tmp_path, ears):
    prompt, shown, files = run_example("five_voice_scene")
    [script] = [node["inputs"]["text"] for node in prompt.values() if node["class_type"] == "HiggsScript"]
    assert "7 of 7 lines" in shown["Report"] and "Maria: the voice named Maria" in shown["Report"]
    assert shown["Subtitles"].count("-->") == 7
    clip = AudioClip.load(client.download(*files.values(), tmp_path))
    said = " ".join(turn.text for turn in parse_script(script).turns)
    assert ears.share_heard(said, clip) >= 0.6, ears.hear(clip)


def test_an_audiobook_with_chapters(run_example, client, tmp_path):
    import av

    _, shown, files = run_example("audiobook")
    assert [line.partition(" ")[2] for line in shown["Chapters"].splitlines()] == ["The storm", "The morning"]
    with av.open(str(client.download(*files.values(), tmp_path))) as book:
        assert [chapter["metadata"]["title"] for chapter in book.chapters()] == ["The storm", "The morning"]


def test_a_book_with_several_voices(run_example, client, tmp_path):
    """As its director was accepted: no server is asked."""
    import av

    _, shown, files = run_example("directed_book")
    assert "Keeper: the voice" in shown["Report"] and "7 of 7 lines" in shown["Report"]
    with av.open(str(client.download(*files.values(), tmp_path))) as book:
        assert [chapter["metadata"]["title"] for chapter in book.chapters()] == ["The quiet morning", "The old bridge"]
        assert book.metadata["title"] == "The old bridge" and book.metadata["artist"] == "ComfyUI-Higgs"


@pytest.mark.parametrize(
    ("name", "report", "heard"),
    [
        ("edit_speech", "bus", "bus"),
        ("speak_on", "new speech from", "quiet"),
        ("respeak", "wind", "night"),
    ],
)
def test_recordings_said_otherwise(run_example, client, tmp_path, ears, name, report, heard):
    _, shown, files = run_example(name, recognizer="auto")
    assert report in shown["Report"], shown["Report"]
    assert heard in ears.hear(AudioClip.load(client.download(*files.values(), tmp_path))).lower()


def test_lines_lie_in_the_slots_of_subtitles(run_example):
    _, shown, _ = run_example("srt_dubbing")
    starts = [line["start_s"] for line in json.loads(shown["Time line"])["lines"]]
    assert starts == [0.5, 4.0, 8.0] and "00:00:04,000 -->" in shown["Subtitles"]


def test_one_line_again(run_example):
    _, shown, files = run_example("retake_line")
    reports = [shown["Report"], shown["Report with the second take"]]  # ComfyUI may render either first
    assert sorted("2 from the store, 1 spoken now" in report for report in reports) == [False, True], reports
    assert sum("0 from the store, 3 spoken now" in report for report in reports) == 1 and len(files) == 2

"""`higgs render` on a real ComfyUI, and what is heard in that which the pack's own checkpoint speaks there."""

from __future__ import annotations

import time

import pytest
import soundfile
from helpers_codec import sound_like
from helpers_workflow import WORKFLOWS, read_workflow

import dev
from higgs_runtime import AudioClip, cli
from higgs_runtime.hub.releases import how_to_install

LONG_S = 240  # of audio: minutes of work
RUNS_BY_THEN_S = 1.5
STOP_LIMIT_S = 5.0


def render(server, name: str, *assignments: str, output) -> int:
    command = ["render", str(WORKFLOWS / "api" / f"{name}.json"), "--server", server.url, "-o", str(output)]
    for assignment in assignments:
        command += ["--set", assignment]
    return cli.main(command)


def test_render_gives_a_playable_file(server, tmp_path, capsys):
    clip = tmp_path / "my clip.wav"
    soundfile.write(clip, sound_like(2.0, 24_000).numpy(), 24_000)
    code = render(
        server,
        "clone_voice",
        f"Load Audio (Higgs).audio=@{clip}",
        "Higgs Voice.transcript=What the clip says.",
        "Higgs Generate.max_seconds=1.0",
        output=tmp_path / "out",
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    [file] = (tmp_path / "out").iterdir()
    assert said.out == f"{file}\n"
    samples, rate = soundfile.read(file)
    assert (rate, len(samples)) == (24_000, 24_000) and samples.std() > 1e-4
    assert (server.base / "input" / clip.name).read_bytes() == clip.read_bytes()


def test_render_shows_what_nodes_warn_of(server, tmp_path, capsys):
    settings = ("Higgs ChatML Prompt.text=Good morning, wizard.", "Higgs Generate.max_seconds=0.4")
    assert render(server, "text_to_speech", *NANO, *settings, output=tmp_path) == 0
    said = capsys.readouterr()
    assert "higgs: Higgs Generate (" in said.err and "wizard" in said.err and "wizard" not in said.out
    assert said.err.count("Speaking with Higgs Nano") == 1 and how_to_install() in said.err


def test_render_hands_on_what_a_failing_node_says(server, tmp_path, capsys):
    assert render(server, "clone_voice", "Higgs Voice.transcript=", output=tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "HiggsGenerate (" in said and " failed" in said and "The reference clip has no transcript" in said
    assert not (tmp_path / "out").exists()


def test_render_says_why_the_server_refuses(server, tmp_path, capsys):
    assert render(server, "text_to_speech", "1.checkpoint=unheard-of", output=tmp_path) == 1
    said = capsys.readouterr().err
    assert "refused the request (HTTP 400)" in said and "unheard-of" in said


def test_interrupting_render_cancels_on_the_server(server, tmp_path, capsys, monkeypatch):
    began = []

    def interrupt(text):
        """Ctrl-C once the server has been at it for a while."""
        if server.get("/queue")["queue_running"]:
            began.append(time.monotonic())
        if began and began[-1] - began[0] > RUNS_BY_THEN_S:
            raise KeyboardInterrupt

    monkeypatch.setattr("higgs_runtime.cli.render.progress", interrupt)
    settings = (f"Higgs Generate.max_seconds={LONG_S}", "Higgs Generate.seed=77")
    assert render(server, "text_to_speech", *settings, output=tmp_path / "out") == 130
    deadline = time.monotonic() + STOP_LIMIT_S
    while server.get("/queue")["queue_running"]:
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.05)
    [last] = server.get("/history?max_items=1").values()
    assert "execution_interrupted" in [kind for kind, _ in last["status"]["messages"]]
    assert not (tmp_path / "out").exists()


NANO = ("Load Higgs Model.checkpoint=higgs-nano", "Load Higgs Codec.checkpoint=higgs-nano-codec")


@pytest.mark.parametrize("name", ["clone_voice", "two_voice_dialogue"])
def test_the_packs_checkpoint_speaks_the_words_of_a_workflow(server, tmp_path, ears, name):
    """As the person gets it: over the bed in the dialogue. The recognizer hears most of what is written."""
    assert render(server, name, *NANO, output=tmp_path) == 0
    [file] = tmp_path.iterdir()
    [written] = [node["inputs"]["text"] for node in read_workflow(name, api=True).values() if "text" in node["inputs"]]
    clip = AudioClip.load(file)
    assert ears.share_heard(written, clip) >= 0.8, ears.hear(clip)


def test_a_text_longer_than_max_seconds_is_spoken_whole(server, tmp_path, ears):
    """In pieces; off, it is cut as before."""
    text = "Good morning, my friend. The story is ready. Where is the old bridge? The window is open. " * 2
    settings = (f"Higgs ChatML Prompt.text={text}", "Higgs Generate.max_seconds=8.0", "Higgs Generate.temperature=0.3")
    assert render(server, "text_to_speech", *NANO, *settings, output=tmp_path / "whole") == 0
    cut = "Higgs Generate.in_pieces=false"
    assert render(server, "text_to_speech", *NANO, *settings, cut, output=tmp_path / "cut") == 0
    [whole], [part] = [list((tmp_path / name).iterdir()) for name in ("whole", "cut")]
    assert AudioClip.load(part).seconds == 8.0 and AudioClip.load(whole).seconds > 8.5
    assert ears.share_heard(text, AudioClip.load(whole)) > 0.6


def test_the_log_names_what_auto_has_chosen(server, tmp_path):
    assert render(server, "text_to_speech", "Higgs Generate.max_seconds=0.2", output=tmp_path) == 0
    said = dev.about_model(server.said())
    assert "higgs-audio-v2-generation-3B-base" in said and "higgs-audio-v2-tokenizer" in said

"""`higgs render` and the workflows of `dev.py comfy`, on a real ComfyUI."""

from __future__ import annotations

import time
from urllib.parse import quote

import dev_demo
import pytest
import soundfile
from helpers_codec import sound_like
from helpers_workflow import WORKFLOWS, ui_to_api

from higgs_runtime import cli

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
        server, "clone_voice", f"Load Audio (Higgs).audio=@{clip}", "Higgs Voice.transcript=What the clip says.",
        "Higgs Generate.max_seconds=1.0", output=tmp_path / "out",
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    [file] = (tmp_path / "out").iterdir()
    assert said.out == f"{file}\n"
    samples, rate = soundfile.read(file)
    assert (rate, len(samples)) == (24_000, 24_000) and samples.std() > 1e-4
    assert (server.base / "input" / clip.name).read_bytes() == clip.read_bytes()


def test_render_hands_on_what_a_failing_node_says(server, tmp_path, capsys):
    assert render(server, "clone_voice", output=tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "HiggsVoice (5) failed" in said and "The reference clip has no transcript" in said
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

    monkeypatch.setattr(cli, "_progress", interrupt)
    settings = (f"Higgs Generate.max_seconds={LONG_S}", "Higgs Generate.seed=77")
    assert render(server, "text_to_speech", *settings, output=tmp_path / "out") == 130
    deadline = time.monotonic() + STOP_LIMIT_S
    while server.get("/queue")["queue_running"]:
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.05)
    [last] = server.get("/history?max_items=1").values()
    assert "execution_interrupted" in [kind for kind, _ in last["status"]["messages"]]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["clone_voice", "codec_round_trip", "text_to_speech", "two_voice_dialogue"])
def test_demo_workflows_stand_in_the_sidebar_and_run_as_they_are(server, client, monkeypatch, name):
    """The server has models of the released names, and clips of those that the workflows name."""
    monkeypatch.setitem(dev_demo.MAX_SECONDS, dev_demo.RELEASED, 1.0)
    dev_demo.write_graphs(server.base, dev_demo.RELEASED, dict.fromkeys(dev_demo.SAMPLES, "What the clip says."))
    path = f"{dev_demo.GRAPHS.name}/{name}.json"
    assert path in server.get("/userdata?dir=workflows&recurse=true")
    run = client.run(ui_to_api(server.get(f"/userdata/{quote(f'workflows/{path}', safe='')}")))
    assert run.error is None and run.outputs

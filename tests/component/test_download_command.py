"""`higgs download` in processes of its own: listed, asked, killed, interrupted, with the oldest huggingface_hub."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from helpers_environments import ROOT, python_of
from helpers_hub import FETCHED, FILES, HUBERT, LM, content, fetched_bytes

from higgs_runtime.cli import main
from higgs_runtime.hub.catalog import find_checkpoints
from higgs_runtime.hub.releases import RELEASES


def test_without_a_name_it_lists_the_releases(capsys):
    assert main(["download"]) == 0
    out = capsys.readouterr().out
    for name, release in RELEASES.items():
        assert f"{name}\n    {release.about}; about {release.gigabytes} GB" in out and release.licence in out
    assert "pinned when it is begun" in out


def test_it_shows_the_files_and_their_licence_and_asks(hub, tmp_path, capsys, monkeypatch):
    words = ["download", LM.name, "--models-dir", str(tmp_path)]
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert LM.licence in out and LM.revision in out and "GB are free" in out and "--yes" in err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(words) == 130 and not list(tmp_path.iterdir())
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert main(words) == 0 and content(tmp_path / LM.name) == {name: FILES[name] for name in FETCHED}
    assert main([*words, "--yes"]) == 0 and "is there (" in capsys.readouterr().out
    assert main(["download", "v4"]) == 1


PROGRAM = "import sys; from higgs_runtime.cli import main; sys.exit(main(sys.argv[1:]))"


def command(hub, *words, python=sys.executable, **environment):
    """The higgs command in a process of its own, as a person starts it."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.Popen(
        [str(python), "-c", PROGRAM, "download", *map(str, words)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**usual, "HF_ENDPOINT": hub.url, **environment},
    )


def wait_for(test, seconds=30):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "interrupt"])
def test_a_download_resumes_after_a_killed_process(hub, tmp_path, how):
    hub.pause_s = 0.03
    process = command(hub, LM.name, "--yes", "--models-dir", tmp_path)
    wait_for(lambda: fetched_bytes(tmp_path) > 150_000)
    process.send_signal(signal.SIGKILL if how == "kill" else signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == (-9 if how == "kill" else 130)
    assert how == "kill" or "kept" in said
    assert find_checkpoints([tmp_path]) == []
    hub.pause_s, hub.ranges = 0, []
    out, err = (again := command(hub, LM.name, "--yes", "--models-dir", tmp_path)).communicate(timeout=60)
    assert again.returncode == 0, err
    assert any(int(asked[6:-1]) > 100_000 for asked in hub.ranges if asked)
    assert content(tmp_path / LM.name) == {name: FILES[name] for name in FETCHED}


@pytest.mark.slow
def test_the_oldest_huggingface_hub_does_it_too(hub, tmp_path):
    python = python_of("transformers-4.51")
    hub.break_after, hub.breaks = 200_000, 2
    done = command(hub, LM.name, "--yes", "--models-dir", tmp_path, python=python)
    out, err = done.communicate(timeout=60)
    assert done.returncode == 0, err
    assert content(tmp_path / LM.name) == {name: FILES[name] for name in FETCHED}
    hub.gate[HUBERT.repository] = (403, "GatedRepo")
    for environment, says in (({}, "accept the licence"), ({"HF_HUB_OFFLINE": "1"}, "switched off")):
        refused = command(hub, "hubert_base", "--yes", "--models-dir", tmp_path, python=python, **environment)
        assert says in refused.communicate(timeout=60)[1] and refused.returncode == 1
    hub.gate.clear()
    assert (
        "no such revision"
        in command(
            hub, "hubert_base", "--yes", "--revision", "e" * 40, "--models-dir", tmp_path, python=python
        ).communicate(timeout=60)[1]
    )

"""The versions that dev.py installs, and how it runs the tests with them."""

from __future__ import annotations

import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

import dev_env
import dev_locks
import pytest
from packaging.requirements import Requirement

import dev

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("machine", dev_locks.MACHINES)
@pytest.mark.parametrize("python", dev_locks.PYTHONS)
def test_every_lock_holds_what_is_asked_for(python, machine):
    file = dev_locks.lock_file(python, machine)
    found = dev_locks.pins(file.read_text(encoding="utf-8"))
    about = {"python_version": python, "sys_platform": machine.split("-")[0]}
    for line in map(Requirement, dev_env.wanted_packages("")):
        if line.marker is None or line.marker.evaluate(about):
            name = line.name.lower().replace("_", "-")
            assert line.specifier.contains(found[name], prereleases=True), f"{line} in {file.name}: run dev.py lock"


def test_locks_begin_with_the_oldest_python_that_is_promised():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={dev_locks.PYTHONS[0]}"' in project


def test_this_environment_is_the_locked_one():
    file = dev_locks.locked()
    if file is None or os.environ.get("HIGGS_TEST_ENV") == "newest" or Path(sys.prefix).parent != ROOT:
        pytest.skip("no lock for this Python and machine, the newest packages, or not run by dev.py")
    wanted = dev_locks.pins(file.read_text(encoding="utf-8"))
    assert {name: version(name) for name in wanted} == wanted


def test_the_lock_is_installed_as_it_is(monkeypatch, tmp_path):
    """Without dependencies, so that nothing newer comes along; a ComfyUI of the person's own has its say then."""
    steps = []
    monkeypatch.setattr(dev_env, "run_step", lambda title, command, remedy, env=None: steps.append(command))
    monkeypatch.setattr(dev_env, "succeeds", lambda *_: True)
    lock = dev_locks.lock_file("3.11", "linux-x86_64")
    dev_env.install_packages(dev_env.COMFYUI, lock, newest=False)
    assert [step[-4:] for step in steps] == [["install", "--no-deps", "-r", str(lock)]]
    dev_env.install_packages(tmp_path, lock, newest=False)
    assert len(steps) == 3 and steps[-1][-2:] == ["-r", str(tmp_path / "requirements.txt")]
    dev_env.install_packages(tmp_path, None, newest=True)
    assert "--upgrade" in steps[-1] and "--upgrade" in steps[-2] and dev_env.TORCH[0] not in steps[-2]


def test_torch_falls_back_to_the_platforms_wheels(monkeypatch, capsys, tmp_path):
    asked = []

    def step(title, command, remedy, env=None):
        asked.append(command[-3:])
        if len(asked) == 1:
            raise dev_env.StepFailed("no such version", remedy)

    monkeypatch.setattr(dev_env, "succeeds", lambda *_: False)
    monkeypatch.setattr(dev_env, "run_step", step)
    dev_env.install_torch(newest=False)
    assert asked == [dev_env.TORCH, ["torch", "torchvision", "torchaudio"]]
    assert "trying the newest" in capsys.readouterr().out
    monkeypatch.setattr(dev_env, "TORCH_DISK_GB", 1e9)
    with pytest.raises(dev_env.StepFailed, match="disk space"):
        dev_env.install_packages(tmp_path, None, newest=False)


def test_the_table_says_with_which_versions_the_lock_passed():
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pins = dev_locks.pins(dev_locks.lock_file("3.11", "linux-x86_64").read_text(encoding="utf-8"))
    assert "| " + " | ".join(pins[name] for name in dev_locks.TOLD) + " |" in table


def test_a_row_for_the_table():
    row = dev_locks.versions_row(Path(sys.executable))
    assert row.count("|") == 3 + len(dev_locks.TOLD) and f"| {version('torch')} |" in row


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_run_with_the_name_of_its_test(tmp_path, capfd):
    (tmp_path / "test_one.py").write_text(
        "import os, time\nimport pytest\n\n"
        "@pytest.mark.parametrize('n', range(40))\ndef test_quick(n):\n    time.sleep(0.02)\n\n"
        "def test_that_dies():\n    os._exit(3)\n\n"
        "@pytest.mark.parametrize('n', range(40))\ndef test_after(n):\n    time.sleep(0.02)\n"
    )
    started = time.monotonic()
    status = dev.pytest({**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider"}, *dev.SIDE_BY_SIDE, str(tmp_path))
    assert status != 0 and time.monotonic() - started < 120
    assert "test_that_dies" in capfd.readouterr().out


def test_other_processors_are_tried_and_one_failure_is_shown(monkeypatch, capsys, tmp_path):
    program = "import os, sys; print(os.environ['KIND']); sys.exit(os.environ['KIND'] == 'b')"
    monkeypatch.setattr(dev, "venv_python", lambda: sys.executable)
    monkeypatch.setattr(dev, "NUMERIC_COMMAND", ["-c", program])
    monkeypatch.setattr(dev, "OTHER_PROCESSORS", {kind: {"KIND": kind} for kind in "abc"})
    assert dev.on_other_processors(dict(os.environ)) == 1
    shown = capsys.readouterr().out
    assert all(f"{kind}: {kind}" in shown for kind in "abc")

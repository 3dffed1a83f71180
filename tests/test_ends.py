"""How a process ends that was speaking: with its own status, in child processes, with the pack's checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCENE = "[Anna] Good morning.\n[Anna] Hello, my friend.\n[Anna] Good night.\n"
RENDER = ["render-script", "scene.txt", "--voice", "rose", "--max-seconds", "1", "--batch", "2"]

FULL_DISK = """
import errno, os
from higgs_runtime.takes import take_files
stored, replace = [], os.replace

def full(source, target):
    if "takes" in str(target):
        stored.append(target)
        if len(stored) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    replace(source, target)

take_files.os.replace = full
"""
TWICE_INTERRUPTED = """
from higgs_runtime.cli import say

def pressed(text):
    raise KeyboardInterrupt

say.progress = pressed
"""
MAIN = "import sys\nfrom higgs_runtime.cli import main\nsys.exit(main(sys.argv[1:]))\n"
LEFT = """
from higgs_runtime import Sampling, speak_stream
clips = speak_stream("Good morning. The story is ready.", sampling=Sampling(max_frames=100))
print(next(clips).seconds)
"""


def end_of(folder: Path, code: str, *args: str) -> subprocess.CompletedProcess:
    (folder / "scene.txt").write_text(SCENE, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if name not in ("HIGGS_MODELS", "COMFYUI_PATH")}
    env |= {"HIGGS_TAKES": str(folder / "takes"), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.run([sys.executable, "-c", code, *args], cwd=folder, env=env, capture_output=True, text=True,
                          timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("code, args, status, words", [
    pytest.param(FULL_DISK + MAIN, RENDER, 1, "No space left", id="the disk is full after the first take"),
    pytest.param(TWICE_INTERRUPTED + MAIN, ["say", "Good morning.", "-o", "a.wav"], 130, "interrupted", id="Ctrl-C"),
    pytest.param(LEFT, [], 0, "", id="a stream that nobody reads on"),
])
def test_a_process_that_breaks_off_ends_with_its_own_status(tmp_path, code, args, status, words):
    ended = end_of(tmp_path, code, *args)
    assert (ended.returncode, ended.stderr.count("terminate called")) == (status, 0), ended.stderr
    assert words in ended.stderr


@pytest.mark.slow
def test_a_folder_of_takes_that_cannot_be_written_is_said_before_speaking(tmp_path):
    ended = end_of(tmp_path, MAIN, *RENDER, "--takes-dir", "scene.txt/takes")
    assert ended.returncode == 1 and "Nothing can be written" in ended.stderr and "spoken" not in ended.stdout

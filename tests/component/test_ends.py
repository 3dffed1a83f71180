"""How a process ends that was speaking: with its own status, in child processes, with the pack's checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENE = "[Anna] Good morning.\n[Anna] Hello, my friend.\n[Anna] Good night.\n"
RENDER = ["render-script", "scene.txt", "--voice", "rose", "--max-seconds", "1", "--batch", "2"]

FULL_DISK = """
import errno, os
stored, replace = [], os.replace

def full(source, target):
    if "takes" in str(target):
        stored.append(target)
        if len(stored) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    replace(source, target)

os.replace = full
"""
TWICE_INTERRUPTED = """
from higgs_runtime.cli import say

def pressed(text):
    raise KeyboardInterrupt

say.progress = pressed
"""
IMPORT_INTERRUPTED = """
import signal
from higgs_runtime.cli import say

def loading():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        raise ImportError("cannot load module more than once per process") from error

signal.signal(signal.SIGINT, signal.default_int_handler)
say.check_requirements = loading
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
    return subprocess.run(
        [sys.executable, "-c", code, *args], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "code, args, status, words",
    [
        pytest.param(FULL_DISK + MAIN, RENDER, 1, "No space left", id="the disk is full after the first take"),
        pytest.param(
            TWICE_INTERRUPTED + MAIN, ["say", "Good morning.", "-o", "a.wav"], 130, "interrupted", id="Ctrl-C"
        ),
        pytest.param(IMPORT_INTERRUPTED + MAIN, ["say", "Good morning."], 130, "interrupted", id="Ctrl-C in an import"),
        pytest.param(LEFT, [], 0, "", id="a stream that nobody reads on"),
    ],
)
def test_a_process_that_breaks_off_ends_with_its_own_status(tmp_path, code, args, status, words):
    ended = end_of(tmp_path, code, *args)
    assert (ended.returncode, ended.stderr.count("terminate called")) == (status, 0), ended.stderr
    assert words in ended.stderr


@pytest.mark.slow
def test_an_unwritable_takes_folder_is_reported_before_speaking(tmp_path):
    ended = end_of(tmp_path, MAIN, *RENDER, "--takes-dir", "scene.txt/takes")
    assert ended.returncode == 1 and "Nothing can be written" in ended.stderr and "spoken" not in ended.stdout


@pytest.mark.parametrize(
    "output, encoding, status", [("/dev/full", "utf-8", 1), ("closed", "utf-8", 141), ("read", "ascii", 0)]
)
def test_an_output_that_takes_nothing_or_only_some_letters(tmp_path, output, encoding, status):
    """A full disk, a reader that has gone, and a terminal of another time end without a traceback."""
    (tmp_path / "scene.txt").write_text(SCENE, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    args = [sys.executable, "-c", MAIN, "script", "check", "--turns", "scene.txt"]
    reads, writes = os.pipe()
    if output == "closed":
        os.close(reads)
    with open(output, "wb") if output.startswith("/") else os.fdopen(writes, "wb") as out:
        ended = subprocess.run(args, cwd=tmp_path, env=env, stdout=out, stderr=subprocess.PIPE, text=True, timeout=100)
    assert ended.returncode == status and "Traceback" not in ended.stderr and "Exception" not in ended.stderr
    assert ("No space left" in ended.stderr) == (status == 1)
    if output == "read":
        assert b"3 turns \\xb7 1 speaker" in os.read(reads, 10_000)


@pytest.mark.slow
@pytest.mark.parametrize("utf8, words", [("1", "nothing to say"), ("0", "is not text")])
def test_input_that_is_not_text_is_reported(tmp_path, utf8, words):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": utf8, "LC_ALL": "C.UTF-8"}
    env |= {"PYTHONIOENCODING": "utf-8:strict"} if utf8 == "0" else {}
    ended = subprocess.run(
        [sys.executable, "-c", MAIN, "say", "-"],
        cwd=tmp_path,
        env=env,
        input=b"\xff\xfe",
        capture_output=True,
        timeout=100,
    )
    assert ended.returncode == 1 and words in ended.stderr.decode() and "Traceback" not in ended.stderr.decode()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_disk_that_is_full_by_a_few_bytes(tmp_path):
    """What is buffered meets the limit where libsndfile seeks: it would print a traceback and go on."""
    code = (
        "import resource, signal, sys, torch\nfrom higgs_runtime import AudioClip, AudioError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "for length in range(4440, 4540):\n    try:\n"
        "        AudioClip(torch.zeros(1, length), 24_000).save(sys.argv[1])\n"
        "    except AudioError as error:\n        print(error)\n"
    )
    ended = end_of(tmp_path, code, str(tmp_path / "a.wav"))
    assert ended.stderr == "" and "could not be written" in ended.stdout

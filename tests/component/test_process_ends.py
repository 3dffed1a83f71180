"""How a process ends that breaks off while generators are suspended between two steps of a model: with a status of its
own, never by an abort. Each case runs in a process, for an abort ends all that is in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENE = "[Anna] Good morning.\n[Jack] Hello, Anna.\n\nThen she smiled.\n[Anna] Hello, Jack.\n"
BOOK = "# Chapter 1\n\nGood morning. Hello, Anna.\n\n# Chapter 2\n\nThen she smiled. Hello, Jack.\n"
FAULTS = {
    "disk": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))",
    "store": "from higgs_runtime import TakeStore; TakeStore.put = fails(OSError(28, 'No space left on device'))",
    "second take": "from higgs_runtime import TakeStore; TakeStore.put = fails(OSError(5, 'I/O error'), TakeStore.put)",
    "listener": "from higgs_runtime.rendering.line_by_line import _Booth; _Booth._add = fails(OSError(5, 'I/O error'))",
}
SAID = {
    "disk": "higgs: A take could not be stored in",
    "store": "got No space left on device",
    "second take": "got I/O error",
    "listener": "got I/O error",
}
START = """
import gc, os, sys
sys.path.insert(0, os.environ["PACK"])
def fails(error, first=None):
    calls = []
    def call(*given, **named):
        calls.append(1)
        if first and len(calls) == 1:
            return first(*given, **named)
        raise error
    return call
from higgs_runtime import *
"""
HELD = """  # what computes with a model, left suspended where it stays until Python ends
from higgs_runtime.hub.catalog import default_pair
import torch
lm, tokenizer = default_pair([])
model, codec = load_model(lm.path), load_codec(tokenizer.path)
text = "Good morning. Hello, Anna. Then she smiled."
prompt = build_prompt([Message("system", ["Speak."]), Message("user", [text])], model.tokenizer)
codes = Codes(torch.ones(model.config.num_codebooks, 30, dtype=torch.long), codec.frame_rate, codec.codebook_size)
codes = Codes(codes.ids, codes.frame_rate, codes.codebook_size, codec.identity)
short, long = Sampling(max_frames=9), Sampling(max_frames=60)
held = [
    speak_stream(text),
    stream(model, prompt, long),
    Session(model).takes([prompt, prompt], [short, long]),
    Session(model).serve(iter([(prompt, long)]), positions=900, window=9),
    codec.decode_stream(stream(model, prompt, long)),
    codec.decode_stream(codes for _ in range(9)),
]
print(sum(next(one) is not None for one in held))
"""


def run(script: str, folder: Path) -> subprocess.CompletedProcess:
    kept = {name: value for name, value in os.environ.items() if name not in ("HIGGS_MODELS", "COMFYUI_PATH")}
    return subprocess.run(
        [sys.executable, "-c", START + script],
        cwd=folder,
        env={**kept, "PACK": str(ROOT), "HIGGS_TAKES": str(folder / "takes")},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="limits files as POSIX does")
@pytest.mark.parametrize(
    "fault", [pytest.param(one, marks=() if one == "disk" else pytest.mark.slow) for one in FAULTS]
)
def test_a_store_that_fails_between_two_takes(tmp_path, fault):
    """Where the lines beside the failed one are not closed, the process aborts when they are collected."""
    is_book = fault == "second take"
    (tmp_path / "scene.txt").write_text(BOOK if is_book else SCENE, encoding="utf-8")
    command = ["render-script", "scene.txt", "--max-seconds", "3", "--batch", "2", *["--book"] * is_book]
    voices = ["rose"] if is_book else ["rose", "bear", "ross"]
    command += [word for voice in voices for word in ("--voice", voice)]
    done = run(f"{FAULTS[fault]}\ngc.disable()\nfrom higgs_runtime import cli\nsys.exit(cli.main({command}))", tmp_path)
    assert done.returncode == 1, done.stderr[-2000:]
    assert SAID[fault] in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "scene.flac").exists()


def test_steps_that_nobody_reads_on(tmp_path):
    done = run(HELD, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "6"), done.stderr[-2000:]

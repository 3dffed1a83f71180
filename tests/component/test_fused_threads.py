"""Nothing between two compiled steps wakes the threads of torch: they look for work for a while, on the same cores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import os
import torch
from higgs_runtime import Sampling, build_prompt, conversation, generate, load_model

torch.set_num_threads(1)  # loading and reading prompts start none, and the compiled step has one
model = load_model("higgs_runtime/nano/higgs-nano")
prompts = [build_prompt(conversation(text), model.tokenizer) for text in ("The old bridge.", "The warm bread.")]
seen = []

def on_frames(index, frames):
    torch.set_num_threads(4)
    seen.append(len(os.listdir("/proc/self/task")))

generate(model, prompts, Sampling(temperature=1, max_frames=24), on_frames=on_frames)
print(*sorted(set(seen)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted as Linux shows them")
def test_nothing_between_two_steps_wakes_the_threads_of_torch():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 1, f"threads during the run: {done.stdout}"

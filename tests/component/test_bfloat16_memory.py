"""A bfloat16 checkpoint on a CPU takes what its file is, while it is loaded and while it speaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers_checkpoint import GIGABYTE, make_lm_checkpoint
from helpers_vocabulary import short_llama_tokenizer
from make_random_checkpoint import make_sparse_language_model

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from pathlib import Path
import torch
from higgs_runtime import Sampling, build_prompt, conversation, generate, load_model
from higgs_runtime.hub import model_bytes

def held(name):
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024

def speak(folder):
    model = load_model(folder, dtype=torch.bfloat16)
    prompt = build_prompt(conversation("Hello, this is a line of some words."), model.tokenizer)
    take = generate(model, [prompt], Sampling(max_frames=2))[0]
    assert take.frames
    return model

speak(sys.argv[1])
before = held("VmHWM"), held("RssAnon")
model = speak(sys.argv[2])
print((held("VmHWM") - before[0]) / model_bytes(model), (held("RssAnon") - before[1]) / model_bytes(model))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_checkpoint_is_read_where_it_lies(tmp_path):
    small = make_lm_checkpoint(tmp_path / "small", dtype="bfloat16", hidden_size=64, intermediate_size=128)
    large = make_sparse_language_model(tmp_path / "large", short_llama_tokenizer(), **GIGABYTE)
    file = (large / "model.safetensors").stat()
    assert file.st_size > 6e8 and file.st_blocks * 512 < 0.5 * file.st_size, "it is sparse"
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(small), str(large)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak, copied = map(float, done.stdout.split())
    assert peak <= 1.05, "while it was loaded and spoke"
    assert copied < 0.03, "what is not in the file"

"""What loading takes of memory, in every form of the files: little more than what stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import helpers_gguf as forms
import pytest
from gguf import GGMLQuantizationType as Kind
from helpers_checkpoint import make_lm_checkpoint
from helpers_forms import as_port, in_float8
from helpers_v3 import make_v3_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

PROGRAM = """
import sys, torch
from higgs_runtime.model.memory import weights_bytes
from higgs_runtime.model.loading import LAYOUTS, load_model
from higgs_runtime.checkpoint.source import open_source
from higgs_runtime.hub.cache import model_bytes
from higgs_runtime.model.transformer import HiggsModel
import transformers, tokenizers, safetensors.torch
path, dtype, quantization, twin = sys.argv[1], getattr(torch, sys.argv[2]), sys.argv[3] or None, sys.argv[4]
raw = open_source(path).config
config = LAYOUTS[raw["model_type"]].parse(raw)
load_model(twin)  # tokenizer and libraries, whose own peaks are not meant
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024
before = peak()
model = load_model(path, dtype=dtype, quantization=quantization)
model.audio_head.weight.sum(), model.text_embedding.weight.sum()
print(peak() - before, model_bytes(model), weights_bytes(config, dtype, quantization))
"""
LARGE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 6, "num_attention_heads": 12}
LARGE |= {"num_key_value_heads": 4, "head_dim": 64}


def rise(path: Path, dtype: str, quantization: str | None, twin: Path) -> tuple[int, int, int]:
    """(above what the process had before, what stays, what was expected to), in bytes; pages of files count."""
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(path), dtype, quantization or "", str(twin)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = tuple(map(int, done.stdout.split()))
    assert len(found) == 3
    return found


def check(path: Path, dtype: str, quantization: str | None, twin: Path) -> None:
    risen, size, estimate = rise(path, dtype, quantization, twin)
    assert abs(estimate / size - 1) < 0.01
    assert risen < 1.15 * size + 30e6, "tokenizer and libraries are loaded a second time: some MB"


@pytest.mark.parametrize(
    "stored, dtype, quantization",
    [
        ("bfloat16", "float32", None),
        ("bfloat16", "bfloat16", None),
        ("bfloat16", "bfloat16", "int8"),
        ("float32", "bfloat16", None),
        ("float32", "bfloat16", "int4"),
        ("float8", "bfloat16", None),
        ("float8", "bfloat16", "int8"),
    ],
)
def test_loading_a_folder_takes_little_more_than_the_model(tmp_path, stored, dtype, quantization):
    folder = make_lm_checkpoint(tmp_path / "lm", **LARGE, dtype="bfloat16" if stored == "float8" else stored)
    if stored == "float8":
        folder, _ = in_float8(folder, tmp_path / "float8", "{0}_scale:channel")
    check(folder, dtype, quantization, make_lm_checkpoint(tmp_path / "twin", num_hidden_layers=1))


@pytest.mark.parametrize("quantization", [None, "int8"])
def test_loading_the_port_takes_little_more_than_the_model(tmp_path, quantization):
    source = as_port(make_v3_checkpoint(tmp_path / "v3", **LARGE), tmp_path / "port", shards=3)
    check(source, "bfloat16", quantization, make_lm_checkpoint(tmp_path / "twin", num_hidden_layers=1))


@pytest.mark.parametrize("stored", ["float8", "bfloat16"])
def test_loading_8_bit_floats_that_stay_so_takes_little_more_than_the_model(tmp_path, stored):
    folder = make_lm_checkpoint(tmp_path / "lm", **LARGE, dtype="bfloat16")
    if stored == "float8":
        folder, _ = in_float8(folder, tmp_path / "float8", "{0}_scale:tensor")
    check(folder, "bfloat16", "fp8", make_lm_checkpoint(tmp_path / "twin", num_hidden_layers=1))


WRITERS = {
    "audio.cpp": lambda source, folder, chosen: forms.audiocpp(source, folder / "model.gguf", chosen),
    "higgs-audio.cpp": lambda source, folder, chosen: forms.bluryar(source, folder / "model.gguf", chosen),
    "CrispASR": lambda source, folder, chosen: forms.crispasr(source, folder / "model.gguf", chosen),
    "llama.cpp": lambda source, folder, chosen: forms.pair(source, folder, chosen)[0],
}


@pytest.mark.parametrize("quantization", [None, "int8"])
@pytest.mark.parametrize("writer", WRITERS)
def test_loading_a_gguf_of_each_writer_takes_little_more_than_the_model(tmp_path, writer, quantization):
    source = make_v3_checkpoint(tmp_path / "v3", **LARGE)
    small = make_v3_checkpoint(tmp_path / "small", num_hidden_layers=1)
    file, twin = (
        WRITERS[writer](one, tmp_path / one.name / "gguf", forms.everywhere(Kind.Q8_0)) for one in (source, small)
    )
    check(file, "bfloat16", quantization, twin)


@pytest.mark.parametrize(
    "kind, dtype, quantization",
    [
        (Kind.Q8_0, "float32", None),
        (Kind.Q8_0, "bfloat16", None),
        (Kind.Q8_0, "bfloat16", "int8"),
        (Kind.Q4_K, "bfloat16", "int4"),
        (Kind.BF16, "bfloat16", None),
    ],
)
def test_loading_a_gguf_takes_little_more_than_the_model(tmp_path, kind, dtype, quantization):
    """No copy of the model in floating point is there on the way."""
    source = make_v3_checkpoint(tmp_path / "v3", **LARGE)
    file = forms.studio(source, tmp_path / "gguf" / "model.gguf", forms.everywhere(kind))
    small = make_v3_checkpoint(tmp_path / "small", num_hidden_layers=1)
    twin = forms.studio(small, tmp_path / "twin" / "model.gguf", forms.everywhere(Kind.Q8_0))
    check(file, dtype, quantization, twin)

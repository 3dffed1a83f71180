"""`python dev.py bench gpu`: its table, what becomes of stages that fail or take too long, and its code in small."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
SCRIPT = BENCHMARKS / "gpu.py"
ROW = '["v3 bf16 1", "v3 bf16, 1 line", 10.0, "s of audio a second"]'


@pytest.fixture
def bench(monkeypatch):
    """The script as a module, under a name of its own."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import importlib.util

    spec = importlib.util.spec_from_file_location("benchmarks_gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def args(tmp_path):
    return argparse.Namespace(device="cpu", shape="small", output=tmp_path / "table" / "gpu.md")


def told(path: Path) -> dict:
    """The line of JSON in a table."""
    return json.loads(path.read_text(encoding="utf-8").split("```json\n")[1].split("\n```")[0])


def test_the_table_is_whole_after_each_stage(bench, args):
    table = bench.Table(args)
    row = bench.Row("v3 bf16 16", "v3 bf16, 16 lines", 61.0, "s of audio a second")
    table.add("v3 bf16", "cut, 5 s", [row, bench.Row("v3 bf16 share", "share", 0.7, "")])
    text = args.output.read_text(encoding="utf-8")
    assert "| v3 bf16 | cut, 5 s |" in text and "| 61 | 60 | met |" in text and "| 0.7 | 0.75 | missed |" in text
    assert text.count("not measured") == 2
    table.add("v3 int8", "done, 4 s", [bench.Row("v3 int8 1", "", 16.0, ""), bench.Row("v3 bf16 1", "", 10.0, "")])
    assert "| v3, 1 line: int8 / bf16 | 1.6 | 1.5 | met |" in args.output.read_text(encoding="utf-8")
    found = told(args.output)
    assert found["found"]["v3 bf16 16"] == 61.0 and list(found["stages"]) == ["v3 bf16", "v3 int8"]
    assert {"device", "driver", "torch", "transformers", "triton", "Python"} <= set(found)
    assert not table.failed


@pytest.mark.parametrize(
    "script, seconds, how, rows",
    [
        (f"print('{ROW}', flush=True)\nimport time\ntime.sleep(60)", 6, "cut", 1),
        (f"print('{ROW}')\nraise SystemExit(3)", 30, "failed (3)", 1),
        (f"print('a warning of some library')\nprint('{ROW}')", 30, "done", 1),
        ("print('never run')", 4, "left out", 0),
    ],
)
def test_a_stage_that_is_cut_or_fails_keeps_its_rows(bench, args, tmp_path, monkeypatch, script, seconds, how, rows):
    stand_in = tmp_path / "stage.py"
    stand_in.write_text(script)
    monkeypatch.setattr(bench, "__file__", str(stand_in))
    ended, found = bench.run_stage("sound", seconds, args)
    assert ended.startswith(how) and len(found) == rows
    table = bench.Table(args)
    table.add("sound", ended, found)
    assert table.failed == (how == "failed (3)")


def test_tests_that_fail_make_it_fail(bench, args):
    table = bench.Table(args)
    table.add("tests", "done, 4 s", [bench.Row("tests failed", "", 1.0, "")])
    assert table.failed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_at_once(tmp_path):
    command = [sys.executable, str(SCRIPT), "--output", str(tmp_path / "gpu.md")]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", timeout=60)
    assert done.returncode == 2 and "no CUDA GPU" in done.stdout and "--device cpu --shape small" in done.stdout
    assert not (tmp_path / "gpu.md").exists()


def test_a_model_made_on_the_device_never_ends_a_take(bench, monkeypatch):
    """Both layouts, quantized too: the speeds are of takes of one length."""
    import _gpu_stages as stages

    place = stages.Place("cpu", True, 60.0)
    for name in ("v2", "v3"):
        for quantization in (None, "int8", "int4"):
            model = stages.random_model(place, name, quantization)
            assert stages.frames_per_second(place, model, 2) > 0
            assert stages.path_bytes(model) < stages.model_bytes(model)


def test_released_shapes_are_those_of_the_checkpoints(bench):
    """3.6 and 3.5 billion weights on a frame's path: what 75 % of the bandwidth is reckoned from."""
    import _gpu_stages as stages
    from helpers_checkpoint import RELEASED_V2

    assert stages.V2.hidden_size == RELEASED_V2["hidden_size"] and stages.V2.num_layers == 28
    with torch.device("meta"):
        paths = {name: stages.path_bytes(stages.HiggsModel(config)) / 4 for name, config in stages.CONFIGS.items()}
    assert paths["v2"] == pytest.approx(28 * (3072 * (40 + 24) * 128 + 3 * 3072 * 8192) + 8208 * 3072)
    assert paths["v3"] == pytest.approx(36 * (2560 * (48 + 32) * 128 + 3 * 2560 * 9728) + 8208 * 2560)


@pytest.mark.slow
def test_the_whole_of_it_in_small(tmp_path):
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--shape", "small", "--output", str(tmp_path / "gpu.md")]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", timeout=560)
    found = told(tmp_path / "gpu.md")
    assert done.returncode == 0, done.stdout
    assert all(how.startswith("done") for how in found["stages"].values())
    assert {"tests", "sound", "transformers", "v3 bf16", "v2 int4"} <= set(found["stages"])
    kinds = [f"{name} {kind}" for name in ("v2", "v3") for kind in ("bf16", "int8", "int4")]
    wanted = {f"{kind} {what}" for kind in kinds for what in ("1", "3", "share", "weights")}
    wanted |= {"tests skipped", "first sound", "codec", "codec beside", "times transformers", "v3 bf16 plain"}
    assert wanted <= set(found["found"]) and all(value >= 0 for value in found["found"].values())

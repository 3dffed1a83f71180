"""What Numba keeps on the disk is of one place of the pack: under another name it is not misled by it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUNTIME = Path(__file__).resolve().parents[2] / "higgs_runtime"
PROGRAM = """
import importlib.util, logging, sys
logging.basicConfig(level=logging.INFO)
name, folder = sys.argv[1:]
spec = importlib.util.spec_from_file_location(name, folder + "/__init__.py", submodule_search_locations=[folder])
pack = sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
model = pack.load_model(folder + "/nano/higgs-nano")
prompt = pack.build_prompt(pack.conversation("The old bridge."), model.tokenizer)
spoken = pack.generate(model, [prompt], pack.Sampling(max_frames=3))[0].codes
print(spoken.ids.tolist())
codec = pack.load_codec(folder + "/nano/higgs-nano-codec")
print(codec.decode(spoken).samples.sum().item(), codec._fast.now() is not None)
"""


@pytest.mark.slow
def test_packs_of_different_names_share_a_folder(tmp_path):
    """As in ComfyUI, which names a pack by its path, beside the command line; then with one of its files changed."""
    pack = tmp_path / "pack"
    shutil.copytree(RUNTIME, pack, ignore=shutil.ignore_patterns("__pycache__"))
    kernel = pack / "generation" / "cpu_kernel"
    kept = kernel / "__pycache__"
    said = [speak(name, pack, compiles=True) for name in ("/comfy/custom_nodes/Higgs", "higgs_pack_under_test")]
    files, loops = (
        set(kept.glob("*.nbi")),
        set((pack / "codec" / "cpu_kernel" / "__pycache__").glob("kernels.rows_of_*.nbi")),
    )
    assert len(files) == len(loops) == 2
    said.append(speak("/comfy/custom_nodes/Higgs", pack))
    assert set(kept.glob("*.nbi")) == files, "it was there already"
    with (kernel / "draws.py").open("a") as source:
        source.write("\n# another edition\n")
    said.append(speak("/comfy/custom_nodes/Higgs", pack, compiles=True))
    assert len(set(kept.glob("*.nbi"))) == 3, "what another edition compiled is not used"
    assert len(set(said)) == 1 and said[0].endswith("True\n")


def speak(name: str, folder: Path, *, compiles: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder.parent,
    )
    assert done.returncode == 0 and "slower" not in done.stderr, done.stderr
    assert ("being compiled" in done.stderr) == compiles, "who waits half a minute is told"
    return done.stdout

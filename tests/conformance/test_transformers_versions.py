"""The oldest transformers we promise and the newest, each in an environment of its own: import, load, encode, generate,
decode; and with the newest the parity of the language model.

`python dev.py test` makes these environments. The checkpoints come from today's transformers, as the released ones do;
the codes and the sound have to be those of this environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint
from helpers_environments import python_of

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import json, sys
import torch, transformers
from higgs_runtime import AudioClip, Sampling, Voice, build_prompt, conversation, generate, load_codec, load_model

lm, codec = load_model(sys.argv[1]), load_codec(sys.argv[2])
time = torch.arange(codec.sample_rate) / codec.sample_rate
clip = AudioClip(0.3 * torch.sin(2 * torch.pi * 220 * time)[None], codec.sample_rate)
voice = Voice(codec.encode(clip), "One two three.")
prompt = build_prompt(conversation("Four five six.", [voice]), lm.tokenizer)
(made,) = generate(lm, [prompt], Sampling(seed=7, temperature=1.0, max_frames=12))
sound = codec.decode(made.codes).samples if made.frames else torch.zeros(1, 0)
print(json.dumps({
    "transformers": transformers.__version__,
    "prompt": prompt.token_ids.tolist(),
    "reference": voice.codes.ids.tolist(),
    "codes": made.codes.ids.tolist(),
    "finish": made.finish_reason,
    "samples": sound.shape[-1],
    "loudness": round(float(sound.square().mean().sqrt()), 4),
}))
"""


def speak_with(python: Path | str, lm: Path, codec: Path) -> dict:
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", PROGRAM, str(lm), str(codec)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("version", ["4.51", "5.24"])
def test_another_transformers_speaks_like_todays(tmp_path, version):
    python = python_of(f"transformers-{version}")
    lm, codec = make_lm_checkpoint(tmp_path / "lm", whole_vocabulary=True), make_codec_checkpoint(tmp_path / "codec")
    there, here = speak_with(python, lm, codec), speak_with(sys.executable, lm, codec)
    assert there.pop("transformers").startswith(f"{version}.")
    assert here.pop("transformers").startswith("5.")
    assert len(there["codes"][0]) > 0 and there["samples"] > 0 and there["loudness"] > 0
    assert there == here


@pytest.mark.slow
def test_parity_with_the_newest_transformers():
    """5.24 renamed the cache of its models, which the reference implementation is stepped with."""
    tests = ["-q", "-p", "no:cacheprovider", "-m", "not gpu", "tests/conformance/test_model_parity.py"]
    done = subprocess.run(
        [str(python_of("transformers-5.24")), "-m", "pytest", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
    )
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]

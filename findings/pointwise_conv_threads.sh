#!/usr/bin/env bash
# torch 2.14.1 on a CPU: a convolution by one tap gives other bits with two threads than with one; the same product of
# matrices does not.
#
# conv1d with kernel 1, x [1, C, T] and weight [C, C, 1], is weight @ x + bias. Seen on x86-64 with AVX-512: with one thread
# its result and that of addmm are the same to the last bit, for every shape below. With two threads or four conv1d differs
# from itself with one (by 1e-7 or so of the values), and addmm is as before. It was also slower with two threads than
# with one for long signals of few channels, as the last layers of an audio codec have them: 198 against 3,954 µs for
# [1, 8, 81600] on two cores; times are printed and not judged. For a codec whose sound should not depend on the number of
# cores: write pointwise convolutions as products.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import statistics
import sys
import time

import torch
from torch.nn.functional import conv1d


def milliseconds(call):
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return f"{1e3 * statistics.median(seconds):.2f} ms"


generator, changed = torch.Generator().manual_seed(0), False
torch.set_grad_enabled(False)
for channels, length in ((64, 1700), (32, 5100), (16, 20400), (8, 81600)):
    x = torch.randn(1, channels, length, generator=generator)
    weight = torch.randn(channels, channels, 1, generator=generator)
    bias = torch.randn(channels, generator=generator)
    calls = {
        "conv1d": lambda: conv1d(x, weight, bias)[0],
        "addmm": lambda: torch.addmm(bias[:, None], weight[:, :, 0], x[0]),
    }
    found = {}
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        for name, call in calls.items():
            found[name, threads] = call()
            print(f"[1, {channels}, {length}] {name} by {threads}: {milliseconds(call)}")
    same = {key: torch.equal(value, found["conv1d", 1]) for key, value in found.items()}
    print("    as conv1d by one thread:", same)
    changed |= [key for key, value in same.items() if not value] != [("conv1d", 2), ("conv1d", 4)]
sys.exit(changed)
PYTHON

#!/usr/bin/env bash
# pyloudnorm 0.2.0 measures a short clip quieter than it is, by up to 0.28 LU, depending on where it ends.
#
# ITU-R BS.1770-5 has loudness measured in whole blocks of 0.4 s, every 0.1 s; what is left at the end does not count.
# Seen: a steady tone has the same loudness at 0.40, 0.449 and 0.50 s, and is 0.28 LU quieter at 0.451 s: the number of
# blocks is rounded, so that from half a step on one more is measured that reaches beyond the end, and its power is still
# divided by 0.4 s. The difference shrinks as clips get longer (0.06 LU at 1.16 s). For lines of speech of one second, brought
# to one loudness: measure whole blocks only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyloudnorm==0.2.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import pyloudnorm

rate = 48_000
found = {}
for seconds in (0.400, 0.449, 0.451, 0.500, 0.549, 0.551, 1.0, 1.16):
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(round(seconds * rate)) / rate)
    found[seconds] = float(pyloudnorm.Meter(rate).integrated_loudness(tone))
    print(f"{seconds:.3f} s: {found[seconds]:.3f} LUFS, {found[seconds] - found[0.4]:+.3f} LU")
quieter = {seconds: round(value - found[0.4], 2) for seconds, value in found.items()}
wanted = {0.4: 0, 0.449: 0, 0.451: -0.28, 0.5: 0, 0.549: 0, 0.551: -0.18, 1.0: 0, 1.16: -0.05}
sys.exit(any(abs(quieter[seconds] - wanted[seconds]) > 0.02 for seconds in wanted))
PYTHON

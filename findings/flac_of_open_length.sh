#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile) opens a FLAC file whose header leaves the number of samples open, and cannot read it.
#
# RFC 9639, section 8.2: a total of 0 samples in STREAMINFO means that it is not known, as encoders write it into a pipe.
# Seen: the file opens and says it has 2^63 - 1 frames; its first 1,000 samples are read, and reading all 24,000 that it
# holds raises LibsndfileError 39, so that the samples before the end are lost with it. With the total stated both work.
# PyAV 18.1.0 reads both files whole. For a reader: a length that cannot be is a reason to take another library.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q soundfile==0.14.0 numpy==2.4.6 av==18.1.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import av
import numpy as np
import soundfile

soundfile.write("stated.flac", np.linspace(-0.5, 0.5, 24_000), 24_000)
data = bytearray(open("stated.flac", "rb").read())
at = 4 + 4 + 13  # "fLaC", the block's header, then STREAMINFO up to the low nibble that begins the 36 bits of the total
data[at] &= 0xF0
data[at + 1 : at + 5] = bytes(4)
open("open.flac", "wb").write(data)

def soundfile_reads(name, count):
    with soundfile.SoundFile(name) as file:
        try:
            return len(file.read(count))
        except soundfile.LibsndfileError as error:
            return f"LibsndfileError {error.code}"


found = {}
for name in ("stated.flac", "open.flac"):
    with av.open(name) as container:
        whole = sum(frame.samples for frame in container.decode(audio=0))
    found[name] = soundfile.info(name).frames, soundfile_reads(name, 1000), soundfile_reads(name, 24_000), whole
    print(name, "frames by soundfile's header, 1,000 asked for, all asked for, all by PyAV:", *found[name], sep="\n    ")
wanted = {"stated.flac": (24_000, 1000, 24_000, 24_000), "open.flac": (2**63 - 1, 1000, "LibsndfileError 39", 24_000)}
sys.exit(found != wanted)
PYTHON

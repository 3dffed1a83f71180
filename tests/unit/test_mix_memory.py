"""A long mix of many tracks in little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers_audio import sine

from higgs_runtime.audio.mix import AudioFile

ROOT = Path(__file__).resolve().parents[2]
HOUR_S, TRACKS, LIMIT_MB = 3600, 20, 100  # the mix itself is 346 MB as float32
PROGRAM = """
import sys
from pathlib import Path
from higgs_runtime.audio.mix import AudioFile, Ducking, mix_to_file
from higgs_runtime import Track

def peak():  # not getrusage, which also counts what the parent held
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    return int(line.split()[1]) / 1000

folder, seconds, count = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
def tracks(seconds):
    files = [AudioFile(folder / name) for name in ("same.wav", "other.wav")]
    return [Track(files[n % 10 == 1], n / 10, -30.0 + n / 4, loop_s=seconds - n, fade_in_s=1.0, fade_out_s=2.0,
                  speech=[(1.0, 2.0)] if n else None, duck=None if n else Ducking()) for n in range(count)]
mix_to_file(tracks(60.0), folder / "warm.flac")
before = peak()
mix_to_file(tracks(seconds), folder / "hour.flac")
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads this system's peak of memory")
def test_an_hour_of_twenty_tracks_in_little_memory(tmp_path):
    sine(300, 9, -20, rate=24_000).save(tmp_path / "same.wav")
    sine(500, 9, -20, rate=16_000).save(tmp_path / "other.wav")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(HOUR_S), str(TRACKS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert float(done.stdout) < LIMIT_MB
    assert AudioFile(tmp_path / "hour.flac").length == 24_000 * HOUR_S

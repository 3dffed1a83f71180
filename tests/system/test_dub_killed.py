"""A dub of 40 minutes that is killed again and again: it goes on, says no line twice, and its memory is flat."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers_checkpoint import make_lm_checkpoint
from helpers_codec import make_codec_checkpoint

from higgs_runtime import TakeStore, read_subtitles

ROOT = Path(__file__).resolve().parents[2]
CUES, SECONDS, KILLS = 400, 2400, 20
FLAT_BYTES = 150e6  # by which a dub of 400 lines may need more than one of 40: its mix is made piece by piece
LEARNT_S = 120

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="needs /proc and SIGKILL")]


def clock(seconds: float) -> str:
    return (
        f"{int(seconds) // 3600:02}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02},{round(seconds % 1 * 1000):03}"
    )


def subtitles(path: Path, cues: int) -> Path:
    step = SECONDS / CUES
    path.write_text(
        "\n\n".join(
            f"{n + 1}\n{clock(n * step)} --> {clock(n * step + step / 2)}\n"
            f"{'Anna' if n % 3 else 'Ben'}: Line {n} of many is said."
            for n in range(cues)
        ),
        encoding="utf-8",
    )
    return path


class Render:
    """`higgs render-script` as a process of its own, with what it says as it happens."""

    def __init__(self, file: Path, takes: Path, models: Path):
        command = [
            sys.executable,
            "-m",
            "higgs_runtime.cli",
            "render-script",
            str(file),
            "-o",
            str(file.with_suffix(".flac")),
        ]
        command += ["--models-dir", str(models), "--device", "cpu", "--max-seconds", "0.2", "--events", "jsonl"]
        command += ["--voice", "Anna=rose", "--voice", "Ben=ross", "--temperature", "1", "--takes-dir", str(takes)]
        command += ["--takes-per-slot", "1"]  # a line is a take
        self._log = file.with_suffix(".log").open("wb")
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, cwd=file.parent, env=env, stdout=subprocess.PIPE, stderr=self._log)
        self.spoken: list[str] = []  # keys of takes that it has spoken

    def until(self, spoken: int | None) -> dict | None:
        """Follows it until so many lines were spoken, or to its end; gives the last event."""
        event = None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == "take" and not event["stored"]:
                self.spoken.append(event["key"])
                if len(self.spoken) == spoken:
                    break
        return event

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.until(None)
        self.close()

    def peak_bytes(self) -> int:
        """Of its memory, while it runs."""
        [line] = [one for one in Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if "VmHWM" in one]
        return int(line.split()[1]) * 1024

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(LEARNT_S)
        self._log.close()


def finished(file: Path, takes: Path, models: Path) -> tuple[Render, dict, int]:
    """A render to its end: its last event, and the most memory that it had."""
    render, peak = Render(file, takes, models), 0
    while (event := render.until(len(render.spoken) + 20)) is not None and event["event"] == "take":
        peak = max(peak, render.peak_bytes())
    while render.process.poll() is None:
        try:
            peak = max(peak, render.peak_bytes())
        except (OSError, ValueError):
            break  # it has just ended
        time.sleep(0.02)
    render.close()
    assert event is not None
    return render, event, peak


def test_a_dub_that_is_killed_twenty_times_says_no_line_again_and_its_memory_stays_flat(tmp_path):
    models, takes, chance = tmp_path / "models", tmp_path / "takes", random.Random(4)
    make_lm_checkpoint(models / "lm", stream_end=0)
    make_codec_checkpoint(models / "codec")
    file = subtitles(tmp_path / "film.srt", CUES)
    script, store = read_subtitles(file), TakeStore(takes)
    spoken: list[str] = []
    for _ in range(KILLS):
        before = {take.key for take in store.list()}
        render = Render(file, takes, models)
        render.until(chance.randint(1, 16))
        time.sleep(chance.uniform(0, 0.05))
        render.kill()
        assert render.process.returncode == -signal.SIGKILL, file.with_suffix(".log").read_text()
        assert not before & set(render.spoken), "a line that was finished is not spoken again"
        assert set(render.spoken) <= {take.key for take in store.list()}, "what was told is kept"
        spoken += render.spoken
    before = {take.key for take in store.list()}
    assert 0 < len(before) < CUES
    last, event, peak = finished(file, takes, models)
    assert event["event"] == "done" and len(event["lines"]) == CUES, file.with_suffix(".log").read_text()
    assert len(last.spoken) == CUES - len(before) and not before & set(last.spoken)
    assert len({*spoken, *last.spoken}) == len(spoken) + len(last.spoken)
    told = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    for line, turn in zip(told["lines"], script.turns, strict=True):
        assert line["text"] == turn.text and line["start_s"] == pytest.approx(turn.slot[0], abs=0.04)
    few = subtitles(tmp_path / "few.srt", CUES // 10)
    *_, small = finished(few, tmp_path / "other", models)
    assert peak < small + FLAT_BYTES, f"{peak / 1e6:.0f} MB for {CUES} lines, {small / 1e6:.0f} MB for {CUES // 10}"

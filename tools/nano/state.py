"""Work of minutes and hours that can be killed at any moment: whole files or none, lines with the time to go."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

SAVE_SECONDS = 60
SHOW_SECONDS = 20


def save_atomically(value, file: Path) -> None:
    """Write beside the file, then put it in its place: a kill leaves the old file or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    try:
        torch.save(value, partial)
        os.replace(partial, file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        free = shutil.disk_usage(file.parent).free / 1e6
        raise SystemExit(
            f"{file} cannot be written: {error} ({free:.0f} MB free). Make room and run again; "
            "the run goes on from the last save."
        ) from error


class Training:
    """Runs `steps` steps, saving every minute, from where the last run stopped.

    Args:
        parts: name -> object with state_dict() and load_state_dict().
        rate: peak learning rate, warmed up over 100 steps and brought down along a cosine to 3 % of itself.
    """

    def __init__(self, name: str, file: Path, steps: int, parts: dict, rate: float):
        self.name, self.file, self.steps, self.parts, self.rate, self.step = name, file, steps, parts, rate, 0
        if file.is_file():
            kept = torch.load(file, weights_only=True)
            for key, part in parts.items():
                part.load_state_dict(kept[key])
            self.step = kept["step"]

    def learning_rate(self) -> float:
        done = self.step / self.steps
        return self.rate * min(1.0, (self.step + 1) / 100) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done)))

    def run(self, one_step: Callable[[int, float], dict[str, float]]) -> None:
        """one_step(step, learning rate) trains one step and returns the figures to show."""
        started = saved = shown = time.monotonic()
        first, sums, count = self.step, {}, 0
        while self.step < self.steps:
            for key, value in one_step(self.step, self.learning_rate()).items():
                sums[key] = sums.get(key, 0.0) + float(value)
            count += 1
            self.step += 1
            now = time.monotonic()
            if now - shown > SHOW_SECONDS or self.step == self.steps:
                figures = "  ".join(f"{key} {value / count:.3f}" for key, value in sums.items())
                left = _to_go(now - started, self.step - first, self.steps - self.step)
                print(f"{self.name} {self.step}/{self.steps}  {figures}  {left}", flush=True)
                shown, sums, count = now, {}, 0
            if now - saved > SAVE_SECONDS or self.step == self.steps:
                saved = now
                state = {key: part.state_dict() for key, part in self.parts.items()}
                save_atomically({**state, "step": self.step}, self.file)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def with_progress(name: str, items: Sequence) -> Iterator:
    """The items in order; while they are used, a line every SHOW_SECONDS says how many are done."""
    started = shown = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - shown > SHOW_SECONDS:
            print(f"{name} {done}/{len(items)}  {_to_go(now - started, done, len(items) - done)}", flush=True)
            shown = now
        yield item


def _to_go(seconds: float, done: int, left: int) -> str:
    return f"{seconds / done * left / 60:.1f} min to go"

"""ComfyUI's progress bar, and its cancel."""

from __future__ import annotations

import time

import comfy.model_management as management
import comfy.utils

INTERVAL_S = 0.05  # between two values of the bar

Cancelled = management.InterruptProcessingException


class Progress:
    """ComfyUI's progress bar, told at most every 50 ms. Raises ComfyUI's interrupt when the person cancels."""

    def __init__(self, total: int):
        self._total = max(1, total)
        self._bar = comfy.utils.ProgressBar(self._total)
        self._told_at = 0.0

    def update(self, value: int, total: int | None = None) -> None:
        self._total = total or self._total
        now = time.monotonic()
        if now - self._told_at >= INTERVAL_S or value >= self._total:
            self._told_at = now
            self._bar.update_absolute(value, self._total)

    def finish(self) -> None:
        self._bar.update_absolute(self._total, self._total)


def cancelled() -> bool:
    """Whether the person has asked to stop."""
    return management.processing_interrupted()


def raise_if_cancelled() -> None:
    """Ends the prompt as ComfyUI's own nodes do, if the person has asked to stop."""
    management.throw_exception_if_processing_interrupted()


def go_on_anyway() -> None:
    """The person has asked to stop, and what there is until then goes to the nodes that follow."""
    management.interrupt_current_processing(False)

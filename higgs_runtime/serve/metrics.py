"""What Prometheus reads at /metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from .engine import SpeechEngine

SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 60)


class Metrics:
    """Figures of one server, in a registry of their own."""

    def __init__(self, engine: SpeechEngine):
        self.registry = own = CollectorRegistry()
        Gauge("higgs_waiting_lines", "Lines that wait for a row.", registry=own).set_function(lambda: engine.waiting)
        Gauge("higgs_running_rows", "Lines that speak.", registry=own).set_function(lambda: engine.speaking)
        Gauge("higgs_held_bytes", "Of memory that requests hold.", registry=own).set_function(
            lambda: engine.budget.held
        )
        Gauge("higgs_rows", "Lines that can speak side by side.", registry=own).set(engine.limits.rows)
        self.requests = Counter(
            "higgs_requests", "Answers, by HTTP status; 499: the client left.", ["status"], registry=own
        )
        self.frames = Counter("higgs_frames", "Frames spoken; their rate is frames a second.", registry=own)
        self.first_sound = Histogram(
            "higgs_first_sound_seconds", "From the request to its first sound.", buckets=SECONDS, registry=own
        )
        self.line_seconds = Histogram(
            "higgs_line_seconds", "From the request to the end of its line.", buckets=SECONDS, registry=own
        )

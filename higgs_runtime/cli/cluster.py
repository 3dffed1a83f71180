"""`higgs render-script --cluster`: the same script on a Ray cluster, and what a person sees of it."""

from __future__ import annotations

import argparse
import sys
import time

from ..errors import SettingError
from .common import adapters_of, progress


def add_cluster(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("on a Ray cluster (extra ray)")
    group.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="auto: the cluster that this machine is part of; host:port: of its head; local: all GPUs "
        "of this machine. Models lie under one path on all nodes; takes may",
    )
    group.add_argument("--workers", type=int, help="at most (default: as many as there is room for)")
    group.add_argument("--worker-gpus", type=float, metavar="N", help="of each worker (default: 1 if there are any)")
    group.add_argument(
        "--worker-cpus", type=float, metavar="N", help="of each worker (default: 1 beside a GPU, else all of a node)"
    )


def perform_on_cluster(args: argparse.Namespace, script, voices, lm, codec_at, sampling, settings, store, stop):
    """The performance; see `render_on_cluster`.

    Args:
        lm, codec_at: the checkpoints.

    Raises:
        SettingError: takes are not to be stored.
    """
    from ..cluster import ClusterSettings, Engine, Listening, render_on_cluster

    if store is None:
        raise SettingError(
            "A cluster works through the store.",
            expected="a folder of takes",
            got="--no-store",
            remedy="Leave --no-store out, or --cluster.",
        )
    listening, view = None, ClusterView()
    if args.listen is not None:
        listening = Listening(args.listen or _first_recognizer(args), compare_voices=args.compare_voices)
    engine = Engine(
        _everywhere(lm),
        device=args.device,
        dtype=args.dtype,
        quantization=args.quantization,
        adapters=tuple(adapters_of(args)),
        codec=_everywhere(codec_at),
        listening=listening,
    )
    made = render_on_cluster(
        script,
        voices,
        engine,
        sampling,
        settings,
        store=store,
        cluster=ClusterSettings(args.cluster, workers=args.workers, cpus=args.worker_cpus, gpus=args.worker_gpus),
        on_line=view.line,
        on_pool=view.pool,
        should_stop=lambda: stop.asked,
    )
    progress("")
    return made


class ClusterView:
    """One line: the workers, the lines, and how fast; and a line for each worker that is lost."""

    def __init__(self):
        self.lines: dict[int, tuple[str, float]] = {}
        self.began: float | None = None
        self.now_s = 0.0  # spoken in this render
        self.status = None

    def line(self, line, state: str, seconds: float) -> None:
        self.lines[line.number] = state, seconds
        if state == "spoken":
            self.now_s += seconds

    def pool(self, status) -> None:
        if self.status is not None and status.lost > self.status.lost:
            progress("")
            sys.stderr.write(f"higgs: a worker is lost; its lines go to others ({status})\n")
        if status.speaking and self.began is None:
            self.began = time.perf_counter()
        self.status = status
        progress(str(self))

    def __str__(self):
        done = sum(state in ("spoken", "stored") for state, _ in self.lines.values())
        speed = self.now_s / max(1.0, time.perf_counter() - self.began) if self.began is not None else 0.0
        return f"{self.status}: {done} of {len(self.lines)} lines, {speed:.1f} s of audio a second"


def _everywhere(checkpoint) -> str:
    """How all nodes call a checkpoint: the pack's own by its name, others by their path."""
    return checkpoint.name if checkpoint.embedded else str(checkpoint.path.absolute())


def _first_recognizer(args: argparse.Namespace) -> str | None:
    from ..verification import find_recognizers

    return next(iter(find_recognizers(args.models_dir)), None)

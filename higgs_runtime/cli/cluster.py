"""`higgs render-script --cluster`: the same script on a Ray cluster."""

from __future__ import annotations

import argparse

from .common import adapters_of


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


def cluster_speaker(args: argparse.Namespace, lm, codec_at, listening):
    """Who speaks on the cluster that was asked for.

    Args:
        lm, codec_at: the checkpoints.

    Raises:
        SettingError: a value out of its range.
    """
    from ..cluster import ClusterSettings, ClusterSpeaker, Engine, name_on_all_nodes

    engine = Engine(
        name_on_all_nodes(lm.path.absolute()),
        device=args.device,
        dtype=args.dtype,
        quantization=args.quantization,
        adapters=tuple(adapters_of(args)),
        codec=name_on_all_nodes(codec_at.path.absolute()),
        listening=listening,
    )
    where = ClusterSettings(args.cluster, workers=args.workers, cpus=args.worker_cpus, gpus=args.worker_gpus)
    return ClusterSpeaker(engine, where)

"""To a Ray cluster and away from it."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from ..errors import ClusterError, MissingExtraError, SettingError, check_range
from ..generation.session import ShouldStop

LOCAL = "local"
CONNECT_S = 10.0
LOOK_S = 0.1  # between two looks at should_stop
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # of HTTP/2, which Ray's servers speak
SETTINGS = 4  # kind of the first frame that comes back


@dataclass(frozen=True)
class ClusterSettings:
    """Which cluster, and how it is used.

    Attributes:
        address: "auto", the cluster that this machine is part of; "host:port"; "local", this machine alone.
        workers: at most; None: as many as there is room for.
        cpus, gpus: of each worker; None: a GPU and one CPU where the cluster has GPUs, else one worker a node with as
            many CPUs as the smallest node has. Rounding on CPUs may depend on their number.
        patience_s: how long to wait where there is no place for any worker.

    Raises:
        SettingError: a value out of its range.
    """

    address: str = "auto"
    _: KW_ONLY
    workers: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    patience_s: float = 300.0

    def __post_init__(self):
        for name, low, high in (("workers", 1, 100_000), ("cpus", 0, 10_000), ("gpus", 0, 64)):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), low, high)
        check_range("patience_s", self.patience_s, 0, 10**9)


@contextmanager
def connected(address: str, should_stop: ShouldStop = lambda: False) -> Iterator:
    """Ray, as long as the with-block runs; None if `should_stop` said so before somebody answered. The runtime itself
    travels to the nodes; torch and the rest are there.

    A program that has connected itself already stays connected, and sees to that the nodes know this runtime.

    Args:
        address: "auto", a cluster that this machine is part of; "host:port" of one; "local", this machine alone.

    Raises:
        MissingExtraError: ray (extra `ray`) is not installed.
        SettingError: it is the address of a Ray client.
        ClusterError: there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("A cluster", "ray", "ray") from error
    if "://" in address:
        raise SettingError(
            "A script is not rendered through a Ray client.",
            got=f"'{address}'",
            expected="'auto', 'local' or host:port",
            remedy="Start it on a machine of the cluster.",
        )
    if ray.is_initialized():
        yield ray
        return
    package = str(Path(__file__).resolve().parents[1])
    try:
        answered = _answered(os.environ.get("RAY_ADDRESS", "") if address == "auto" else address, should_stop)
        if answered:
            ray.init(
                address=address,
                runtime_env={"py_modules": [package]},
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if address == LOCAL else None,
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"The Ray cluster '{address}' cannot be reached.",
            expected="a cluster of the same Ray and Python as here",
            got=" ".join(str(error).split())[:300],
            remedy="Start it with `ray start --head` and on further machines `ray start --address=…`, or use 'local'.",
        ) from error
    try:
        yield ray if answered else None
    finally:
        ray.shutdown()


def _answered(address: str, should_stop: ShouldStop) -> bool:
    """Whether somebody was there before it was to stop. Ray itself tries for a quarter of an hour, and hears nothing.

    Raises:
        OSError: nobody is there, or somebody else.
        ValueError: it has no port.
    """
    host, colon, port = address.rpartition(":")
    if not colon:
        return True
    errors: list[Exception] = []

    def look() -> None:
        try:
            _greet(host.strip("[]"), int(port))
        except (OSError, ValueError) as error:
            errors.append(error)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    while looking.is_alive():
        if should_stop():
            return False
        looking.join(LOOK_S)
    if errors:
        raise errors[0]
    return True


def _greet(host: str, port: int) -> None:
    with socket.create_connection((host, port), timeout=CONNECT_S) as plug:
        if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):  # it waits for a handshake that only Ray can make
            return
        plug.sendall(GREETING)
        with plug.makefile("rb") as answer:
            frame = answer.read(4)
    if len(frame) < 4 or frame[3] != SETTINGS:
        raise ConnectionError("something listens there that is not Ray")


def room(ray, cpus: float | None, gpus: float | None) -> tuple[int, float, float]:
    """How many workers the cluster has room for, and the CPUs and GPUs of each.

    Args:
        cpus, gpus: of each worker; None: a GPU and one CPU where the cluster has GPUs, else one worker a node, with as
            many CPUs as the smallest node has.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    found = [node.get("CPU", 0.0) for node in nodes]
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU") for node in nodes) else 0.0
    if cpus is None:
        cpus = 1.0 if gpus else max(1.0, min([count for count in found if count >= 1] or [1.0]))
    fits = [
        min(*(int(node.get(kind, 0.0) / each) for kind, each in (("CPU", cpus), ("GPU", gpus)) if each), 1 << 20)
        for node in nodes
    ]
    return sum(fits), cpus, gpus

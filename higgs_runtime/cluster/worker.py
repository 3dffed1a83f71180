"""Who speaks: one process with a model of its own, on any node of the cluster."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import cast

from ..errors import CheckpointError, HiggsError, SettingError
from ..hub.catalog import EMBEDDED, checkpoint_at, find_checkpoints, model_roots
from ..rendering import (
    Events,
    Line,
    Listening,
    LocalSpeaker,
    RenderJob,
    RenderSettings,
    SpokenLine,
    State,
    Verifier,
    render,
)
from ..script import Script
from ..takes import ModelIdentity, Takes, model_identity
from ..types import Sampling, Voice

NEWS_S = 0.25  # between two reports of a worker


@dataclass(frozen=True)
class Engine:
    """What each worker loads.

    Attributes:
        model: a folder that is there on every node, or a name that `higgs models` lists there.
        device: None: a GPU if the worker has one, else the CPU.
        dtype: by torch's name; None: `auto_dtype` of model and device.
        quantization: as in `load_model`.
        adapters: (folder, strength) of each.
        codec, codec_dtype: as `model` and `dtype`; for who listens and for `RenderSettings.silence_s`. It runs on the
            CPU, in float32 if nothing else is said.
        listening: None: nobody listens, and no line is spoken again.
    """

    model: str
    _: KW_ONLY
    device: str | None = None
    dtype: str | None = None
    quantization: str | None = None
    adapters: tuple[tuple[str, float], ...] = ()
    codec: str | None = None
    listening: Listening | None = None
    codec_dtype: str | None = None


@dataclass(frozen=True)
class Ready:
    """A worker that has its model. `shared`: it sees the driver's store of takes."""

    node: str
    identity: ModelIdentity
    frame_rate: float
    prompt_layout: str
    shared: bool


@dataclass(frozen=True)
class News:
    """What happened to lines, as (number within the part, state, seconds), and takes that were heard; `done`: its
    lines, when all are through."""

    events: Sequence[tuple[int, State, float]] = ()
    takes: Sequence[SpokenLine] = ()
    done: Sequence[SpokenLine] | None = None
    warnings: Sequence[str] = ()


class Worker:
    """The actor. `stop` may be called while it speaks; of the others one at a time.

    Args:
        store, mark: the driver put a mark of that name there.
    """

    def __init__(
        self,
        engine: Engine,
        voices: Mapping[str, Voice],
        sampling: Sampling,
        settings: RenderSettings,
        store: Takes,
        mark: str,
    ):
        self._engine, self._voices, self._sampling, self._settings = engine, voices, sampling, settings
        self._shared = store if _sees(store, mark) else None
        self._stack, self._stopped = ExitStack(), threading.Event()

    def hello(self) -> tuple[str, int]:
        """Its node and process."""
        return socket.gethostname(), os.getpid()

    def open(self) -> Ready:
        """Load the model.

        Raises:
            HiggsError: it cannot be loaded, or the codec is not the model's.
        """
        import torch

        from ..codec import load_codec
        from ..devices import pick_device
        from ..model.loading import auto_dtype, load_model
        from ..model.lora import adapted, load_adapter
        from ..speech import check_pair

        engine, folder = self._engine, _folder(self._engine.model)
        device = engine.device or pick_device()
        dtype = getattr(torch, engine.dtype) if engine.dtype else auto_dtype(folder, device)
        chosen = {"device": device, "dtype": dtype, "quantization": engine.quantization}
        model = load_model(folder, **chosen)
        loaded = [(load_adapter(one), strength) for one, strength in engine.adapters]
        self._stack.enter_context(adapted(model, loaded))
        identity = model_identity(folder, **chosen, adapters=engine.adapters)
        codec = None
        if engine.codec:
            precision = getattr(torch, engine.codec_dtype or "float32")
            codec = load_codec(_folder(engine.codec), dtype=precision)
            check_pair(model, codec)
        self._speaker = LocalSpeaker(model, codec, identity, self._verifier(codec))
        config = model.config
        return Ready(socket.gethostname(), identity, config.frame_rate, config.prompt_layout, self._shared is not None)

    def speak(self, script: Script, choose: Mapping[int, int], keeper) -> Iterator[News]:
        """Speak a part, and tell how it goes.

        Args:
            choose: as in `RenderSettings`, by the part's own numbers.
            keeper: of takes, for who does not see the store.

        Raises:
            HiggsError: as `render`.
        """
        reports: queue.SimpleQueue = queue.SimpleQueue()
        job = RenderJob(
            script=script,
            voices=self._voices,
            sampling=self._sampling,
            settings=replace(self._settings, choose=choose),
            store=self._store(keeper),
        )
        with ThreadPoolExecutor(1) as pool:
            rendering = pool.submit(render, job, self._speaker, _Reports(reports, self._stopped))
            rendering.add_done_callback(lambda _: reports.put(None))
            going = True
            while going:
                found, going = _read(reports)
                takes = [one for one in found if isinstance(one, SpokenLine)]
                yield News(condensed([one for one in found if isinstance(one, tuple)]), takes)
            spoken = rendering.result()
        yield News(done=spoken.lines, warnings=spoken.warnings)

    def stop(self) -> None:
        """End after the step that it is in; what is spoken until then is kept."""
        self._stopped.set()

    def _store(self, keeper) -> Takes:
        if self._shared is not None:
            return self._shared
        import ray

        from .keeper import KeptStore

        return cast(Takes, KeptStore(ray, keeper))  # as much of one as a render uses

    def _verifier(self, codec) -> Verifier | None:
        listening = self._engine.listening
        if listening is None:
            return None
        if codec is None:
            raise SettingError(
                "Who listens needs the codec.",
                expected="Engine.codec with listening",
                got="none",
                remedy="Name the codec of the model.",
            )
        return listening.verifier(codec, self._voices, self._settings.language)


class _Reports(Events):
    """What happens, into a queue: (number, state, seconds), and takes that were verified."""

    def __init__(self, reports: queue.SimpleQueue, stopped: threading.Event):
        self._reports, self._stopped = reports, stopped

    def on_line(self, line: Line, state: State, seconds: float) -> None:
        self._reports.put((line.number, state, seconds))

    def on_take(self, spoken: SpokenLine) -> None:
        self._reports.put(spoken)

    def should_stop(self) -> bool:
        return self._stopped.is_set()


def _sees(store: Takes, mark: str) -> bool:
    """Whether this is the driver's store, and not another one of that name; one that cannot be reached is none."""
    try:
        return store.has_mark(mark)
    except HiggsError:
        return False


def _read(reports: queue.SimpleQueue) -> tuple[list, bool]:
    """The reports of the next moment, and whether more may come."""
    found: list = []
    until = time.monotonic() + NEWS_S
    while True:
        try:
            report = reports.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return found, True
        if report is None:
            return found, False
        found.append(report)


def condensed(events: Sequence[tuple[int, State, float]]) -> list[tuple[int, State, float]]:
    """Without how far a line was, where more is said of it; and without that it waits, which the driver says."""
    events = [event for event in events if event[1] != "queued"]
    last = {number: n for n, (number, _, _) in enumerate(events)}
    return [event for n, event in enumerate(events) if event[1] != "speaking" or last[event[0]] == n]


def name_on_all_nodes(folder: str | Path) -> str:
    """How every node of a cluster calls a checkpoint: the pack's own by its name, others by their path."""
    return Path(folder).name if Path(folder).parent == EMBEDDED else str(folder)


def _folder(name: str) -> Path:
    """The checkpoint on this node, see `name_on_all_nodes`.

    Raises:
        CheckpointError: it is not there.
    """
    if there := checkpoint_at(name):
        return there.path
    found = [item for item in find_checkpoints(model_roots()) if item.usable]
    for item in found:
        if item.name == name:
            return item.path
    raise CheckpointError(
        f"Node '{socket.gethostname()}' has no model '{name}'.",
        expected="a folder there, or a name that it knows",
        got=", ".join(item.name for item in found) or "none",
        remedy="Put the checkpoint under the same path on every node, as on a shared disk.",
    )

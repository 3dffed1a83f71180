"""A script into takes on a cluster: the same takes, in the same store, as on one machine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, replace
from functools import cache

from ..errors import TakeError, check_range
from ..generation.session import ShouldStop
from ..rendering import Performance, RenderSettings, SpokenLine
from ..rendering.choice import check_choice
from ..rendering.lines import Line, check_cast, lines_of
from ..rendering.render import OnLine, OnTake
from ..script import Script
from ..takes import Takes
from ..types import Sampling, Voice
from .connect import connected
from .keeper import start_keeper
from .parts import Part, Parts
from .worker import Engine, News, Ready, Worker
from .worker_pool import PoolStatus, WorkerPool

UNKNOWN_RATE = 25.0  # frames a second, until a worker says what its model has


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


def render_on_cluster(
    script: Script,
    voices: Mapping[str, Voice],
    engine: Engine,
    sampling: Sampling | None = None,
    settings: RenderSettings | None = None,
    *,
    store: Takes,
    cluster: ClusterSettings | None = None,
    on_line: OnLine | None = None,
    on_take: OnTake | None = None,
    on_pool: Callable[[PoolStatus], None] | None = None,
    should_stop: ShouldStop | None = None,
) -> Performance:
    """Speak a script on all machines of a Ray cluster.

    Each worker has a model and a batch of its own, and fetches the next part when it is free; in continuous mode a
    scene stays with one worker. Takes are stored one by one as they are made, by the workers if they see the store,
    else through Ray: whatever ends, what is stored stays, and nothing that is stored is spoken again. A worker that is
    lost is replaced; where this program itself ends, it goes on when it is started again.

    Takes are those of `render_script` with the same seeds, kind of device and dtype.

    Args:
        script, voices, sampling, settings, store, on_line, on_take, should_stop: as in `render_script`; `batch`
            is each worker's.
        on_pool: told how many workers there are, when that changes and every half second.

    Raises:
        ScriptError: a speaker has no voice.
        SettingError: a take is chosen of a line that there is not.
        TakeError: the store is not writable.
        MissingExtraError: ray (extra `ray`) is not installed.
        ClusterError: the cluster cannot be reached, has no room, or its workers end again and again.
        HiggsError: as `render_script`, of a worker; what was spoken until then is in the store.
    """
    settings, sampling, cluster = settings or RenderSettings(), sampling or Sampling(), cluster or ClusterSettings()
    check_cast(script, voices)
    desk = _Desk(script, sampling, settings, on_line or _tell_nobody, on_take or _tell_nobody)
    should_stop = should_stop or (lambda: False)
    with _marked(store) as mark, connected(cluster.address, should_stop) as ray:
        if ray is None:
            return desk.performance()
        context = [*(ray.put(one) for one in (engine, dict(voices), sampling, settings)), store, mark]

        def hire(cpus: float, gpus: float):
            placed = ray.remote(Worker).options(num_cpus=cpus, num_gpus=gpus, max_concurrency=2)
            return placed.remote(*context)

        WorkerPool(
            ray,
            hire,
            cache(lambda: start_keeper(ray, store)),
            Parts(script, by_scene=settings.mode == "continuous", batch=settings.batch),
            cluster.workers,
            cluster.cpus,
            cluster.gpus,
            cluster.patience_s,
            desk.ready,
            desk.choice,
            desk.news,
            on_pool or _tell_nobody,
            should_stop,
        ).work()
    return desk.performance()


def unspoken(script: Script, sampling: Sampling, settings: RenderSettings) -> list[Line]:
    """The lines of a script as far as they are known before a model is."""
    return [spoken.line for spoken in _Desk(script, sampling, settings, _tell_nobody, _tell_nobody).performance().lines]


def _tell_nobody(*_) -> None:
    pass


@contextmanager
def _marked(store: Takes) -> Iterator[str]:
    """A mark in the store, by which workers know whether they see the same one."""
    mark = f".cluster-{secrets.token_hex(8)}"
    store.leave_mark(mark)
    try:
        yield mark
    finally:
        with suppress(TakeError):  # an empty file more
            store.remove_mark(mark)


class _Desk:
    """Puts what workers say of their parts together to one performance."""

    def __init__(self, script: Script, sampling: Sampling, settings: RenderSettings, on_line: OnLine, on_take: OnTake):
        self._script, self._sampling, self._settings = script, sampling, settings
        self._on_line, self._on_take = on_line, on_take
        self._spoken: dict[int, SpokenLine] = {}
        self._now: set[int] = set()  # lines that were spoken, and not found in the store
        self._warnings: dict[int, tuple[str, ...]] = {}
        self._cut(UNKNOWN_RATE, None)

    def ready(self, ready: Ready) -> None:
        """The first worker says what its model has; now the lines are known."""
        self._cut(ready.frame_rate, ready.prompt_layout if self._settings.prepare else None)
        check_choice(self._settings.choose, len(self._lines))
        for line in self._lines:
            self._on_line(line, "queued", 0.0)

    def _cut(self, frame_rate: float, prepare_for: str | None) -> None:
        """The script's lines, as the workers cut them."""
        settings = self._settings
        self._lines = lines_of(
            self._script,
            self._sampling,
            frame_rate,
            max_chars=settings.max_chars,
            language=settings.language,
            read_scenes=settings.read_scenes,
            spell_numbers=settings.spell_numbers,
            prepare_for=prepare_for,
        )
        self._first = {line.turn: line.number for line in reversed(self._lines)}

    def choice(self, part: Part) -> dict[int, int]:
        """The takes that are chosen in a part, by its own numbers of lines."""
        first = self._first[part.first]
        last = self._first.get(part.first + len(part.script.turns), len(self._lines))
        return {number - first: take for number, take in self._settings.choose.items() if first < number <= last}

    def news(self, part: Part, news: News) -> None:
        first = self._first[part.first]
        for number, state, seconds in news.events:
            if state == "spoken":
                self._now.add(first + number)
            self._on_line(self._lines[first + number], state, seconds)
        for one in news.takes:
            self._on_take(self._here(one, first))
        for one in news.done or ():
            self._spoken[first + one.line.number] = self._here(one, first)
        if news.done is not None:
            self._warnings[part.first] = tuple(news.warnings)

    def _here(self, spoken: SpokenLine, first: int) -> SpokenLine:
        """A part's line as one of the whole script."""
        number = first + spoken.line.number
        return replace(spoken, line=self._lines[number], stored=spoken.stored and number not in self._now)

    def performance(self) -> Performance:
        warnings = dict.fromkeys(text for first in sorted(self._warnings) for text in self._warnings[first])
        spoken = [self._spoken.get(line.number) or SpokenLine(line) for line in self._lines]
        return Performance(self._script, spoken, tuple(warnings))

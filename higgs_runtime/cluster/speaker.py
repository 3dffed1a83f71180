"""A script into takes on a cluster: the same takes, in the same store, as on one machine."""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache

from ..errors import SettingError, TakeError
from ..rendering import Events, Performance, RenderJob, SpokenLine
from ..rendering.choice import check_choice
from ..rendering.lines import Line
from ..takes import Takes
from .connect import ClusterSettings, connected
from .keeper import start_keeper
from .parts import Part, Parts
from .worker import Engine, News, Ready, Worker
from .worker_pool import WorkerPool

UNKNOWN_RATE = 25.0  # frames a second, until a worker says what its model has


@dataclass(frozen=True)
class ClusterSpeaker:
    """Speaks on all machines of a Ray cluster.

    Each worker has a model and a batch of its own, and fetches the next part when it is free; in continuous mode a
    scene stays with one worker. Takes are stored one by one as they are made, by the workers if they see the store,
    else through Ray: whatever ends, what is stored stays, and nothing that is stored is spoken again. A worker that is
    lost is replaced; where this program itself ends, it goes on when it is started again.

    Takes are those of a `LocalSpeaker` with the same seeds, kind of device and dtype. `RenderSettings.batch` is each
    worker's.
    """

    engine: Engine
    cluster: ClusterSettings = ClusterSettings()

    def perform(self, job: RenderJob, events: Events) -> Performance:
        """See `render`.

        Raises:
            SettingError: the job has no store.
            TakeError: the store is not writable.
            MissingExtraError: ray (extra `ray`) is not installed.
            ClusterError: the cluster cannot be reached, has no room, or its workers end again and again.
            HiggsError: as `LocalSpeaker`, of a worker.
        """
        store, desk = store_of(job), _ScriptDesk(job, events)
        with _marked(store) as mark, connected(self.cluster.address, events.should_stop) as ray:
            if ray is None:
                return desk.performance()
            sent = (self.engine, dict(job.voices), job.sampling, job.settings)
            context = [*map(ray.put, sent), store, mark]

            def hire(cpus: float, gpus: float):
                placed = ray.remote(Worker).options(num_cpus=cpus, num_gpus=gpus, max_concurrency=2)
                return placed.remote(*context)

            parts = Parts(job.script, by_scene=job.settings.mode == "continuous", batch=job.settings.batch)
            keeper = cache(lambda: start_keeper(ray, store))
            WorkerPool(ray, hire, keeper, parts, self.cluster, desk, events).work()
        return desk.performance()


def store_of(job: RenderJob) -> Takes:
    """The job's store.

    Raises:
        SettingError: it has none.
    """
    if job.store is None:
        raise SettingError(
            "A cluster works through the store of takes.",
            expected="takes that are stored",
            got="none",
            remedy="Switch the store on (on the command line: leave --no-store out), or render without a cluster.",
        )
    return job.store


def unspoken(job: RenderJob) -> list[Line]:
    """The lines of a script as far as they are known before a model is."""
    return job.lines(UNKNOWN_RATE, None)


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


class _ScriptDesk:
    """Puts what workers say of their parts together to one performance."""

    def __init__(self, job: RenderJob, events: Events):
        self._job, self._events = job, events
        self._spoken: dict[int, SpokenLine] = {}
        self._now: set[int] = set()  # lines that were spoken, and not found in the store
        self._warnings: dict[int, tuple[str, ...]] = {}
        self._use(unspoken(job))

    def ready(self, ready: Ready) -> None:
        """The first worker says what its model has; now the lines are known."""
        self._use(self._job.lines(ready.frame_rate, ready.prompt_layout))
        check_choice(self._job.settings.choose, len(self._lines))
        for line in self._lines:
            self._events.on_line(line, "queued", 0.0)

    def _use(self, lines: list[Line]) -> None:
        self._lines = lines
        turns = [line.turn for line in lines]  # a turn without words has no line: there, the next one's
        self._first = {turn: bisect_left(turns, turn) for turn in range(len(self._job.script.turns) + 1)}

    def choice(self, part: Part) -> dict[int, int]:
        """The takes that are chosen in a part, by its own numbers of lines."""
        first = self._first[part.first]
        last = self._first[part.first + len(part.script.turns)]
        return {number - first: take for number, take in self._job.settings.choose.items() if first < number <= last}

    def news(self, part: Part, news: News) -> None:
        first = self._first[part.first]
        for number, state, seconds in news.events:
            if state == "spoken":
                self._now.add(first + number)
            self._events.on_line(self._lines[first + number], state, seconds)
        for one in news.takes:
            self._events.on_take(self._here(one, first))
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
        return Performance(self._job.script, spoken, tuple(warnings))

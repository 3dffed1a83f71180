"""`render_on_cluster` in a process of its own.

Ray's workers import what they are sent by its name. ComfyUI loads this pack under a name made of its path, which exists
in no other process; so it starts one in which the runtime has its own name, and follows what that tells.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import ClusterError, TakeError
from ..generation.session import ShouldStop
from ..rendering import Performance, RenderSettings, SpokenLine
from ..rendering.lines import Line
from ..rendering.render import OnLine, OnTake
from ..script import Script
from ..takes import Takes
from ..types import Sampling, Voice
from .job import Job, error_of, line_of, verdict_of, write_job
from .render import ClusterSettings, unspoken
from .worker import Engine
from .worker_pool import PoolStatus

PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from higgs_runtime.cluster import program; "
    "sys.exit(program.main(sys.argv[2]))"
)
LOOK_S = 0.1  # between two looks at should_stop
START_STOP_S = 0.5  # to end by itself before it has told anything: nothing is lost then
STOP_S = 5.0  # to end by itself when it is asked to, and again when it is told to; then it is killed
LOG_LINES = 5  # of what it said, in an error


def render_in_child_process(
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
    """As `render_on_cluster`, with the same takes in the same store.

    The process ends when this one does. Once `should_stop` says so, nothing more is told; what was spoken until then is
    in the performance.

    Raises:
        ClusterError: as there, or the process ended without a word; what was spoken is in the store.
        HiggsError: as there.
    """
    settings, sampling = settings or RenderSettings(), sampling or Sampling()
    job = Job(script, voices, engine, sampling, settings, cluster or ClusterSettings(), store.where, store.max_bytes)
    hearing = _Hearing(store, on_line or (lambda *_: None), on_take or (lambda _: None), on_pool or (lambda _: None))
    should_stop, stopped_at, begun = should_stop or (lambda: False), None, False
    with TemporaryDirectory(prefix="higgs-cluster-", ignore_cleanup_errors=True) as place, _started(place, job) as told:
        process, news = told
        while (one := _next(news)) is not None:
            if stopped_at is None and should_stop():
                stopped_at, hearing.quiet = time.monotonic(), True
                process.stdin.close()
            elif stopped_at is not None and time.monotonic() > stopped_at + (STOP_S if begun else START_STOP_S):
                (process.terminate if begun else process.kill)()  # it starts, or waits for a node, and looks at no more
                break
            hearing.hear(one)
            begun = begun or bool(one)
        if not hearing.done and stopped_at is None:
            raise _ended(process, Path(place))
    lines = list(hearing.lines.values()) or unspoken(script, sampling, settings)
    return Performance(
        script, [hearing.spoken.get(line.number) or SpokenLine(line) for line in lines], hearing.warnings
    )


class _Hearing:
    """What the process has told so far.

    Attributes:
        quiet: nobody is told.
        spoken: the take of each line: the one that is used, or until all is done the first one.
    """

    def __init__(self, store: Takes, on_line: OnLine, on_take: OnTake, on_pool: Callable[[PoolStatus], None]):
        self._store, self._on_line, self._on_take, self._on_crew = store, on_line, on_take, on_pool
        self.quiet = self.done = False
        self.lines: dict[int, Line] = {}
        self.spoken: dict[int, SpokenLine] = {}
        self.warnings: tuple[str, ...] = ()
        self._takes: dict = {}  # by key: the store may lose one that was made hours ago

    def hear(self, one: dict) -> None:
        """Raises:
        HiggsError: the one that is told.
        """
        for name, value in one.items():
            getattr(self, f"_{name}")(value)

    def _queued(self, told: dict) -> None:
        line = self.lines[told["number"]] = line_of(told)
        self._tell(line, "queued", 0.0)

    def _line(self, told: list) -> None:
        number, state, seconds = told
        self._tell(self.lines[number], state, seconds)

    def _take(self, told: dict) -> None:
        spoken = self._spoken(told)
        self.spoken.setdefault(spoken.line.number, spoken)
        if not self.quiet:
            self._on_take(spoken)

    def _pool(self, told: list) -> None:
        if not self.quiet:
            self._on_crew(PoolStatus(*told))

    def _done(self, told: dict) -> None:
        for one in told["lines"]:
            self.spoken[one["number"]] = self._spoken(one)
        self.warnings, self.done = tuple(told["warnings"]), True

    def _error(self, told: dict) -> None:
        raise error_of(told)

    def _tell(self, line: Line, state: str, seconds: float) -> None:
        if not self.quiet:
            self._on_line(line, state, seconds)

    def _spoken(self, told: dict) -> SpokenLine:
        key = told["key"]
        take = self._takes.get(key) or self._store.get(key)
        if take is None:
            raise TakeError(
                f"The take {key} was spoken on the cluster and is not in the store.",
                remedy="See that nobody deletes takes meanwhile, and render again.",
            )
        self._takes[key] = take
        return SpokenLine(
            self.lines[told["number"]], take, key, verdict_of(told["verdict"]), told["tries"], told["stored"]
        )


@contextmanager
def _started(place: str, job: Job) -> Iterator[tuple[subprocess.Popen, queue.SimpleQueue]]:
    """The process and its news; when the block ends, so does the process."""
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).resolve().parents[2]), place]
    try:
        write_job(Path(place), job)
        with open(Path(place, "log"), "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )  # Ctrl-C is for its parent, which closes its input
    except OSError as error:
        raise ClusterError(
            "No process can be started for the cluster.",
            got=error.strerror or str(error),
            remedy=f"See that '{sys.executable}' runs and that there is room in '{place}'.",
        ) from error
    news: queue.SimpleQueue = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(process.stdout, news), daemon=True)
    reader.start()
    try:
        yield process, news
    finally:
        for end in (process.stdin.close, process.terminate, process.kill):
            with suppress(OSError):
                end()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
                break
        reader.join(STOP_S)
        process.stdout.close()


def _read(lines, news: queue.SimpleQueue) -> None:
    """A last line that was cut off by the end of the process is none."""
    try:
        for line in lines:
            if line.endswith(b"\n"):
                news.put(json.loads(line))
    finally:
        news.put(None)


def _next(news: queue.SimpleQueue) -> dict | None:
    """What was told; nothing within a moment is {}; None when the process has ended."""
    try:
        return news.get(timeout=LOOK_S)
    except queue.Empty:
        return {}


def _ended(process: subprocess.Popen, place: Path) -> ClusterError:
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    code = process.poll()
    said = Path(place, "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LOG_LINES:]
    how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit status {code}"
    return ClusterError(
        "The process that renders on the cluster has ended.",
        expected="its last word",
        got=f"{how} ({' / '.join(said) or 'and not a word'})",
        remedy="What has been spoken is in the store: queue again to go on.",
    )

"""`ClusterSpeaker` in a process of its own.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import ClusterError, TakeError
from ..rendering import Events, Line, Performance, RenderJob, Silent, SpokenLine
from ..rendering.json_events import error_of, line_of
from ..takes import Take, Takes
from ..verification import Verdict
from .job import write_job
from .speaker import ClusterSpeaker, store_of, unspoken
from .worker_pool import PoolStatus

PROGRAM = (  # `higgs render-script JOB --events jsonl`, of this very runtime
    "import sys; sys.path.insert(0, sys.argv[1]); from higgs_runtime.cli import main; "
    "sys.exit(main(['render-script', sys.argv[2], '--events', 'jsonl']))"
)
LOOK_S = 0.1  # between two looks at should_stop
START_STOP_S = 0.5  # to end by itself before it has told anything: nothing is lost then
STOP_S = 5.0  # to end by itself when it is asked to, and again when it is told to; then it is killed
LOG_LINES = 5  # of what it said, in an error


@dataclass(frozen=True)
class ChildProcessSpeaker:
    """A `ClusterSpeaker` in a process of its own: the same takes in the same store.

    The process ends when this one does. Once `should_stop` says so, nothing more is told; what was spoken until then is
    in the performance.
    """

    speaker: ClusterSpeaker

    def perform(self, job: RenderJob, events: Events) -> Performance:
        """See `render`.

        Raises:
            ClusterError: as there, or the process ended without a word; what was spoken is in the store.
            HiggsError: as there.
        """
        followed, stopped_at, begun = _Followed(store_of(job), events), None, False
        with (
            TemporaryDirectory(prefix="higgs-cluster-", ignore_cleanup_errors=True) as place,
            _started(Path(place), job, self.speaker) as (process, close_input, news),
        ):
            while (one := _next(news)) is not None:
                if stopped_at is None and events.should_stop():
                    stopped_at, followed.quiet = time.monotonic(), True
                    close_input()
                elif stopped_at is not None and time.monotonic() > stopped_at + (STOP_S if begun else START_STOP_S):
                    (process.terminate if begun else process.kill)()  # it starts, or waits for a node: it looks no more
                    break
                if one:
                    followed.take_in(one)
                    begun = True
            if not followed.done and stopped_at is None:
                raise _ended(process, Path(place))
        lines = list(followed.lines.values()) or unspoken(job)
        spoken = [followed.spoken.get(line.number) or SpokenLine(line) for line in lines]
        return Performance(job.script, spoken, followed.warnings)


class _Followed:
    """What the process has told so far.

    Attributes:
        quiet: nobody is told.
        spoken: the take of each line: the one that is used, or until all is done the first one.
    """

    def __init__(self, store: Takes, events: Events):
        self._store, self._events = store, events
        self.quiet = self.done = False
        self.lines: dict[int, Line] = {}
        self.spoken: dict[int, SpokenLine] = {}
        self.warnings: tuple[str, ...] = ()
        self._takes: dict[str, Take] = {}  # by key: the store may lose one that was made hours ago

    def take_in(self, fields: dict) -> None:
        """One event, see json_events.py.

        Raises:
            HiggsError: the one that is told.
        """
        event = fields.pop("event")
        events = Silent() if self.quiet else self._events
        if event == "queued":
            line = self.lines[fields["number"]] = line_of(fields)
            events.on_line(line, "queued", 0.0)
        elif event == "line":
            events.on_line(self.lines[fields["number"]], fields["state"], fields["seconds"])
        elif event == "take":
            spoken = self._spoken(fields)
            self.spoken.setdefault(spoken.line.number, spoken)
            events.on_take(spoken)
        elif event == "workers":
            events.on_workers(PoolStatus(**fields))
        elif event == "done":
            self.spoken.update((one["number"], self._spoken(one)) for one in fields["lines"])
            self.warnings, self.done = tuple(fields["warnings"]), True
        elif event == "error":
            raise error_of(fields)

    def _spoken(self, fields: dict) -> SpokenLine:
        key = fields["key"]
        take = self._takes.get(key) or self._store.get(key)
        if take is None:
            raise TakeError(
                f"The take {key} was spoken on the cluster and is not in the store.",
                remedy="See that nobody deletes takes meanwhile, and render again.",
            )
        self._takes[key] = take
        verdict = fields["verdict"] and Verdict.of(fields["verdict"])
        about = fields["tries"], fields["stored"], fields["speech_s"]
        return SpokenLine(self.lines[fields["number"]], take, key, verdict, *about)


@contextmanager
def _started(
    place: Path, job: RenderJob, speaker: ClusterSpeaker
) -> Iterator[tuple[subprocess.Popen, Callable[[], None], queue.SimpleQueue]]:
    """The process, what closes its input, and its news; when the block ends, so does the process."""
    try:
        file = write_job(place, job, speaker)
        command = [sys.executable, "-c", PROGRAM, str(Path(__file__).resolve().parents[2]), str(file)]
        with open(place / "log", "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )  # Ctrl-C is for its parent, which closes its input
    except OSError as error:
        raise ClusterError(
            "No process can be started for the cluster.",
            got=error.strerror or str(error),
            remedy=f"See that '{sys.executable}' runs and that there is room in '{place}'.",
        ) from error
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None and stdout is not None, "both are pipes"
    news: queue.SimpleQueue = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(stdout, news), daemon=True)
    reader.start()
    try:
        yield process, stdin.close, news
    finally:
        for end in (stdin.close, process.terminate, process.kill):
            with suppress(OSError):
                end()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
                break
        reader.join(STOP_S)
        stdout.close()


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

"""Releases from the hub into a models folder: resumable, checked, and there as a whole or not at all.

While it is fetched a release lies in a hidden folder beside its place, on the same file system; its files are compared
with the sizes and checksums that the hub names for the revision, and the folder is renamed in the end. The protocol
is that of huggingface_hub (https://huggingface.co/docs/huggingface_hub), whose session, endpoint, offline mode and
errors are used; bytes come over plain HTTP, so that progress, resuming and cancel are ours.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..atomic_write import write_bytes
from ..errors import DownloadError, StoppedError
from .hub import RemoteFile, repository_files, stream
from .releases import Release

RECORD = "higgs_download.json"  # in the folder: from where it came
POLL_S = 0.1
SPARE_BYTES = 50_000_000  # of the disk, that stay free
RETRIES, RETRY_S = 5, 0.5  # tries in a row without a byte, and the time before the first of them


@dataclass(frozen=True)
class Plan:
    """What a download is going to do.

    Attributes:
        target: the folder that is to appear.
        revision: the commit that is fetched.
        files: all files of the release.
        present_bytes: how many of their bytes an interrupted download has left.
        complete: the folder is there, of this revision.
    """

    release: Release
    target: Path
    revision: str
    files: tuple[RemoteFile, ...]
    present_bytes: int = 0
    complete: bool = False

    @property
    def total_bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def partial(self) -> Path:
        return partial_of(self.target)


def partial_of(target: Path) -> Path:
    """Where a download lies until it is complete."""
    return target.with_name(f".{target.name}.partial")


def plan_download(
    release: Release,
    models_dir: str | Path,
    *,
    revision: str | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Plan:
    """Ask the hub what there is to fetch; nothing is written.

    Args:
        revision: a commit, branch or tag; None: the pinned one, else the one that was begun with, else the newest.
        should_stop: asked about ten times a second, in the thread of the caller; what it raises goes on.

    Raises:
        DownloadError: the hub is out of reach, refuses, or has no such release; or something else has its folder.
        StoppedError: `should_stop` said so.
    """
    return _watched(lambda: _plan(release, models_dir, revision), should_stop)


def describe_plan(plan: Plan) -> str:
    """What a person has to know before: what it is, from where, to where, its size, free space and licence."""
    release, missing, whole = plan.release, plan.total_bytes - plan.present_bytes, f"{plan.total_bytes / 1e9:.2f} GB"
    if plan.complete:
        lines = [f"{plan.target} is there ({whole} of {release.repository} at {plan.revision})."]
    else:
        lines = [
            release.about,
            f"    from {release.repository} at {plan.revision}",
            f"    to {plan.target}",
            f"    {whole}, of which {missing / 1e9:.2f} GB are missing; "
            f"{_free_bytes(plan.target.parent) / 1e9:.1f} GB are free",
        ]
    lines.append(f"    Licence: {release.licence}")
    return "\n".join([*lines, *([f"    It goes with: {release.beside}"] if release.beside else [])])


def _plan(release: Release, models_dir: str | Path, revision: str | None) -> Plan:
    target = Path(models_dir).absolute() / release.name
    partial = partial_of(target)
    for place in (target, partial):
        if place.is_symlink():
            raise DownloadError(
                f"'{place}' is a link.",
                expected="a folder, or nothing",
                got="a symbolic link",
                remedy="Remove the link, or name another models folder.",
            )
    wanted = revision or release.revision or _record(partial).get("revision") or None
    done = _record(target)
    whole = bool(done) and _whole(target, done)
    if whole and done["revision"] == (wanted or done["revision"]):
        files = tuple(RemoteFile(name, known["size"], known["digest"]) for name, known in done["files"].items())
        return Plan(release, target, done["revision"], files, complete=True)
    commit, files = repository_files(release, wanted)
    if whole and done["revision"] == commit:
        return Plan(release, target, commit, tuple(files), complete=True)
    if target.exists():
        raise DownloadError(
            f"'{target}' is there already, and is not this release at {commit[:12]}.",
            expected="no such folder",
            got=f"a folder with {done['revision'][:12]}" if done else "a folder of other origin",
            remedy="Use it as it is, or rename or delete it and download again.",
        )
    present = sum(min(_size(partial / name), file.size) for file in files for name in (file.name, file.part))
    return Plan(release, target, commit, tuple(files), present)


def download(
    release: Release,
    models_dir: str | Path,
    *,
    revision: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Plan:
    """Fetch a release into a models folder. A token is taken from the environment ($HF_TOKEN) and from nowhere else.

    Of several at once that want the same folder one works, and the others wait for it.

    Args:
        revision: as in `plan_download`.
        on_progress: called with the bytes that are there and those of the whole, about ten times a second, in the
            thread of the caller; what it raises stops the download.
        should_stop: asked as often.

    Returns:
        What was done.

    Raises:
        DownloadError: as `plan_download`; the disk is too full, the connection was lost, or a file does not have the
            checksum that the hub names. What was fetched stays for the next time, but for a file with a wrong checksum.
        StoppedError: `should_stop` said so.
    """
    work = _RunningDownload(release, Path(models_dir), revision)

    def look() -> None:
        if work.total and on_progress is not None:
            on_progress(work.done, work.total)

    try:
        return _watched(work.run, should_stop, look)
    finally:
        work.stopped = True  # it ends at its next piece, or when the server has been silent for too long


def _watched(
    task: Callable[[], Plan], should_stop: Callable[[], bool] | None, look: Callable[[], None] | None = None
) -> Plan:
    """The result of a task in a thread of its own: a server that is silent must not hold up a cancel."""
    pool = ThreadPoolExecutor(1, "higgs-download")
    try:
        running = pool.submit(task)
        while not running.done():
            wait([running], POLL_S)
            if look is not None:
                look()
            if should_stop is not None and not running.done() and should_stop():
                raise StoppedError(
                    "The download was stopped.",
                    remedy="What was fetched is kept: download again to continue from there.",
                )
        return running.result()
    finally:
        pool.shutdown(wait=False)


class _DownloadStopped(Exception):
    """Unwinds the thread that works."""


class _RunningDownload:
    """One download, in the thread of `run`; the others look at it."""

    def __init__(self, release: Release, models_dir: Path, revision: str | None):
        self.release, self.models_dir, self.revision = release, models_dir, revision
        self.done = self.total = 0
        self.stopped = False

    def run(self) -> Plan:
        with _disk_errors(self.models_dir):
            self.models_dir.mkdir(parents=True, exist_ok=True)
        with self._lock():
            plan = _plan(self.release, self.models_dir, self.revision)
            self.total = plan.total_bytes
            if not plan.complete:
                self._fetch(plan)
            self.done = self.total
        return plan

    @contextmanager
    def _lock(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        lock = FileLock(self.models_dir / f".{self.release.name}.lock")
        while True:
            self._check()
            try:
                lock.acquire(timeout=POLL_S)
                break
            except Timeout:
                continue
        try:
            yield
        finally:
            lock.release()

    def _check(self) -> None:
        if self.stopped:
            raise _DownloadStopped

    def _fetch(self, plan: Plan) -> None:
        with _disk_errors(plan.partial):
            plan.partial.mkdir(exist_ok=True)
            before = _record(plan.partial).get("files", {})
            for file in plan.files:  # what is there under its name may be of another revision
                if before.get(file.name, {}).get("digest") != file.digest:
                    (plan.partial / file.name).unlink(missing_ok=True)
            _write_record(plan)
            _check_disk(plan)
        for file in plan.files:
            self._fetch_file(plan, file)
        with _disk_errors(plan.partial):
            for left in set(os.listdir(plan.partial)) - {RECORD, *(file.name for file in plan.files)}:
                (plan.partial / left).unlink()
            self._check()
            plan.partial.rename(plan.target)

    def _fetch_file(self, plan: Plan, file: RemoteFile) -> None:
        """Into its part first; under its name it is complete and was compared."""
        whole, part = plan.partial / file.name, plan.partial / file.part
        with _disk_errors(plan.partial):
            if whole.exists():
                whole.replace(part)
            with open(part, "ab+") as sink:
                digest = self._take_up(sink, file)
                self._receive(plan, file, sink, digest)
                sink.flush()
                os.fsync(sink.fileno())
            if digest.hexdigest() != file.digest.partition(":")[2]:
                part.unlink()
                raise DownloadError(
                    f"{file.name} of {plan.release.repository} arrived damaged.",
                    expected=file.digest,
                    got=digest.hexdigest(),
                    remedy="It was deleted: download again. If that fails too, the server "
                    "has another file than the hub names.",
                )
            part.replace(whole)

    def _take_up(self, sink, file: RemoteFile):
        """The digest of what is there already, if it is not more than there can be."""
        sink.seek(0)
        if sink.seek(0, os.SEEK_END) > file.size:
            sink.truncate(0)
        sink.seek(0)
        digest = file.new_digest()
        while block := sink.read(1 << 20):
            self._check()
            digest.update(block)
            self.done += len(block)
        return digest

    def _receive(self, plan: Plan, file: RemoteFile, sink, digest) -> None:
        """Append what is missing; the connection may break and is made again where it broke."""
        failures = 0
        while (start := sink.tell()) < file.size:
            self._check()
            try:
                with closing(stream(plan.release, plan.revision, file, start)) as pieces:
                    for piece in pieces:
                        self._check()
                        if sink.tell() + len(piece) > file.size:
                            raise _too_long(plan, file)
                        with _disk_errors(plan.partial):
                            sink.write(piece)
                        digest.update(piece)
                        self.done += len(piece)
                lost = None
            except ConnectionError as error:
                lost = error
            failures = failures + 1 if sink.tell() == start else 0
            if failures >= RETRIES:
                raise DownloadError(
                    "The connection to the hub was lost.",
                    expected=f"{file.size} bytes of {file.name}",
                    got=f"{sink.tell()}" + (f" ({lost})" if lost else ""),
                    remedy="What was fetched is kept: download again to continue from there.",
                ) from lost
            if sink.tell() < file.size:
                self._wait(RETRY_S * (failures + 1))

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._check()
            time.sleep(POLL_S / 2)


def _too_long(plan: Plan, file: RemoteFile) -> DownloadError:
    return DownloadError(
        f"The server sends more than {file.name} has.",
        expected=f"{file.size} bytes",
        got="more",
        remedy="Download again; if that fails too, the server has another file than the hub names.",
    )


def _check_disk(plan: Plan) -> None:
    needed = plan.total_bytes - plan.present_bytes + SPARE_BYTES
    free = _free_bytes(plan.partial)
    if needed > free:
        raise DownloadError(
            "The disk is too full for this release.",
            expected=f"{needed / 1e9:.1f} GB free",
            got=f"{free / 1e9:.1f} GB in {plan.target.parent}",
            remedy="Make room, or name another models folder.",
        )


def _free_bytes(folder: Path) -> int:
    """Of the disk that a folder is on, or is going to be on."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.is_dir())).free


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"'{folder}' cannot be written.",
            expected="room, and permission to write",
            got=str(error),
            remedy="Make room or name another models folder, and download again: what was fetched is kept.",
        ) from error


def _write_record(plan: Plan) -> None:
    files = {file.name: {"size": file.size, "digest": file.digest} for file in plan.files}
    record = {
        "repository": plan.release.repository,
        "revision": plan.revision,
        "licence": plan.release.licence,
        "files": files,
    }
    write_bytes(plan.partial / RECORD, (json.dumps(record, indent=1) + "\n").encode())


def _record(folder: Path) -> dict:
    """What a folder says of its own download; empty where it says nothing that can be used."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        usable = all(isinstance(known["size"], int) and known["digest"] for known in found["files"].values())
        return found if isinstance(found["revision"], str) and usable else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _whole(folder: Path, record: dict) -> bool:
    return all(_size(folder / name) == known["size"] for name, known in record["files"].items())


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0

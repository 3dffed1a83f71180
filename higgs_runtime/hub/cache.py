"""One cache for all loaded models: each is loaded once, shared by all who ask, and dropped least recently used first.

A model is borrowed with `with cache.use(key, load) as model:`. While anyone holds it, it is never dropped.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from ..checkpoint.gguf_source import gguf_parts, is_gguf
from ..errors import CheckpointError


@dataclass(frozen=True)
class ModelKey:
    """What makes two requests the same model.

    Attributes:
        kind: "lm" or "codec".
        path: resolved path of the checkpoint.
        files: (relative name, bytes, mtime in ns) of each file: a changed checkpoint is another model.
        device, dtype, quantization: how it is loaded, by name.
    """

    kind: str
    path: str
    files: tuple[tuple[str, int, int], ...]
    device: str
    dtype: str
    quantization: str | None = None

    @classmethod
    def of(
        cls,
        kind: str,
        path: str | Path,
        *,
        device: torch.device | str,
        dtype: torch.dtype,
        quantization: str | None = None,
    ) -> ModelKey:
        """The key of a checkpoint as it is on the disk now.

        Raises:
            CheckpointError: nothing is at the path.
        """
        root = Path(path).resolve()
        return cls(kind, str(root), file_stats(root), str(device), str(dtype), quantization)

    @property
    def file_bytes(self) -> int:
        """Bytes of all files, a first guess at the memory the model takes."""
        return sum(size for _, size, _ in self.files)


def file_stats(path: str | Path) -> tuple[tuple[str, int, int], ...]:
    """(relative name, bytes, mtime in ns) of a checkpoint file and what belongs to it, or of each file in a folder.

    Raises:
        CheckpointError: nothing is at the path.
    """
    root = Path(path)
    if not root.exists():
        raise CheckpointError(
            "There is no such checkpoint.",
            expected="a model folder or file",
            got=f"nothing at '{root}'",
            remedy="Choose another model, or put its files there.",
        )
    if root.is_file():
        files, base = gguf_parts(root) if is_gguf(root) else [root], root.parent
    else:
        files, base = sorted(file for file in root.rglob("*") if file.is_file()), root
    stats = [(Path(os.path.relpath(file, base)).as_posix(), file.stat()) for file in files]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


class Residency(Protocol):
    """Another memory manager (ComfyUI's) that has a say in where weights live."""

    def admit(self, key: ModelKey, model: Any, work_bytes: int) -> None:
        """Called at every use, before the model is handed out: bring the weights to their device.

        `work_bytes` have to stay free there for what the model computes.
        """

    def dropped(self, key: ModelKey) -> None:
        """Called when the cache lets go of a model: let go of it too."""


@dataclass
class _Entry:
    key: ModelKey
    loading: Future = field(default_factory=Future)
    users: int = 0
    bytes: int = 0
    doomed: bool = False  # dropped as soon as nobody uses it
    on_evict: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True)
class CacheStats:
    """Figures of a cache: bytes held, its limits (None: no limit), and what happened so far."""

    models: tuple[tuple[ModelKey, int, int], ...]  # key, bytes, users; least recently used first
    bytes: int
    budget_bytes: int | Mapping[str, int] | None
    hits: int
    loads: int
    evictions: int


class ModelCache:
    """Keeps models in memory under a byte budget. Safe to use from several threads.

    Args:
        budget_bytes: for the models of each device, one number for all devices or one by a device's name: idle models
            are dropped, least recently used first, until the rest fits; the model used last stays even if it is
            larger. None, or a device that is not named: no limit.
        residency: told of each use and each drop.
    """

    def __init__(self, budget_bytes: int | Mapping[str, int] | None = None, residency: Residency | None = None):
        self.budget_bytes = budget_bytes
        self.residency = residency
        self._lock = threading.RLock()
        self._entries: OrderedDict[ModelKey, _Entry] = OrderedDict()  # least recently used first
        self._hits = self._loads = self._evictions = 0

    @contextmanager
    def use(
        self, key: ModelKey, load: Callable[[], Any], work_bytes: Callable[[Any], int] | None = None
    ) -> Iterator[Any]:
        """Lends the model of `key` for the time of the with-block; `load` is called if nobody loaded it yet.

        Requests for one key at the same time share one load; different keys load side by side. If `load` fails,
        all who waited for it get its error, and the next request loads anew.

        Args:
            work_bytes: of the model, the memory that this use takes beside the weights; for the residency.
        """
        entry, ours = self._claim(key)
        try:
            if ours:
                self._fill(entry, load)
            model = entry.loading.result()
            if self.residency is not None:
                self.residency.admit(key, model, work_bytes(model) if work_bytes else 0)
            yield model
        finally:
            self._release(entry)

    def on_evict(self, key: ModelKey, callback: Callable[[], None]) -> None:
        """Has `callback` called once when the model is dropped: free KV caches, captured graphs and the like."""
        with self._lock:
            self._entries[key].on_evict.append(callback)

    def evict(self, key: ModelKey) -> bool:
        """Drops a model now, or when its last user is done. Returns whether it is gone now."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return True
            if entry.users:
                entry.doomed = True
                return False
            self._entries.pop(key)
        self._drop([entry])
        return True

    def clear(self) -> None:
        """Drops all models; those in use when their last user is done."""
        for key in list(self._entries):
            self.evict(key)

    def stats(self) -> CacheStats:
        with self._lock:
            models = tuple((entry.key, entry.bytes, entry.users) for entry in self._entries.values())
            held = sum(size for _, size, _ in models)
            return CacheStats(models, held, self.budget_bytes, self._hits, self._loads, self._evictions)

    def _claim(self, key: ModelKey) -> tuple[_Entry, bool]:
        """The entry of a key with one more user, and whether the caller has to load it."""
        with self._lock:
            entry = self._entries.get(key)
            ours = entry is None
            if entry is None:
                entry = self._entries[key] = _Entry(key)
                self._loads += 1
            else:
                self._hits += 1
            entry.users += 1
            entry.doomed = False
            self._entries.move_to_end(key)
            return entry, ours

    def _fill(self, entry: _Entry, load: Callable[[], Any]) -> None:
        try:
            self._drop(self._take_stale(entry.key))
            self._drop(self._take_over_budget(entry.key.device, extra_bytes=entry.key.file_bytes))
            model = load()
            entry.bytes = model_bytes(model)
            self._drop(self._take_over_budget(entry.key.device))
        except BaseException as error:
            with self._lock:
                self._entries.pop(entry.key, None)
            entry.loading.set_exception(error)
            raise
        entry.loading.set_result(model)

    def _release(self, entry: _Entry) -> None:
        with self._lock:
            entry.users -= 1
            done = entry.doomed and not entry.users and self._entries.get(entry.key) is entry
            if done:
                self._entries.pop(entry.key)
        self._drop([entry] if done else self._take_over_budget(entry.key.device))

    def _take_stale(self, key: ModelKey) -> list[_Entry]:
        """Idle models of the same checkpoint from before its files changed; those in use go with their last user."""
        with self._lock:
            stale = [
                entry for entry in self._entries.values() if entry.key.path == key.path and entry.key.files != key.files
            ]
            for entry in stale:
                entry.doomed = True
            return [self._entries.pop(entry.key) for entry in stale if not entry.users]

    def _take_over_budget(self, device: str, extra_bytes: int = 0) -> list[_Entry]:
        """Idle models to drop, removed from the table, so that the rest and `extra_bytes` fit the device's budget."""
        taken: list[_Entry] = []
        budget = self.budget_bytes.get(device) if isinstance(self.budget_bytes, Mapping) else self.budget_bytes
        if budget is None:
            return taken
        with self._lock:
            here = [entry for entry in self._entries.values() if entry.key.device == device]
            held = sum(entry.bytes for entry in here) + extra_bytes
            for entry in here[:-1]:
                if held <= budget:
                    break
                if not entry.users:
                    held -= entry.bytes
                    taken.append(self._entries.pop(entry.key))
        return taken

    def _drop(self, entries: list[_Entry]) -> None:
        """Lets go of models that are no longer in the table; called without the lock.

        All of them go, whatever a callback raises; that goes on at the end, an earlier error as its context.
        """
        with self._lock:
            self._evictions += len(entries)
        with ExitStack() as last_words:
            for entry in entries:
                if self.residency is not None:
                    last_words.callback(self.residency.dropped, entry.key)
                for callback in entry.on_evict:
                    last_words.callback(callback)
                entry.on_evict = []
                entry.loading = Future()


def model_bytes(model: Any) -> int:
    """Bytes of a model's parameters and buffers; storage that several tensors share counts once.

    Takes an nn.Module, or an object that holds one as `.module`.
    """
    module = model if isinstance(model, torch.nn.Module) else getattr(model, "module", None)
    if not isinstance(module, torch.nn.Module):
        return 0
    tensors = [*module.parameters(), *module.buffers()]
    return sum({_storage(tensor): tensor.numel() * tensor.element_size() for tensor in tensors}.values())


def _storage(tensor: torch.Tensor) -> tuple[Any, ...]:
    return (tensor.device, tensor.data_ptr() or id(tensor), tensor.shape)


_shared: ModelCache | None = None
_shared_lock = threading.Lock()


def shared_cache() -> ModelCache:
    """The cache of this process."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = ModelCache()
        return _shared

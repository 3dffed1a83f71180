"""The workers of one render: started where there is room, given the next part when free, replaced when lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..errors import ClusterError, HiggsError
from ..rendering import Events
from .connect import ClusterSettings, room
from .parts import Part, Parts
from .worker import News, Ready

POLL_S = 0.5  # between two looks at should_stop and at the room
MAX_LOSSES = 3  # workers that a part, or the start of workers, may cost in a row


@dataclass(frozen=True)
class PoolStatus:
    """How many workers there are: waiting for a place, loading, speaking, idle; and lost so far."""

    waiting: int
    loading: int
    speaking: int
    idle: int
    lost: int
    nodes: int

    def __str__(self):
        parts = [
            f"{count} {what}"
            for what in ("speaking", "loading", "waiting", "idle", "lost")
            if (count := getattr(self, what))
        ]
        return f"{', '.join(parts) or 'no workers'} on {self.nodes} node{'s' if self.nodes != 1 else ''}"


@dataclass(eq=False)
class _Hand:
    """A worker as the driver sees it. `call`: what it is asked to do; None when it is idle."""

    actor: Any
    state: Literal["waiting", "loading", "speaking", "idle"]
    call: Any
    node: str = ""
    part: Part | None = None


class Desk(Protocol):
    """Puts together what workers say."""

    def ready(self, ready: Ready) -> None:
        """The first worker has its model."""

    def choice(self, part: Part) -> Mapping[int, int]:
        """The takes that are chosen in a part, by its own numbers of lines."""
        ...

    def news(self, part: Part, news: News) -> None:
        """What happened in a part."""


@dataclass(eq=False)
class WorkerPool:
    """Args:
    hire: makes an actor with these CPUs and GPUs.
    keeper: makes the actor that keeps takes, when a worker needs it.
    desk: is told of the workers' news, and knows the takes that are chosen.
    """

    ray: Any
    hire: Callable[[float, float], Any]
    keeper: Callable[[], Any]
    parts: Parts
    settings: ClusterSettings
    desk: Desk
    events: Events
    _hands: list[_Hand] = field(default_factory=list)
    _lost: int = 0
    _failed_starts: int = 0
    _stopping: bool = False
    _first: Ready | None = None
    _needs_keeper: bool = False

    def work(self) -> None:
        """Until all parts are spoken, or it is told to stop.

        Raises:
            ClusterError: there is no room; workers of different checkpoints; a part, or loading, ends every worker.
            HiggsError: of a worker.
        """
        heard, looked = time.monotonic(), 0.0
        try:
            while self._has_work():
                if time.monotonic() > looked + POLL_S:
                    self._look()
                    looked = time.monotonic()
                calls = {hand.call: hand for hand in self._hands if hand.call is not None}
                for call in self._answered(list(calls)):
                    self._hear(calls[call])
                if any(hand.state != "waiting" for hand in self._hands):
                    heard = time.monotonic()
                elif time.monotonic() > heard + POLL_S + self.settings.patience_s:
                    raise self._no_room()
        finally:
            for hand in self._hands:
                self.ray.kill(hand.actor)
            self._hands.clear()

    def _answered(self, calls: list) -> list:
        """All calls that have an answer, after waiting a little for the first one."""
        if not calls:
            time.sleep(POLL_S / 10)
        if not calls or not self.ray.wait(calls, num_returns=1, timeout=POLL_S)[0]:
            return []
        return self.ray.wait(calls, num_returns=len(calls), timeout=0)[0]

    def _has_work(self) -> bool:
        speaking = any(hand.state == "speaking" for hand in self._hands)
        return speaking or bool(self.parts) and not self._stopping

    def _look(self) -> None:
        """At what changes by itself: the room in the cluster, and whether to stop."""
        if self.events.should_stop() and not self._stopping:
            self._stopping = True
            for hand in self._hands:
                hand.actor.stop.remote()
        there, cpus, gpus = room(self.ray, self.settings.cpus, self.settings.gpus)
        wanted = min(
            there if self.settings.workers is None else self.settings.workers, len(self.parts) + len(self._hands)
        )
        while len(self._hands) < wanted and not self._stopping:
            actor = self.hire(cpus, gpus)
            self._hands.append(_Hand(actor, "waiting", actor.hello.remote()))
        self._tell()

    def _hear(self, hand: _Hand) -> None:
        """What a worker said, or that it is lost."""
        errors = self.ray.exceptions
        try:
            if hand.state == "speaking":
                said = self.ray.get(next(hand.call))
            else:
                said = self.ray.get(hand.call)
        except StopIteration:
            hand.state, hand.call, hand.part = "idle", None, None
        except (
            errors.ActorDiedError,
            errors.ActorUnavailableError,
            errors.WorkerCrashedError,
            errors.ObjectLostError,
        ) as error:
            return self._lose(hand, error)
        except errors.RayTaskError as error:
            if isinstance(error.cause, HiggsError):
                raise error.cause from error
            raise
        else:
            self._next_step(hand, said)
        if hand.state == "idle":
            self._assign()

    def _next_step(self, hand: _Hand, said) -> None:
        if hand.state == "waiting":
            hand.node = said[0]
            hand.state, hand.call = "loading", hand.actor.open.remote()
        elif hand.state == "loading":
            self._check_same(said)
            hand.state, hand.call, self._failed_starts = "idle", None, 0
        elif hand.part is not None:
            self.desk.news(hand.part, said)
        if not isinstance(said, News):
            self._tell()

    def _assign(self) -> None:
        """The next parts to those who are free."""
        for hand in self._hands:
            if hand.state == "idle" and not self._stopping and (part := self.parts.fetch(len(self._hands))):
                keeper = self.keeper() if self._needs_keeper else None
                speak = hand.actor.speak.options(num_returns="streaming")
                call = speak.remote(part.script, self.desk.choice(part), keeper)
                hand.state, hand.part, hand.call = "speaking", part, call
        self._tell()

    def _lose(self, hand: _Hand, error: Exception) -> None:
        """Its part goes to another one."""
        self._hands.remove(hand)
        self.ray.kill(hand.actor)  # perhaps it only cannot be reached
        self._lost += 1
        if hand.state in ("waiting", "loading"):
            self._failed_starts += 1
        if hand.part is not None:
            self.parts.give_back(hand.part)
        if self._failed_starts >= MAX_LOSSES or hand.part and hand.part.losses >= MAX_LOSSES:
            doing = f"speaking from turn {hand.part.first + 1} on" if hand.part else "starting or loading the model"
            raise ClusterError(
                f"Workers end while they are {doing}.",
                expected="one that stays",
                got=f"{MAX_LOSSES} lost, the last on '{hand.node}' ({' '.join(str(error).split())[:300]})",
                remedy="See that the nodes have the memory (fewer lines side by side need less), and "
                "look into Ray's logs there. What has been spoken is in the store.",
            ) from error
        self._assign()

    def _check_same(self, ready: Ready) -> None:
        """All workers have to speak alike."""
        if self._first is None:
            self._first = ready
            self.desk.ready(ready)
        elif ready.identity != self._first.identity:
            raise ClusterError(
                "The nodes do not have the same model.",
                expected=f"that of '{self._first.node}': {self._first.identity}",
                got=f"'{ready.node}': {ready.identity}",
                remedy="Copy the checkpoint anew, and use one kind of device and one dtype.",
            )
        self._needs_keeper |= not ready.shared

    def _tell(self) -> None:
        states = [hand.state for hand in self._hands]
        nodes = len({hand.node for hand in self._hands if hand.node})
        waiting, loading, speaking, idle = (states.count(one) for one in ("waiting", "loading", "speaking", "idle"))
        self.events.on_workers(PoolStatus(waiting, loading, speaking, idle, self._lost, nodes))

    def _no_room(self) -> ClusterError:
        there, cpus, gpus = room(self.ray, self.settings.cpus, self.settings.gpus)
        return ClusterError(
            "The cluster has no place for a worker.",
            expected=f"a node with {cpus:g} CPUs and {gpus:g} GPUs free",
            got=f"room for {there} in all, and none free in {self.settings.patience_s:g} s",
            remedy="Ask for less for each worker, end what else runs there, or add nodes.",
        )

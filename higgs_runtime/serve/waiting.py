"""A request that waits for what the engine tells of its line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.requests import Request

from ..audio.clip import AudioClip
from ..types import Codes
from .budget import Share
from .engine import SpeechEngine
from .lines import Done, Event, PieceOver, ServedRequest
from .timestamps import AnswerWords, PieceWords, Wanted, WordFinder


@dataclass(eq=False)
class EventStream:
    """A request that waits for its line: events come through a queue, None where the client has left.

    Args:
        words: those of a request that wants timestamps.
    """

    request: Request
    line: ServedRequest
    engine: SpeechEngine
    words: AnswerWords | None = None
    _events: asyncio.Queue[Event | PieceWords | None] = field(default_factory=asyncio.Queue)
    _end: Done | None = None  # of the line, while words are not known

    def __post_init__(self):
        self.share: Share = self.request.scope["share"]
        self._loop = asyncio.get_running_loop()
        self._watch = asyncio.create_task(self._until_gone())

    def tell(self, event: Event) -> None:
        """On the engine's thread."""
        self.share.take(bytes_of(event), whatever=True)
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def find_words(self, finder: WordFinder, wanted: Wanted) -> None:
        """Tell the words too."""
        self.words = AnswerWords(finder, wanted, self.share, self._events.put_nowait)

    async def leave(self) -> None:
        """Nobody listens any more."""
        self._watch.cancel()
        if self.words is not None:
            self.words.leave()
        self.engine.forget(self.line)

    async def taken(self, event: Event | PieceWords) -> Event | PieceWords | None:
        """The next one, when this one was sent."""
        self.share.take(-bytes_of(event))
        return await self.next()

    async def next(self) -> Event | PieceWords | None:
        """The next one; the end comes when all words are known."""
        while True:
            event, words = await self._events.get(), self.words
            if words is None:
                return event
            if isinstance(event, PieceOver):
                words.end_piece(event)
            elif isinstance(event, Done) and words.waiting:
                self._end = event
            else:
                if isinstance(event, AudioClip):
                    words.hear(event)
                words.waiting -= isinstance(event, PieceWords)
                if self._end is not None and not words.waiting:
                    self._events.put_nowait(self._end)
                    self._end = None
                return event

    async def _until_gone(self) -> None:
        while (await self.request.receive())["type"] != "http.disconnect":
            pass
        self.line.gone = True  # the engine looks at it between two steps
        self._events.put_nowait(None)


def bytes_of(event: Event | PieceWords) -> int:
    tensor = event.samples if isinstance(event, AudioClip) else event.ids if isinstance(event, Codes) else None
    return 0 if tensor is None else tensor.nbytes

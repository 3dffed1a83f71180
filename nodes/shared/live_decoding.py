"""Decoding beside generation: the codec turns frames into sound in a thread of its own while the model speaks on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from queue import SimpleQueue
from typing import Any, NamedTuple

import torch

from ..host.progress import cancelled
from .live import LiveSound, channel, workflow_id

PAUSE_S = 0.3  # between the lines of a script
LOOK_S = 0.05  # between two looks whether the person cancels, while the last piece is decoded


class Rest(NamedTuple):
    """Between two pieces: so many seconds of silence."""

    seconds: float


@contextmanager
def heard(
    codec, model, most_s: float, hidden: Any, pieces: int = 1
) -> Iterator[tuple[LiveSound | None, Callable[[torch.Tensor | Rest], None]]]:
    """The sound that a take becomes, and what takes its frames [K, n] as they come.

    Args:
        codec: the model's; None: nothing is decoded.
        most_s: seconds that a take has at most.
        hidden: the node's hidden inputs, with extra_pnginfo.
        pieces: takes that it is; there is a Rest after each but the last.

    Raises:
        CheckpointError: the codec is not the model's.
    """
    if codec is None:
        yield None, lambda frames: None
        return
    from ...higgs_runtime import Codes

    config = model.config
    decode = _in_pieces(codec) if pieces > 1 else _as_one(codec)
    with _sound(codec, model, most_s * pieces, hidden) as sound, _decoding(sound, decode) as take:
        seconds = 0.0

        def on_frames(frames: torch.Tensor | Rest) -> None:
            nonlocal seconds
            if isinstance(frames, Rest):
                take(frames)
            elif frames.shape[1]:
                seconds += frames.shape[1] / config.frame_rate
                sound.rendered(seconds)
                take(Codes(frames, config.frame_rate, config.codebook_size, config.codec_identity))

        yield sound, on_frames


@contextmanager
def heard_lines(codec, model, hidden: Any) -> Iterator[Callable[[Any], None]]:
    """What takes the lines of a script as they are spoken (`on_take` of `render_script`): the editor hears the first
    take of each, in the script's order. Arguments and errors as of `heard`; no model: it is not here."""
    if codec is None:
        yield lambda spoken: None
        return
    with _sound(codec, model, None, hidden) as sound, _decoding(sound, _one_by_one(codec)) as take:
        waiting: dict[int, Any] = {}  # codes of lines that were spoken before an earlier one
        following, seconds = 0, 0.0

        def on_take(spoken) -> None:
            nonlocal following, seconds
            if spoken.line.number < following or spoken.line.number in waiting:
                return
            waiting[spoken.line.number] = spoken.take.codes
            seconds += spoken.take.codes.seconds
            sound.rendered(seconds)
            while following in waiting:
                take(waiting.pop(following))
                following += 1

        yield on_take


@contextmanager
def _sound(codec, model, most_s: float | None, hidden: Any) -> Iterator[LiveSound]:
    from ...higgs_runtime.speech import check_pair

    if model is not None:
        check_pair(model, codec)
    rate = codec.frame_rate if model is None else model.config.frame_rate
    with channel(codec.sample_rate, frame_rate=rate, most_s=most_s, workflow=workflow_id(hidden)) as sound:
        yield sound


@contextmanager
def _decoding(sound: LiveSound, decode: Callable[..., Generator[Any, None, None]]) -> Iterator[Callable[[Any], None]]:
    """What takes codes; all that it was given is decoded when the block ends. What goes wrong in the codec ends the
    sound and not the render: the player says why.

    Args:
        decode: clips from a queue of codes, which ends with None, until an event is set.
    """
    from ...higgs_runtime import HiggsError

    waiting: SimpleQueue = SimpleQueue()  # of codes: a few bytes a frame, no more than the node makes anyway
    stopped = threading.Event()

    def work() -> None:
        with closing(decode(waiting, stopped)) as clips:
            for clip in clips:
                if stopped.is_set():
                    return
                sound.push(clip)

    with ThreadPoolExecutor(1, thread_name_prefix="higgs-live") as pool:
        done = pool.submit(work)
        try:
            yield waiting.put
            waiting.put(None)
            while not wait([done], LOOK_S).done:
                if cancelled():
                    sound.end("cancelled")
                    break
        finally:
            stopped.set()
            waiting.put(None)
        try:
            done.result()
        except (HiggsError, OSError, RuntimeError, MemoryError) as error:
            sound.end("failed", f"It cannot be heard live: {error}")


def _as_one(codec) -> Callable[..., Generator[Any, None, None]]:
    """All codes as one stream."""
    return lambda waiting, stopped: codec.decode_stream(_joined(waiting, stopped))


def _in_pieces(codec) -> Callable[..., Generator[Any, None, None]]:
    """The pieces of a text, with their rests between: as `decode_pieces` has them."""

    def decode(waiting: SimpleQueue, stopped: threading.Event) -> Generator[Any, None, None]:
        from ...higgs_runtime.audio.seams import Seams

        seams, goes_on = Seams(codec.sample_rate), True
        while goes_on and not stopped.is_set():
            rests: list[Rest] = []
            for clip in codec.decode_stream(_joined(waiting, stopped, rests.append)):
                if (piece := seams.push(clip)) is not None:
                    yield piece
            goes_on = bool(rests)
            if (piece := seams.end_line(rests[0].seconds if goes_on else None)) is not None:
                yield piece

    return decode


def _one_by_one(codec) -> Callable[..., Generator[Any, None, None]]:
    """Each codes alone, with a pause after it."""

    def decode(waiting: SimpleQueue, stopped: threading.Event) -> Generator[Any, None, None]:
        from ...higgs_runtime import AudioClip

        pause = AudioClip(torch.zeros(1, round(PAUSE_S * codec.sample_rate)), codec.sample_rate)
        while (codes := waiting.get()) is not None and not stopped.is_set():
            yield from codec.decode_stream([codes])
            yield pause

    return decode


def _joined(
    waiting: SimpleQueue, stopped: threading.Event, on_rest: Callable[[Rest], None] | None = None
) -> Iterator[Any]:
    """All codes that wait, to the end or the next rest, in pieces that decode well; a codec that is behind gets larger
    ones."""
    from ...higgs_runtime.codec.grouping import BESIDE_GENERATION, FrameGroups

    groups, ended = FrameGroups(BESIDE_GENERATION), False
    while not ended:
        codes = waiting.get()
        if isinstance(codes, Rest):
            if on_rest is not None:
                on_rest(codes)
            codes = None
        ended = codes is None or stopped.is_set()
        piece = groups.rest() if codes is None or ended else groups.add(codes, more=not waiting.empty())
        if piece is not None:
            yield piece

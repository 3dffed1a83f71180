"""Live sound: what a node renders can be heard in the editor while it renders.

The node appends to a file in ComfyUI's temp folder; pages read from it over HTTP (routes/live.py), each at its own
pace, from any sample on. So nobody who listens, or should, holds up the render or takes memory, and a page that comes
late has missed nothing. ComfyUI's websocket carries only the news that there is something to hear: it sends to one page
after the other and waits for each, out of a queue without an end (a page that does not read would hold up all pages and
collect the sound in memory), and its editor takes no binary messages but ComfyUI's own.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ...higgs_runtime.types import Codes
from ..host import files, messages
from ..host.progress import Cancelled

EVENT = "higgs.live"
FOLDER = "higgs_live"  # in ComfyUI's temp folder
KEPT_BYTES = 2**30  # of all sounds, on the disk; three hours at 24 kHz
KEPT_SOUNDS = 64
SAMPLE_BYTES = 4  # float32, little-endian, mono

State = Literal["rendering", "done", "cancelled", "failed"]


class LiveSound:
    """What a node has rendered until now. One thread pushes, any number read.

    Attributes:
        key: ids of the prompt and of the node, and which item of a list or round of a loop it is, from 0 on.
        number: another one for each rendering; the newest has the highest.
        samples: how many there are.
        codes: what the whole sound was decoded from, once the node is done.
        exact: the samples are those of Decode Codes; before, they equal them up to rounding.
    """

    def __init__(
        self,
        key: tuple[str, str, int],
        number: int,
        folder: Path,
        sample_rate: int,
        frame_rate: float,
        most_s: float | None,
        workflow: str,
    ):
        self.key, self.number, self.sample_rate, self.frame_rate = key, number, sample_rate, frame_rate
        self.most_s, self.workflow = most_s, workflow
        self.state: State = "rendering"
        self.why, self.samples, self.exact = "", 0, False
        self.codes: Codes | None = None
        self._rendered_s, self._started, self._seconds = 0.0, time.monotonic(), 0.0
        self._lock, self._folder = threading.Lock(), folder
        self._path: Path | None = folder / f"{number}.f32"

    def push(self, clip) -> None:
        """Appends a clip: mono, at the sound's rate. A full disk ends the sound, not the render.

        Raises:
            AudioError: another rate, or more than one channel.
        """
        data = self._bytes_of(clip)
        with self._lock:
            if self.state != "rendering" or self._path is None:
                return
            try:
                if _used_bytes() + len(data) > KEPT_BYTES and not _make_room(len(data), but=self):
                    raise OSError(f"the sound is longer than the {KEPT_BYTES / 2**20:.0f} MB that are kept for it")
                with self._path.open("ab") as file:
                    file.write(data)
            except OSError as error:
                self._end("failed", f"The sound cannot be kept: {error}. The render goes on.")
                logging.warning("Higgs Audio: %s", self.why)
                return
            self.samples += clip.samples.shape[1]

    def rendered(self, seconds: float) -> None:
        """So much is rendered; some of it is perhaps not decoded yet."""
        self._rendered_s = max(self._rendered_s, seconds)

    def end(self, state: State, why: str = "") -> None:
        """No more is coming. The first word counts."""
        with self._lock:
            self._end(state, why)
        messages.tell(EVENT, self.about())

    def replace(self, clip) -> None:
        """Puts the finished audio in place of what was heard while it was made."""
        data, path = self._bytes_of(clip), self._folder / f"{self.number}_exact.f32"
        try:
            path.write_bytes(data)
        except OSError as error:
            logging.warning("Higgs Audio: the live player keeps what it played: %s", error)
            _delete(path)
            return
        with self._lock:
            former, self._path = self._path, path
            self.samples, self.exact = clip.samples.shape[1], True
        _delete(former)
        messages.tell(EVENT, self.about())

    def read(self, after: int, most_bytes: int) -> bytes:
        """Samples after the first `after` ones; a piece of at most so many bytes, empty if there are none yet."""
        with self._lock:
            count = min(self.samples - after, most_bytes // SAMPLE_BYTES)
            if count <= 0 or self._path is None:
                return b""
            with self._path.open("rb") as file:
                file.seek(after * SAMPLE_BYTES)
                return file.read(count * SAMPLE_BYTES)

    def about(self) -> dict[str, Any]:
        """Figures for the player, as JSON takes them."""
        elapsed = self._seconds or time.monotonic() - self._started
        return {
            "prompt_id": self.key[0],
            "node": self.key[1],
            "item": self.key[2],
            "number": self.number,
            "workflow": self.workflow,
            "state": self.state,
            "why": self.why,
            "exact": self.exact,
            "sample_rate": self.sample_rate,
            "frame_rate": self.frame_rate,
            "samples": self.samples,
            "rendered_s": max(self._rendered_s, self.samples / self.sample_rate),
            "elapsed_s": elapsed,
            "most_s": self.most_s,
        }

    def forget(self) -> None:
        """Lets go of the file."""
        with self._lock:
            former, self._path, self.samples = self._path, None, 0
        _delete(former)

    def _end(self, state: State, why: str) -> None:
        if self.state == "rendering":
            self.state, self.why, self._seconds = state, why, time.monotonic() - self._started

    def _bytes_of(self, clip) -> bytes:
        from ...higgs_runtime import AudioError

        if clip.samples.shape[0] != 1 or clip.sample_rate != self.sample_rate:
            raise AudioError(
                "The live player cannot play this.",
                expected=f"mono at {self.sample_rate} Hz",
                got=f"{clip.samples.shape[0]} channels at {clip.sample_rate} Hz",
                remedy="Push what the codec gave, at the rate that the channel was opened with.",
            )
        return clip.samples[0].detach().cpu().float().contiguous().numpy().astype("<f4").tobytes()


_sounds: OrderedDict[tuple[str, str, int], LiveSound] = OrderedDict()  # oldest first
_sounds_lock = threading.RLock()
_numbers = itertools.count(time.time_ns() // 1_000_000)  # higher again after a restart: pages keep the newest


@contextmanager
def channel(
    sample_rate: int, *, frame_rate: float = 25.0, most_s: float | None = None, workflow: str = ""
) -> Iterator[LiveSound]:
    """The sound of the node that executes now, from silence on; it ends with the with-block.

    Args:
        sample_rate: of what is pushed, in Hz.
        frame_rate: frames per second of the codec, for the figures that the player shows.
        most_s: seconds of sound that it can become at most.
        workflow: `workflow_id`; tells pages that were opened later which graph the node stands in.
    """
    key, folder = (*messages.running_node(), messages.running_item()), files.temp_folder() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    sound = LiveSound(key, next(_numbers), folder, sample_rate, frame_rate, most_s, workflow)
    with _sounds_lock:
        former = _sounds.pop(key, None)
        _sounds[key] = sound
    if former is not None:
        former.forget()
    _make_room(0, but=sound)
    messages.tell(EVENT, sound.about())
    try:
        yield sound
    except Cancelled:
        sound.end("cancelled")
        raise
    except BaseException as error:
        sound.end("failed", str(error))
        raise
    sound.end("done")


def workflow_id(hidden: Any) -> str:
    """The id of the editor's workflow, from a node's hidden inputs; empty for a prompt from elsewhere."""
    workflow = ((hidden and hidden.extra_pnginfo) or {}).get("workflow")
    return str(workflow.get("id", "")) if isinstance(workflow, dict) else ""


def find(prompt_id: str, node: str, item: int = 0) -> LiveSound | None:
    """The sound of a node in a prompt, if it is kept."""
    return _sounds.get((prompt_id, node, item))


def sounds_of(workflow: str) -> list[LiveSound]:
    """The sounds of the newest run of each node of a workflow, those of a list in its order."""
    with _sounds_lock:
        kept = [sound for sound in _sounds.values() if workflow and sound.workflow == workflow]
    newest = {sound.key[1]: sound.key[0] for sound in kept}
    return [sound for sound in kept if sound.key[0] == newest[sound.key[1]]]


def settle(codes, clip) -> None:
    """What was heard while these codes were made is replaced with what they decode to as a whole."""
    with _sounds_lock:
        kept = [sound for sound in _sounds.values() if sound.state == "done" and not sound.exact]
    for sound in kept:
        same = sound.codes is codes or (sound.codes is not None and sound.codes.ids.equal(codes.ids))
        if same and clip.sample_rate == sound.sample_rate and clip.samples.shape[0] == 1:
            sound.replace(clip)


def _used_bytes() -> int:
    with _sounds_lock:
        return sum(sound.samples for sound in _sounds.values()) * SAMPLE_BYTES


def _make_room(size: int, but: LiveSound) -> bool:
    """Drops the oldest finished sounds until so many bytes fit; whether they do."""
    dropped = []
    with _sounds_lock:
        for key, sound in list(_sounds.items()):
            if _used_bytes() + size <= KEPT_BYTES and len(_sounds) <= KEPT_SOUNDS:
                break
            if sound is not but and sound.state != "rendering":
                dropped.append(_sounds.pop(key))
        fits = _used_bytes() + size <= KEPT_BYTES
    for sound in dropped:
        sound.forget()
    return fits


def _delete(path: Path | None) -> None:
    with contextlib.suppress(OSError):  # somebody reads it (Windows): ComfyUI clears the folder at its end
        if path is not None:
            path.unlink(missing_ok=True)

"""Where rows stand between their first and their last frame: ramp-in, open, wind-down.

Step 0 writes the stream-begin column; codebook k is held at stream-begin through step k (ramp-in) and free from
step k + 1. Once any free codebook draws stream-end at step t, codebook k is held at stream-end from step t + k + 1
(wind-down), and the row is finished when all K ids are stream-end.

Boson AI's original code counts from the drawing codebook j: those before it are held at once, codebook k > j from step
t + k - j + 1, and it is finished with the step that leaves the last codebook free. The frames are the same ones, but
the model reads other rows on its way to the last of them.

v3 ends where codebook 0 draws stream-end after the ramp-in, holds nothing, and is finished K - 2 steps later.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model import StopRule, undelay
from ..model.delay import NATIVE_STOP, begun_rows
from ..types import FinishReason

NEVER = 2**40  # a step that no row reaches


class DecodeState:
    """The schedule of B rows, on the device of their ids: nothing here waits for it.

    Attributes:
        step: LongTensor [B, 1], steps written.
        end_step: LongTensor [B, 1], the step at which a stream-end was drawn, NEVER before. Of the original code:
            that at which codebook 0 would have drawn it.
        begins: a row has begun with given frames: from then on every step looks at what is settled of it.
    """

    begins = False

    def __init__(
        self, batch: int, num_codebooks: int, bos_id: int, eos_id: int, stop: StopRule = NATIVE_STOP, device=None
    ):
        self.bos_id, self.eos_id, self.stop = bos_id, eos_id, stop
        self.codebooks = torch.arange(num_codebooks, device=device)
        self.step = torch.zeros((batch, 1), dtype=torch.long, device=device)
        self.end_step = torch.full((batch, 1), NEVER, device=device)
        self.settled = torch.full((batch, num_codebooks, num_codebooks), -1, device=device)  # the last row is free
        self.first = torch.ones((batch, 1), dtype=torch.long, device=device)  # step of the first settled row

    @property
    def tensors(self) -> list[Tensor]:
        """All that differs from row to row."""
        return [self.step, self.end_step, self.settled, self.first]

    def start(self, row: int, begun: Tensor | None = None) -> None:
        """The row begins anew, its stream-begin column written.

        Args:
            begun: LongTensor [K, F], frames that are written as well; see `begun_rows`.
        """
        self.step[row], self.end_step[row] = 1, NEVER
        if begun is not None:
            self.begins = True
            self.step[row] = 1 + begun.shape[1]
            self.settled[row, :-1] = begun_rows(begun, self.bos_id)[1].to(self.settled.device)
        elif self.begins:
            self.settled[row] = -1
        self.first[row] = self.step[row]

    def hold(self, ids: Tensor) -> Tensor:
        """Ids [n, K] of the first n rows, those of codebooks that are not free replaced; these rows go on by a step."""
        step, end_step = self.step[: len(ids)], self.end_step[: len(ids)]
        ids = torch.where(self.codebooks >= step, self.bos_id, ids)
        if self.begins:
            ids = self._with_settled(ids, step)
        if self.stop.holds:
            ends = ids == self.eos_id
            # not ends.max(): it wakes all threads of torch, which are in the way of a compiled step
            ended, first = ends.any(dim=1, keepdim=True), ends.int().argmax(dim=1, keepdim=True)
            drawn = step - first if self.stop.counts_from_drawer else step
            end_step.copy_(torch.where(ended & (end_step == NEVER), drawn, end_step))
            ids = torch.where(self.codebooks < step - end_step, self.eos_id, ids)
        step += 1
        return ids

    def _with_settled(self, ids: Tensor, step: Tensor) -> Tensor:
        """Ids [n, K], in which codebooks that lag behind the given frames have those."""
        rows, codebooks = self.settled[: len(ids)], self.settled.shape[1]
        place = (step - self.first[: len(ids)]).clamp(max=codebooks - 1)
        settled = rows.gather(1, place[:, :, None].expand(-1, 1, codebooks))[:, 0]
        return torch.where(settled >= 0, settled, ids)


class WrittenRows:
    """What one row has written so far, on the CPU. It begins with the stream-begin column.

    Args:
        max_frames: the row is over when so many frames are complete.
        stop: as of DecodeState.
        begun: LongTensor [K, F], given frames that it begins with: they count as written, and are no frames of it.

    Attributes:
        count: rows written.
        frames: frames that are complete.
    """

    def __init__(
        self,
        num_codebooks: int,
        bos_id: int,
        eos_id: int,
        codebook_size: int,
        max_frames: int,
        stop: StopRule = NATIVE_STOP,
        *,
        begun: Tensor | None = None,
    ):
        self.num_codebooks, self.eos_id, self.codebook_size = num_codebooks, eos_id, codebook_size
        self.max_frames, self.stop = max_frames, stop
        self._wind_down = num_codebooks + stop.further_rows  # rows from the end step on
        self.given = 0 if begun is None else begun.shape[1]
        self.count, self.frames = 1 + self.given, 0
        first = torch.full((1, num_codebooks), bos_id)
        self._rows = [first if begun is None else begun_rows(begun.cpu(), bos_id)[0][-1:]]
        self._pending = torch.empty((0, num_codebooks), dtype=torch.long)  # rows whose frame is not complete
        self._cut = False  # a frame with a stream-end was met: no frame after it counts
        self._end_step: int | None = None
        self._cut_for: FinishReason | None = None

    @property
    def rows(self) -> Tensor:
        """The delayed rows so far, LongTensor [R, K]; of those with given frames the last one alone."""
        return torch.cat(self._rows)

    @property
    def steps_left(self) -> int:
        """Rows that may still come, the wind-down included."""
        last = self.given + self.max_frames + self.num_codebooks
        if self._end_step is not None:
            last = min(last, self._end_step + self._wind_down)
        return max(0, last - self.count)

    @property
    def reason(self) -> FinishReason:
        """Why it is over; "cancelled" while it is not."""
        if self.steps_left:
            return "cancelled"
        if self._cut_for is not None:
            return self._cut_for
        return "length" if self._end_step is None else "stop"

    def cut(self, reason: FinishReason = "length") -> None:
        """No frame follows those that are complete."""
        self.max_frames, self._cut_for = self.frames, reason

    def push(self, rows: Tensor) -> Tensor:
        """Add rows [n, K], n ≤ steps_left; returns the frames [K, m] that became complete.

        A frame is complete with its last codebook, and the clip ends before the first frame that holds a stream-end
        (of v3: with the frame before its codebook 0 drew it). A stream id that a model draws where it is free stands
        for no entry; it is clipped to the last one.
        """
        ended = rows == self.eos_id
        if self._end_step is None:
            self._end_step = self._first_end(ended)
        closed = ended.all(dim=1)
        if bool(closed.any()) and self.stop.holds:  # perhaps by chance, before the schedule does it
            assert self._end_step is not None  # where all codebooks ended, the first did
            rows = rows[: int(closed.int().argmax()) + 1]
            self._end_step = min(self._end_step, self.count + len(rows) - self._wind_down)
        if self._end_step is not None:
            rows = rows[: max(0, self._end_step + self._wind_down - self.count)]
        self._rows.append(rows)
        self.count += len(rows)
        self._pending = torch.cat((self._pending, rows))
        return self._complete()

    def _first_end(self, ended: Tensor) -> int | None:
        """The end step that shows in new rows [n, K], where they hold a stream-end."""
        if not self.stop.holds:
            counted = torch.arange(self.count, self.count + len(ended)) > self.num_codebooks
            found = ended[:, 0] & counted
        else:
            found = ended.any(dim=1)
        if not bool(found.any()):
            return None
        row = int(found.int().argmax())
        held = int(ended[row].int().cumprod(0).sum()) - 1 if self.stop.counts_from_drawer else 0  # beside the one drawn
        return self.count + row - held

    def _complete(self) -> Tensor:
        frames = undelay(self._pending)[:, : self.max_frames - self.frames]
        self._pending = self._pending[frames.shape[1] :]
        ended = (frames == self.eos_id).any(dim=0) & self.stop.holds
        if self._cut or bool(ended.any()):
            frames = frames[:, : 0 if self._cut else int(ended.int().argmax())]
            self._cut = True
        self.frames += frames.shape[1]
        return frames.clamp(max=self.codebook_size - 1)

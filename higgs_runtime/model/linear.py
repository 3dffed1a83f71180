"""Matrices of the language model: plain, or packed from several of a checkpoint.

Letters in shapes: N positions, I features in, O features out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import torch
from torch import Tensor, nn

from ..cores import shared_out
from ..devices import has_bfloat16_products, is_out_of_memory

FEW = 16  # positions: as many as a step has
ROWS = 1026  # of a matrix that are there in float32 at a time: one codebook's
PANEL = 2**18  # weights that are there in the format of x at a time: they stay in the cache of a core


class Linear(nn.Linear):
    """nn.Linear that is fast for few positions on a CPU, and takes x in another format than its weights.

    bfloat16 weights on a CPU are a way to store them: x, sums and results are float32.
    """

    @property
    def matrices(self) -> list[Tensor]:
        """The weights: one matrix, or those that lie apart."""
        return [self.weight]

    def forward(self, x: Tensor) -> Tensor:
        found = [_product(x, weight) for weight in self.matrices]
        out = found[0] if len(found) == 1 else torch.cat(found, dim=-1)
        return out if self.bias is None else out + self.bias.to(out.dtype)


class AudioHead(Linear):
    """Hidden states [..., I] → float32 logits [..., O], by default without the rounding of the weights' dtype.

    Logits of the released v3 are 43 to 119, where bfloat16 knows steps of 0.25 and 0.5: at a low temperature one step
    changes a probability several times.
    """

    def forward(self, x: Tensor, exact: bool = True, in_float32: Tensor | None = None) -> Tensor:
        """
        Args:
            exact: multiply in float32, whatever the weights are. False: in their dtype, as Boson AI's own code does.
            in_float32: the weights, for a device that is slow to turn them each time; see `kept_in_float32`.
        """
        if not exact or self.weight.dtype == torch.float32:
            return super().forward(x.to(self.weight.dtype)).float()
        if x.dtype == self.weight.dtype and _sums_in_float32(x.device.type, x.dtype):
            found = torch.mm(x.reshape(-1, x.shape[-1]), self.weight.t(), out_dtype=torch.float32)
            return found.view(*x.shape[:-1], -1)
        x = x.float()
        if in_float32 is not None:
            return nn.functional.linear(x, in_float32)
        return torch.cat([nn.functional.linear(x, rows.float()) for rows in self.weight.split(ROWS)], dim=-1)

    def kept_in_float32(self) -> Tensor | None:
        """The weights in float32 on a CPU, where that is not what they are: 0.1 GB for a released model."""
        on_cpu = self.weight.device.type == "cpu" and self.weight.dtype != torch.float32
        return self.weight.detach().float() if on_cpu else None


@cache
def _sums_in_float32(device: str, dtype: torch.dtype) -> bool:
    """Whether torch multiplies numbers of a narrow format there and gives sums that were never rounded to it: products
    of bfloat16 numbers are exact in float32. The weights need not be widened first then, which moves them thrice.

    Raises:
        RuntimeError: there is no memory to see.
    """
    if device == "cpu":
        return False
    draw = torch.Generator().manual_seed(0)
    for count in (1, 5, 24):
        x, weight = torch.randn(count, 2560, generator=draw).to(dtype), torch.randn(72, 2560, generator=draw).to(dtype)
        try:
            found = torch.mm(x.to(device), weight.to(device).t(), out_dtype=torch.float32).cpu()
        except (NotImplementedError, RuntimeError, TypeError) as error:
            if is_out_of_memory(error):  # says nothing of the product, and would count until the process ends
                raise
            return False
        if not torch.allclose(found, nn.functional.linear(x.float(), weight.float()), rtol=1e-4, atol=1e-3):
            return False
    return True


class PackedLinear(Linear):
    """Several matrices on the same input, stored as one, or apart as a file holds them.

    Attributes:
        parts: name → output features, in the order of the rows.
    """

    def __init__(self, in_features: int, parts: Mapping[str, int], bias: bool):
        super().__init__(in_features, sum(parts.values()), bias=bias)
        self.parts = dict(parts)
        self.apart: nn.ParameterList | None = None

    def lie_apart(self, weights: Sequence[Tensor]) -> None:
        """The parts' matrices stay where they are, instead of being copied below each other."""
        self.register_parameter("weight", None)
        self.apart = nn.ParameterList(nn.Parameter(weight, requires_grad=False) for weight in weights)

    @property
    def matrices(self) -> list[Tensor]:
        return [self.weight] if self.apart is None else list(self.apart)


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """x W^T, in the format of x."""
    if weight.dtype != x.dtype:
        return by_panels(x, lambda rows, dtype: weight[rows].to(dtype), weight.shape, weight.dtype)
    if x.shape[:-1].numel() <= FEW and _shared_out(weight) > 1:
        return few_rows(x.reshape(-1, x.shape[-1]), weight).view(*x.shape[:-1], -1)
    return nn.functional.linear(x, weight)


def by_panels(
    x: Tensor,
    unpacked: Callable[[slice, torch.dtype], Tensor],
    shape: Sequence[int],
    stored: torch.dtype | None = None,
    scale: Tensor | None = None,
) -> Tensor:
    """x W^T where W [O, I] is unpacked, or widened, some rows at a time, on a CPU by each core its own.

    Args:
        unpacked: some rows of W in a dtype.
        shape: of W.
        stored: the dtype in which there is nothing to unpack.
        scale: of each row [O]; in the format of x.
    """
    rows, features = shape
    dtype = torch.bfloat16 if _rounds(x) else x.dtype
    out, given = x.new_empty(*x.shape[:-1], rows), x.to(dtype)
    unpacks = x.device.type == "cpu" and dtype != stored
    step = max(1, PANEL // features) if unpacks else rows

    def multiply(first: int, last: int) -> None:
        for start in range(first, last, step):
            panel = slice(start, min(start + step, last))
            found = nn.functional.linear(given, unpacked(panel, dtype))
            out[..., panel] = found if scale is None else found * scale[panel]

    if unpacks:
        shared_out(multiply, rows)
    else:
        multiply(0, rows)
    return out


_ROUNDED: ContextVar[bool] = ContextVar("whether products of many positions may be rounded", default=False)


@contextmanager
def rounded_products(wanted: bool = True) -> Iterator[None]:
    """Within it, products of many positions with packed or bfloat16 weights are computed from bfloat16 numbers and
    summed up in float32, where the processor is faster at that: a result is off by 0.3 % (root mean square). Without
    it they are float32."""
    before = _ROUNDED.set(wanted)
    try:
        yield
    finally:
        _ROUNDED.reset(before)


def _rounds(x: Tensor) -> bool:
    many = x.dtype == torch.float32 and x.device.type == "cpu" and x.shape[:-1].numel() > FEW
    return many and _ROUNDED.get() and has_bfloat16_products()


def few_rows(x: Tensor, weight: Tensor) -> Tensor:
    """x W^T for x [N, I] and W [O, I], each core with rows of W of its own.

    BLAS libraries give such a slim product to one core, which cannot read W as fast as the memory allows.
    """
    cores = _shared_out(weight)
    parts = weight.view(cores, -1, weight.shape[1]).transpose(1, 2)
    out = torch.bmm(x.expand(cores, *x.shape), parts)
    return out.view(1, -1) if len(x) == 1 else out.transpose(0, 1).reshape(len(x), -1)


def _shared_out(weight: Tensor) -> int:
    """Among how many cores the rows of a matrix are shared out; 1 where that would not help."""
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or weight.requires_grad:
        return 1
    cores = torch.get_num_threads()
    while weight.shape[0] % cores:
        cores -= 1
    return cores

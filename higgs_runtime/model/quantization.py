"""Matrices in 8 or 4 bits with a scale each row or group, round to nearest.

Activations stay as they are, but beside 8-bit floats on a device that multiplies these. Only the matrices of the
layers are quantized; embeddings, norms and audio heads are not.

Letters in shapes: N positions, I features in, O features out, G features that share a scale.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from itertools import product as product_of

import torch
from torch import Tensor, nn

from ..checkpoint.assign import Rows
from ..errors import SettingError
from .linear import by_panels

GROUP = 64  # features in that share a scale, of 4-bit weights
AT_ONCE = 2**20  # weights that are packed
CHECKED = ((4, 33, 96), (32, 72, 192), (1, 5), (0, 8, 64))  # features out and in, positions, bytes before the weights
E4M3 = torch.float8_e4m3fn
LARGEST = torch.finfo(E4M3).max
WHOLE = 16  # features in and out are a multiple of it where 8-bit floats are multiplied
WIDENED_ON = {"cpu"}  # kinds of devices where 8-bit floats are not multiplied, whatever torch has for it
CHECKED_FLOAT8 = ((16, 96), (32, 192), (1, 5))  # features out and in, positions


class _PackedMatrix(nn.Module):
    """x W^T with W packed; a subclass says how some rows of W are unpacked.

    Buffers: weight, scale, and bias, which may be None.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, packed: tuple[Tensor, Tensor], bias: Tensor | None):
        super().__init__()
        weight, scale = packed
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        out = self._product(x)
        return out if self.bias is None else out + self.bias.to(out.dtype)

    def _product(self, x: Tensor) -> Tensor:
        return by_panels(x, self._unpacked, (len(self.weight), x.shape[-1]))

    def _unpacked(self, rows: slice, dtype: torch.dtype) -> Tensor:
        """[some of O, I]."""
        raise NotImplementedError


class Int8Linear(_PackedMatrix):
    """x W^T with W = weight * scale, weight int8 [O, I], scale [O]."""

    def __init__(self, weight, bias: Tensor | None):
        super().__init__(_by_rows(_pack_int8, weight), bias)

    def _product(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float32 and x.device.type == "cpu":  # integers are exact in any format, scales come after
            integers, scale = self.weight, self.scale.float()
            return by_panels(x, lambda rows, dtype: integers[rows].to(dtype), integers.shape, scale=scale)
        if not _has_int8_kernel(x.device.type):
            return super()._product(x)
        return _kernel_product(x.reshape(-1, x.shape[-1]), self.weight, self.scale).view(
            *x.shape[:-1], len(self.weight)
        )

    def _unpacked(self, rows: slice, dtype: torch.dtype) -> Tensor:
        return self.weight[rows].to(dtype).mul_(self.scale[rows, None].to(dtype))


class Int4Linear(_PackedMatrix):
    """x W^T with W = (nibble - 8) * scale, weight uint8 [O, I / 2] of two nibbles each, scale [O, I / G]."""

    def __init__(self, weight, bias: Tensor | None):
        super().__init__(_by_rows(_pack_int4, weight), bias)

    def _unpacked(self, rows: slice, dtype: torch.dtype) -> Tensor:
        packed, scale = self.weight[rows], self.scale[rows]
        # a byte's nibbles, apart in the two halves of an integer: in whole numbers, which processors are quick at
        pairs = packed.to(torch.int32).mul_(1 + (1 << 12)).bitwise_and_(0x000F000F).view(torch.int16).sub_(8)
        weight = pairs.to(torch.float32 if dtype == torch.bfloat16 else dtype).view(*scale.shape, -1)
        return weight.mul_(scale[:, :, None].to(weight.dtype)).to(dtype).flatten(1)


class Float8Linear(_PackedMatrix):
    """x W^T with W = weight * scale, weight E4M3 [O, I], scale float32 [O].

    What a file has in this form is kept to the bit. Where the device multiplies such numbers, x is rounded to them as
    well, each position with a scale of its own; elsewhere W is widened, and x stays as it is.
    """

    def __init__(self, weight, bias: Tensor | None):
        scales = weight.scales() if isinstance(weight, Rows) else None
        super().__init__(_by_rows(_pack_float8, weight, torch.float32, scales), bias)

    def _product(self, x: Tensor) -> Tensor:
        if any(size % WHOLE for size in self.weight.shape) or not multiplies_float8(str(self.weight.device)):
            return super()._product(x)
        return float8_product(x.reshape(-1, x.shape[-1]), self.weight, self.scale).view(*x.shape[:-1], len(self.weight))

    def _unpacked(self, rows: slice, dtype: torch.dtype) -> Tensor:
        return self.weight[rows].float().mul_(self.scale[rows, None]).to(dtype)


def _pack_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    scale = weight.abs().amax(dim=1).float().clamp_(min=1e-12) / 127
    steps = torch.div(weight, scale[:, None]).round_().clamp_(-127, 127)  # in float32
    return steps.to(torch.int8), scale.to(weight.dtype)


def _pack_int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    groups = weight.float().unflatten(1, (-1, _group(weight.shape[1])))
    furthest = groups.gather(2, groups.abs().argmax(dim=2, keepdim=True))  # it becomes -8, the longest reach
    scale = (furthest / -8).where(furthest != 0, torch.ones_like(furthest))
    nibbles = ((groups / scale).round_().clamp_(-8, 7) + 8).to(torch.uint8).flatten(1)
    return nibbles[:, ::2] | nibbles[:, 1::2] << 4, scale.squeeze(2).to(weight.dtype)


def _pack_float8(weight: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
    if scale is None:
        scale = weight.abs().amax(dim=1).float().clamp_(min=1e-12) / LARGEST
    divisor = scale.where(scale != 0, torch.ones_like(scale))  # rows of a file may be nothing but zeros
    steps = torch.div(weight, divisor[:, None]).clamp_(-LARGEST, LARGEST)  # in float32
    return steps.to(E4M3), scale


def _by_rows(
    pack: Callable[..., tuple[Tensor, Tensor]],
    weight,
    dtype: torch.dtype | None = None,
    scales: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Packed some rows at a time, which is all that is there of the matrix in floating point.

    Args:
        weight: [O, I], a tensor or what is read when it is sliced; its slices may be more exact than its dtype.
        dtype: of the scales; None: that of the weight.
        scales: [O], where they are known; `pack` gets those of the rows.
    """

    def part(start: int, stop: int) -> tuple[Tensor, Tensor]:
        return pack(weight[start:stop], *(() if scales is None else (scales[start:stop],)))

    step = max(1, AT_ONCE // weight.shape[1])
    packed, scale = (one.new_empty((len(weight), *one.shape[1:])) for one in part(0, 1))
    scale = scale.to(dtype or weight.dtype)
    for start in range(0, len(weight), step):
        packed[start : start + step], scale[start : start + step] = part(start, start + step)
    return packed, scale


KINDS = {"int8": Int8Linear, "int4": Int4Linear, "fp8": Float8Linear}


def check_quantization(name: str | None) -> None:
    """Raises:
    SettingError: there is no such quantization.
    """
    if name is not None and name not in KINDS:
        raise SettingError(
            "There is no such quantization.",
            expected=" or ".join(map(repr, KINDS)) + ", or None",
            got=repr(name),
            remedy="Choose one of these; int8 loses least.",
        )


def check_stored(name: str | None, device: str) -> None:
    """Raises:
    SettingError: the device has no numbers of this form.
    """
    try:
        if name == "fp8":
            torch.zeros(1, dtype=E4M3, device=device)
    except (RuntimeError, TypeError) as error:
        raise SettingError(
            "This device has no 8-bit floats.",
            expected="int8 or int4",
            got=f"fp8 on '{device}'",
            remedy="Choose int8, which is as small.",
        ) from error


def bytes_per_weight(name: str | None, dtype: torch.dtype) -> float:
    """Bytes of a matrix's element; of 4-bit weights also its share of the scale."""
    return {None: dtype.itemsize, "int8": 1.0, "fp8": 1.0, "int4": 0.5 + dtype.itemsize / GROUP}[name]


def _group(features: int) -> int:
    return next(size for size in range(min(GROUP, features), 0, -1) if features % size == 0)


@cache
def _has_int8_kernel(device: str) -> bool:
    """Whether torch multiplies by int8 weights there without unpacking them first, and rightly.

    Never on a CPU: on processors with bfloat16 of their own torch 2.14 gives numbers beyond all bounds for features
    that are no multiple of 32, and ends the process where weights do not lie at a multiple of 64 bytes.
    """
    return device != "cpu" and agrees_with_plain(_kernel_product, device)


def _kernel_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """By torch's private function, of bfloat16 activations; the weights are coarser than these."""
    product = torch._weight_int8pack_mm  # pyright: ignore[reportPrivateImportUsage] - private it is
    return product(x.bfloat16(), weight, scale.bfloat16()).to(x.dtype)


def agrees_with_plain(product: Callable[[Tensor, Tensor, Tensor], Tensor], device: str) -> bool:
    """Whether a private product of x [N, I], int8 weights [O, I] and scales [O] is the plain one, over shapes and
    places in memory; a note in the log where it is there and differs."""
    draw = torch.Generator().manual_seed(0)
    for rows, features, positions, shift in product_of(*CHECKED):
        x = torch.randn((positions, features), generator=draw)
        weight = torch.randint(-127, 128, (rows * features + shift,), generator=draw, dtype=torch.int8)
        scale = torch.rand(rows, generator=draw) / 127
        placed = weight.to(device)[shift:].view(rows, features)
        placed[0] = 0
        wanted = nn.functional.linear(x, placed.cpu() * scale[:, None])
        try:
            found = product(x.to(device), placed, scale.to(device)).cpu()
        except (AttributeError, NotImplementedError, RuntimeError, TypeError):
            return False
        if not torch.allclose(found, wanted, rtol=0.05, atol=0.02 * features**0.5):
            logging.getLogger(__name__).warning(
                "torch's product by 8-bit weights is wrong on this device (%s, %d x %d): the plain one is used, which "
                "is slower.",
                device,
                rows,
                features,
            )
            return False
    return True


@cache
def multiplies_float8(device: str) -> bool:
    """Whether torch multiplies 8-bit floats (E4M3) there, and rightly: GPUs of compute capability 8.9 and newer.

    Not on a CPU, although torch has the product there: widened they are exact, and processors gain nothing by it.
    """
    return torch.device(device).type not in WIDENED_ON and float8_agrees(device)


def float8_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """(x [N, I] rounded to E4M3, each row with a scale of its own) (weight [O, I] * scale [O])^T, in the format of x.

    By torch's private function, with the scales behind it: so it takes them by row on every device that has it.
    """
    multiply = torch._scaled_mm  # pyright: ignore[reportPrivateImportUsage] - private it is
    rounded, by = _pack_float8(x)
    one = scale.new_ones(())
    product = multiply(rounded, weight.t(), scale_a=one, scale_b=one, out_dtype=torch.float32)
    return product.mul_(by[:, None]).mul_(scale).to(x.dtype)


def float8_product_widened(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """The slow twin of `float8_product`: the same numbers, multiplied in float32."""
    rounded, by = _pack_float8(x)
    wide = nn.functional.linear(rounded.float() * by[:, None], weight.float() * scale[:, None])
    return wide.to(x.dtype)


def float8_agrees(device: str) -> bool:
    """Whether `float8_product` is its twin on a device; a note in the log where it is there and differs."""
    draw = torch.Generator().manual_seed(0)
    rows, features, positions = CHECKED_FLOAT8
    for out, inside, count in product_of(rows, features, positions):
        x = torch.randn((count, inside), generator=draw)
        weight, scale = _pack_float8(torch.randn((out, inside), generator=draw))
        wanted = float8_product_widened(x, weight, scale)
        try:
            found = float8_product(*(one.to(device) for one in (x, weight, scale))).cpu()
        except (AttributeError, NotImplementedError, RuntimeError, TypeError):
            return False
        if not torch.allclose(found, wanted, rtol=0.02, atol=0.02 * inside**0.5):
            logging.getLogger(__name__).warning(
                "torch's product of 8-bit floats is wrong on this device (%s, %d x %d): they are widened, which is "
                "slower and takes more memory.",
                device,
                out,
                inside,
            )
            return False
    return True

"""Tensors of a checkpoint into a module: every one in its place, or an error that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from .files import some_of
from .safetensors_file import ALIGNED
from .tensors import stored

COPIED_AT_ONCE = 2**22  # numbers


class Apart(Protocol):
    """A module that packs matrices, and can leave them where they lie."""

    def lie_apart(self, weights: Sequence[Tensor]) -> None: ...


class Rows:
    """A tensor made of the rows of one or several of a checkpoint, which is read when and as far as it is asked for.

    Attributes:
        shape: of the whole.
        dtype: that it gets.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        names: Sequence[str],
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ):
        self._tensors, self._names, self._device = stored(tensors), names, torch.device(device)
        shapes = [self._tensors.shape(name) for name in names]
        first = self._tensors.dtype(names[0])
        self._lengths = [shape[0] for shape in shapes if shape]
        self._packed = any(self._tensors.is_packed(name) for name in names)
        self.dtype = dtype if dtype and first.is_floating_point else first
        self.shape = torch.Size((sum(self._lengths), *shapes[0][1:])) if shapes[0] else shapes[0]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, span: slice) -> Tensor:
        """A copy of some rows; of packed tensors the exact numbers, in float32."""
        start, stop, _ = span.indices(len(self))
        dtype = torch.float32 if self._packed else self.dtype
        return self._copy(torch.empty((stop - start, *self.shape[1:]), device=self._device, dtype=dtype), start)

    def scales(self) -> Tensor | None:
        """What each row of 8-bit floats (E4M3) is times, float32 [O]; None where some are of another form."""
        found = [self._tensors.scales(name) for name in self._names]
        known = [one for one in found if one is not None]
        return torch.cat(known).to(self._device) if len(known) == len(found) else None

    def whole(self) -> Tensor:
        """The mapped tensor itself if it fits and lies well, else a copy."""
        if len(self._names) == 1 and not self._packed:
            tensor = self._tensors[self._names[0]]
            if (tensor.dtype, tensor.device) == (self.dtype, self._device) and _lies_well(tensor):
                return tensor
        if not self.shape:
            return self._tensors[self._names[0]].to(self._device, self.dtype, copy=True)
        copied = torch.empty(self.shape, device=self._device, dtype=self.dtype)
        step = max(1, COPIED_AT_ONCE * len(self) // max(1, copied.numel()))
        for start in range(0, len(self), step):
            self._copy(copied[start : start + step], start)
        return copied

    def apart(self) -> list[Tensor] | None:
        """The mapped tensors themselves if all fit and lie well."""
        if self._packed:
            return None
        tensors = [self._tensors[name] for name in self._names]
        fit = all((one.dtype, one.device) == (self.dtype, self._device) and _lies_well(one) for one in tensors)
        return tensors if fit else None

    def _copy(self, place: Tensor, start: int) -> Tensor:
        first, stop = 0, start + len(place)
        for name, length in zip(self._names, self._lengths, strict=True):
            low, high = max(start, first), min(stop, first + length)
            if low < high:
                place[low - start : high - start].copy_(self._tensors.rows(name, low - first, high - first))
            first += length
        return place


def _lies_well(tensor: Tensor) -> bool:
    """Whether a mapped tensor can be computed with where it lies.

    A file's header may have any length. What is packed in bytes is read many at a time, at multiples of `ALIGNED`;
    other numbers need multiples of their own size alone, and a released checkpoint of gigabytes stays mapped.
    """
    needed = ALIGNED if tensor.dtype in (torch.int8, torch.uint8) else tensor.element_size()
    return tensor.data_ptr() % needed == 0


@dataclass(frozen=True, kw_only=True)
class NameRules:
    """How the names of a checkpoint's tensors stand to those of a module.

    Attributes:
        keep: shell-style patterns of module names that keep what the file holds, whatever dtype is asked for.
        ignore: shell-style patterns of checkpoint names that may be there and are not used ("decoder_semantic.*").
        rename: checkpoint name -> module name.
        joined: checkpoint name -> those whose rows follow each other in it, where a checkpoint has these and not it.
            One alone also keeps its own name.
        apart: the matrices that a module packs stay apart where they can be used as they lie in the file; it has a
            method `lie_apart` that takes them.
    """

    keep: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    rename: Callable[[str], str] = str
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    apart: bool = False


AS_THEY_ARE = NameRules()


def assign_strict(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    names: NameRules = AS_THEY_ARE,
    convert: Callable[[str, nn.Module, Rows], nn.Module | None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    what: str = "checkpoint",
) -> None:
    """Puts every tensor in its place in a module (built on the meta device), one at a time, all or an error.

    A tensor is converted only where device or dtype differ; otherwise the memory-mapped one itself is assigned.
    Matrices that the module packs are copied below each other, or stay apart (`NameRules.apart`).

    Args:
        module: its parameters and persistent buffers are replaced; parameters no longer require gradients.
        tensors: by the names of the checkpoint.
        dtype: of floating-point tensors in the module; None keeps what the file holds.
        names: which tensor goes where, and which stay as they are or away.
        convert: (name, submodule without its weight, rows of the weight) -> what takes its place, or None; so the
            weight need not be there whole.
        on_progress: called with (tensors in place, tensors in all) after each; what it raises ends the assignment.
        what: noun for messages ("Higgs codec in /models/x").

    Raises:
        CheckpointError: unknown, missing or wrongly shaped tensors, named (the first 8 and a count); nothing is
            assigned then.
    """
    source = {names.rename(name): parts for name, parts in _sources(tensors, names).items()}
    slots = {name: _parts(module, name, slot) for name, slot in module.state_dict(keep_vars=True).items()}
    wanted = {name: shape for parts in slots.values() for name, shape in parts.items()}
    _check_names(source, wanted, what)
    _check_shapes(source, wanted, tensors, what)
    by_owner: dict[str, list[str]] = {}
    for name in slots:
        by_owner.setdefault(name.rpartition(".")[0], []).append(name)
    done = 0
    for owner_name, owned in by_owner.items():
        owner = module.get_submodule(owner_name)
        for name in sorted(owned, key=lambda name: name.endswith(".weight")):  # the weight last: convert sees the rest
            kept = any(fnmatchcase(name, pattern) for pattern in names.keep)
            parts = [part for wanted in slots[name] for part in source[wanted]]
            rows = Rows(tensors, parts, device, None if kept else dtype)
            if convert and name.endswith(".weight") and (made := convert(owner_name, owner, rows)) is not None:
                parent, _, leaf = owner_name.rpartition(".")
                setattr(module.get_submodule(parent), leaf, made)
            elif names.apart and len(parts) > 1 and (lying := rows.apart()) is not None:
                cast("Apart", owner).lie_apart(lying)
            else:
                _assign(owner, name, rows.whole())
            done += 1
            if on_progress is not None:
                on_progress(done, len(slots))


def _sources(tensors: Mapping[str, Tensor], names: NameRules) -> dict[str, tuple[str, ...]]:
    """What a checkpoint has, by name: one tensor, or several that belong below each other."""
    found = {
        name: parts
        for name, parts in names.joined.items()
        if name not in tensors and all(part in tensors for part in parts)
    }
    gone = {part for parts in found.values() if len(parts) > 1 for part in parts}
    kept = [name for name in tensors if name not in gone and not any(fnmatchcase(name, one) for one in names.ignore)]
    return {name: (name,) for name in kept} | found


def _parts(module: nn.Module, name: str, slot: Tensor) -> dict[str, torch.Size]:
    """Name and shape of the tensors that a parameter is made of: itself, or those of a matrix that packs several.

    A module that packs says so in `parts` (name -> rows); they are looked for beside it.
    """
    owner_name, _, leaf = name.rpartition(".")
    packed = getattr(module.get_submodule(owner_name), "parts", None)
    if packed is None:
        return {name: slot.shape}
    beside = owner_name.rpartition(".")[0]
    return {f"{beside}.{part}.{leaf}": torch.Size((rows, *slot.shape[1:])) for part, rows in packed.items()}


def _assign(owner: nn.Module, name: str, tensor: Tensor) -> None:
    leaf = name.rpartition(".")[2]
    if leaf in owner._parameters:
        owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=False)
    else:
        owner._buffers[leaf] = tensor


def _check_names(source: Mapping[str, tuple[str, ...]], slots: Mapping[str, torch.Size], what: str) -> None:
    unknown = [names[0] for name, names in source.items() if name not in slots]
    missing = [name for name in slots if name not in source]
    if not unknown and not missing:
        return
    got = []
    if missing:
        got.append(f"{len(missing)} missing ({some_of(missing)})")
    if unknown:
        got.append(f"{len(unknown)} unknown ({some_of(unknown)})")
    raise CheckpointError(
        f"The tensors of the {what} do not fit its config.",
        expected=f"exactly {len(slots)} tensors",
        got=" and ".join(got),
        remedy="Download the folder again: config and weights must be of the same release.",
    )


def _check_shapes(
    source: Mapping[str, tuple[str, ...]], slots: Mapping[str, torch.Size], tensors: Mapping[str, Tensor], what: str
) -> None:
    wrong = []
    for name, shape in slots.items():
        found = Rows(tensors, source[name]).shape
        if found != shape:
            wrong.append((f"{name} {list(shape)}", f"{list(found)}"))
    if wrong:
        raise CheckpointError(
            f"{len(wrong)} tensors of the {what} have another shape than its config says.",
            expected=some_of([expected for expected, _ in wrong]),
            got=some_of([found for _, found in wrong]),
            remedy="Download the folder again: config and weights must be of the same release.",
        )

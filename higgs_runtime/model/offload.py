"""Weights on a device that may be too small for all of them: layers that do not fit are brought over when they run."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn


class Placement:
    """Puts a module on a device, as much of it as fits.

    What lies outside of layer lists (nn.ModuleList) always goes to the device. Layers follow in order while there is
    room; each of the others stays on the CPU, is copied to the device when it is called, and the copy is dropped
    when the call returns. The results are the same; only time is lost.

    If it fails on the way (out of memory), everything is put back as it was before the error goes on.

    Args:
        module: on the CPU, or in part on the device already.
        room_bytes: how much of the device the weights may take; None: all of them go there.

    Attributes:
        resident_bytes: what lies on the device for good.
        streamed: how many layers are brought over at each call.
    """

    def __init__(self, module: nn.Module, device: torch.device | str, room_bytes: float | None = None):
        self.device = torch.device(device)
        self.resident_bytes = 0
        self.streamed = 0
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._copies: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # shared weights stay shared
        self._undo: list[tuple[dict, str, torch.Tensor]] = []
        try:
            self._place(module, room_bytes)
        except BaseException:
            self.remove()
            for table, name, tensor in self._undo:
                table[name] = tensor
            raise
        finally:
            self._copies.clear()
            self._undo.clear()

    def _place(self, module: nn.Module, room_bytes: float | None) -> None:
        if room_bytes is None:
            self._move(module)
            return
        layers = list(_layers(module))
        inside = {id(part) for layer in layers for part in layer.modules()}
        for part in module.modules():
            if id(part) not in inside:
                self._move(part, recurse=False)
        for layer in layers:
            size = sum(tensor.nbytes for _, _, tensor in _tensors(layer))
            if self.resident_bytes + size <= room_bytes:
                self._move(layer)
            else:
                self._stream(layer)

    def remove(self) -> None:
        """Takes the hooks away; streamed layers stay on the CPU."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self.streamed = 0

    def _move(self, module: nn.Module, recurse: bool = True) -> None:
        for table, name, tensor in _tensors(module, recurse):
            if id(tensor) not in self._copies:
                moved = tensor if tensor.device == self.device else _like(tensor, tensor.to(self.device))
                self._copies[id(tensor)] = (tensor, moved)
                self.resident_bytes += tensor.nbytes
            self._undo.append((table, name, tensor))
            table[name] = self._copies[id(tensor)][1]

    def _stream(self, layer: nn.Module) -> None:
        self.streamed += 1
        at_home: list[tuple[dict, str, torch.Tensor]] = []

        def bring(*_):
            at_home.extend(_tensors(layer))
            for table, name, tensor in at_home:
                table[name] = _like(tensor, tensor.to(self.device, non_blocking=True))

        def send_back(*_):
            for table, name, tensor in at_home:
                table[name] = tensor
            at_home.clear()

        self._hooks.append(layer.register_forward_pre_hook(bring))
        self._hooks.append(layer.register_forward_hook(send_back, always_call=True))


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Members of the outermost layer lists."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _layers(child)


def _tensors(module: nn.Module, recurse: bool = True) -> list[tuple[dict, str, torch.Tensor]]:
    """(owner's table, name, tensor) of each parameter and buffer, once per place where it is held."""
    parts = list(module.modules()) if recurse else [module]
    tables = [table for part in parts for table in (part._parameters, part._buffers)]
    return [(table, name, tensor) for table in tables for name, tensor in table.items() if tensor is not None]


def _like(original: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    return nn.Parameter(moved, requires_grad=False) if isinstance(original, nn.Parameter) else moved

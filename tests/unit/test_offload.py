"""Layers that stay on the CPU and visit the device. The meta device stands in for a GPU: it tells where tensors are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from higgs_runtime.model import offload
from higgs_runtime.model.offload import Placement

LAYER_BYTES = (8 * 8 + 8) * 4


class Net(nn.Module):
    def __init__(self, layers=3):
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(layers))
        self.register_buffer("offset", torch.ones(8))

    def forward(self, x):
        x = self.first(x) + self.offset
        for layer in self.layers:
            x = layer(x)
        return x


def homes(net):
    return {name: tensor.device.type for name, tensor in net.state_dict().items() if not name.endswith("bias")}


def test_everything_moves_without_a_limit():
    net = Net()
    placement = Placement(net, "meta")
    assert set(homes(net).values()) == {"meta"}
    assert (placement.streamed, placement.resident_bytes) == (0, 4 * LAYER_BYTES + 8 * 4)


def test_layers_beyond_the_room_stay_on_the_cpu_and_visit_the_device():
    net = Net()
    placement = Placement(net, "meta", room_bytes=2 * LAYER_BYTES + 8 * 4)
    at_rest = {
        "first.weight": "meta",
        "offset": "meta",
        "layers.0.weight": "meta",
        "layers.1.weight": "cpu",
        "layers.2.weight": "cpu",
    }
    assert homes(net) == at_rest
    assert placement.streamed == 2
    seen = []
    net.layers[1].register_forward_hook(lambda layer, args, out: seen.append(out.device.type))
    assert net(torch.zeros(1, 8, device="meta")).device.type == "meta"
    assert seen == ["meta"]
    assert homes(net) == at_rest


def test_a_failing_layer_goes_home_too():
    net = Net()
    Placement(net, "meta", room_bytes=0)
    with pytest.raises(RuntimeError):
        net.layers[0](torch.zeros(1, 5, device="meta"))
    assert homes(net)["layers.0.weight"] == "cpu"


@pytest.mark.parametrize("room_bytes", [None, LAYER_BYTES + 8 * 4])
def test_a_device_that_is_too_small_leaves_everything_as_it_was(monkeypatch, room_bytes):
    net = Net()
    before = dict(net.named_parameters()), homes(net)
    moved, streamed = [], []

    def full(placement, layer):  # the layers before have found their places by then
        if layer is net.layers[2]:
            raise torch.OutOfMemoryError("full")
        streamed.append(layer)
        stream(placement, layer)

    def full_later(original, new):
        moved.append(new)
        if len(moved) == 5:
            raise torch.OutOfMemoryError("full")
        return like(original, new)

    stream, like = Placement._stream, offload._like
    if room_bytes is None:
        monkeypatch.setattr(offload, "_like", full_later)
    else:
        monkeypatch.setattr(Placement, "_stream", full)
    with pytest.raises(torch.OutOfMemoryError):
        Placement(net, "meta", room_bytes)
    assert moved or streamed
    assert homes(net) == before[1]
    assert all(parameter is before[0][name] for name, parameter in net.named_parameters())
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in net.layers)


def test_streaming_changes_no_result_and_can_be_taken_away():
    net = Net()
    x = torch.randn(2, 8)
    expected = net(x)
    placement = Placement(net, "cpu", room_bytes=0)
    assert placement.streamed == 3
    assert torch.equal(net(x), expected)
    placement.remove()
    assert torch.equal(net(x), expected)
    assert not net.layers[0]._forward_hooks and not net.layers[0]._forward_pre_hooks


def test_shared_weights_stay_shared():
    net = Net(layers=0)
    net.head = nn.Linear(8, 8)
    net.head.weight = net.first.weight
    placement = Placement(net, "meta")
    assert net.head.weight is net.first.weight
    assert placement.resident_bytes == LAYER_BYTES + 2 * 8 * 4

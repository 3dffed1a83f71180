"""What Edit Speech and Speak On ask of ComfyUI before they run."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from helpers_checkpoint import make_lm_checkpoint
from helpers_workflow import node_classes, node_module

from higgs_runtime import load_model


def test_room_is_asked_for_all_takes_that_are_spoken_side_by_side(monkeypatch, tmp_path):
    node_classes()
    shared, asked = node_module("shared.recorded_speech"), []
    model = load_model(make_lm_checkpoint(tmp_path / "lm"))

    def opened(_handle, size):
        asked.append(size(SimpleNamespace(config=model.config, compute_dtype=torch.float32)))
        raise KeyboardInterrupt

    monkeypatch.setattr(shared.handles, "check_here", lambda _model: None)
    monkeypatch.setattr(shared.handles, "open_model", lambda *_: nullcontext())
    monkeypatch.setattr(shared.handles, "open_speaker", opened)
    for at_once in (1, 8):
        settings = {"recognizer": "none", "language": "", "candidates": 2}
        with pytest.raises(KeyboardInterrupt), shared.speaking(None, None, settings, 30.0, at_once):
            pass
    assert asked[1] == pytest.approx(4 * asked[0], rel=1e-6)

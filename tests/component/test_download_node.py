"""Download Higgs Model inside this process: offline, a hub that is silent, a full disk."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from helpers_hub import LM
from helpers_workflow import PACK, node_classes, node_module


@pytest.fixture
def node(hub, monkeypatch, tmp_path):
    """Runs the node with this models folder."""
    execute = node_classes()["HiggsDownloadModel"].execute
    monkeypatch.setattr(node_module("host.files"), "model_folders", lambda: [str(tmp_path / "models")])
    return lambda accepted=True, release=LM.name: execute(release, accepted).args[0]


def test_offline_is_respected(node, hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for accepted in (False, True):
        with pytest.raises(Exception, match="switched off.*HF_HUB_OFFLINE"):
            node(accepted)
    assert hub.asked == []


def test_cancel_does_not_wait_for_a_hub_that_is_silent(node, hub, monkeypatch):
    import comfy.model_management as management

    asked, go_on = threading.Event(), threading.Event()
    runtime = sys.modules[f"{PACK}.higgs_runtime.hub.download"]

    def silent(*_):
        asked.set()
        go_on.wait(30)
        raise ConnectionError("never")

    monkeypatch.setattr(runtime, "repository_files", silent)
    threading.Thread(target=lambda: asked.wait(30) and management.interrupt_current_processing()).start()
    started = time.monotonic()
    try:
        with pytest.raises(management.InterruptProcessingException):
            node(False)
        assert asked.is_set() and time.monotonic() - started < 10
    finally:
        go_on.set()


def test_a_full_disk_is_reported_in_the_plan(node, hub, monkeypatch):
    runtime = sys.modules[f"{PACK}.higgs_runtime.hub.download"]
    usage = runtime.shutil.disk_usage("/")
    monkeypatch.setattr(runtime.shutil, "disk_usage", lambda _: usage._replace(free=200_000))
    assert "; 0.0 GB are free" in node(False)
    with pytest.raises(Exception, match="too full.*Make room"):
        node()
    assert not [path for path in hub.asked if "/resolve/" in path]


def test_unknown_names_are_refused(node):
    with pytest.raises(Exception, match="no release '../x'"):
        node(release="../x")

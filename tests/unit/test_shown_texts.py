"""Texts reach the page as texts: what nodes show is sent as it is, and no script of the pack sets HTML."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

from helpers_server import ROOT
from helpers_workflow import node_classes, node_module

SETS_HTML = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|"
    r"srcdoc|setHTML|v-html|\beval\(|new Function"
)


def test_notes_are_sent_as_they_are_and_an_empty_one_takes_back(monkeypatch):
    node_classes()
    from comfy_execution.utils import CurrentNodeContext

    messages, sent = node_module("host.messages"), []
    server = SimpleNamespace(client_id="page", send_sync=lambda event, data, client: sent.append((event, data, client)))
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=server)))
    monkeypatch.setattr(messages, "_showing", set())
    texts = ["", "<b>&amp; [[a|b]]\n- c", "", ""]
    with CurrentNodeContext("prompt", "7"):
        for text in texts:
            messages.show_text(text)
    expected = [("higgs.text", {"node": "7", "prompt_id": "prompt", "text": text}, "page") for text in texts[1:3]]
    assert sent == expected, "nothing is taken back where nothing is shown"


def test_no_node_sends_texts_that_frontends_read_in_several_ways():
    assert not [path for path in (ROOT / "nodes").rglob("*.py") if "send_progress_text" in path.read_text("utf-8")]


def test_scripts_set_no_html():
    scripts = list((ROOT / "web").rglob("*.js"))
    assert len(scripts) > 30
    assert not [path for path in scripts if SETS_HTML.search(path.read_text("utf-8"))]

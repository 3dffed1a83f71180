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


def test_items_of_a_list_are_numbered_and_each_replaces_its_own(monkeypatch):
    """Rounds of a loop are items as well: the executor runs them under ids of its own, of which the page knows one."""
    node_classes()
    from comfy_execution.graph import DynamicPrompt
    from comfy_execution.utils import CurrentNodeContext

    messages, sent = node_module("host.messages"), []
    prompt = DynamicPrompt({"7": {}})
    prompt.add_ephemeral_node("9.0.0.1_7", {}, "9", "7")
    monkeypatch.setattr(messages, "get_progress_state", lambda: SimpleNamespace(dynprompt=prompt))
    monkeypatch.setattr(messages, "send_event", lambda _, text: sent.append((*messages.running_node(), text)))
    steps = [("7", 0, "a"), ("7", 1, ""), ("7", 2, "b"), ("7", 2, "c"), ("9.0.0.1_7", None, "d"), ("7", 0, "")]
    for node, index, text in steps:
        with CurrentNodeContext("list", node, index):
            messages.show_warnings([text] if text else [])
    assert [text for *_, text in sent] == ["a", "1. a", "1. a\n3. b", "1. a\n3. c", "1. a\n3. c\n4. d", "3. c\n4. d"]
    assert {(run, node) for run, node, _ in sent} == {("list", "7")}
    assert messages.warnings_of("list") == {"7": "3. c\n4. d"} and messages.warnings_of("other") == {}
    with CurrentNodeContext("next", "7", 0):
        messages.show_text("e")
    assert sent[-1] == ("next", "7", "e"), "another run begins anew"


def test_no_node_sends_texts_that_frontends_read_in_several_ways():
    assert not [path for path in (ROOT / "nodes").rglob("*.py") if "send_progress_text" in path.read_text("utf-8")]


def test_scripts_set_no_html():
    scripts = list((ROOT / "web").rglob("*.js"))
    assert len(scripts) > 30
    assert not [path for path in scripts if SETS_HTML.search(path.read_text("utf-8"))]

"""Texts reach the page as texts: what nodes show is escaped, and no script of the pack sets HTML."""

from __future__ import annotations

import html
import re
import string
import sys
from types import SimpleNamespace

import pytest
from helpers_server import ROOT
from helpers_workflow import node_classes, node_module

TEXTS = [
    '<b id="x">x</b>',
    "<img alt=harmless>",
    "a < b > c",
    "&amp; & &lt; &#60; &nbsp",
    "\"double\" 'single'",
    "[[a|http://x]]",
    "[[",
    "]]",
    "[SPEAKER0] Hello.",
    "__LNK0__ [[a|b]]",
    "see https://a.example/?b=1&c=2>, www.b.example.",
    "ftp://c.example file:///d",
    "one\ntwo\n\n    three\n\tfour",
    "# a *b* `c` ~d~ \\e",
    "- f\n1. g\n1) h\n> i\n| j | k |\n|---|---|\n===",
    "„Ü“ 小明：你好 👩‍🚀",
    "",
    " ",
]
SETS_HTML = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|"
    r"srcdoc|setHTML|v-html|\beval\(|new Function"
)


@pytest.fixture
def messages(monkeypatch):
    node_classes()
    found = node_module("host.messages")
    monkeypatch.setattr(found, "_showing", set())
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_notes_are_sent_as_escaped_html(messages, monkeypatch, text):
    from comfy_execution.utils import CurrentNodeContext

    sent = []
    server = SimpleNamespace(send_progress_text=lambda text, node: sent.append(text))
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=server)))
    with CurrentNodeContext("prompt", "7"):
        messages.show_text("before")
        messages.show_text(text)
    assert html.unescape(sent[1]).replace("  \n", "\n") == (text or " "), "it is shown as it was written"
    bare = re.sub(r"&#\d+;", "", sent[1])
    assert not set(bare) & set(string.punctuation), "HTML and Markdown are made of these"
    assert not re.search(r"^(\t| {4})\S", sent[1], re.M), "Markdown takes it for code"


def test_nothing_else_of_the_pack_sends_texts_to_nodes():
    senders = {path.name for path in (ROOT / "nodes").rglob("*.py") if "send_progress_text" in path.read_text("utf-8")}
    assert senders == {"messages.py"}
    assert (ROOT / "nodes" / "host" / "messages.py").read_text("utf-8").count("send_progress_text") == 1


def test_scripts_set_no_html():
    scripts = list((ROOT / "web").rglob("*.js"))
    assert len(scripts) > 30
    assert not [path for path in scripts if SETS_HTML.search(path.read_text("utf-8"))]

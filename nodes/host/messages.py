"""What nodes say to the person and to the page: texts, warnings, events."""

from __future__ import annotations

import logging
import sys
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from comfy_execution.graph_utils import ExecutionBlocker
from comfy_execution.utils import get_executing_context

MOST_PROMPTS = 256  # the newest, whose warnings are kept

# Of the page, for web/told.js. ComfyUI's own texts of a node (progress_text) are HTML in some frontends, plain text or
# Markdown in others.
TEXT_EVENT = "higgs.text"

_showing: set[str] = set()  # ids of nodes that show a text
_warnings: OrderedDict[str, dict[str, str]] = OrderedDict()  # prompt -> node -> text


def running_node() -> tuple[str, str]:
    """Ids of the prompt and of the node that run now; empty where none does."""
    context = get_executing_context()
    return (context.prompt_id, context.node_id) if context is not None else ("", "")


def left_out(why: str) -> ExecutionBlocker:
    """For an output that is not made: what is connected to it ends with this message."""
    return ExecutionBlocker(why)


def show_text(text: str, level: int | None = logging.INFO) -> None:
    """Shows a plain text on the node that runs now, and logs it; an empty one takes back what the node showed before.

    Args:
        level: of the log; None: only shows, as what changes every second.
    """
    if text and level is not None:
        logging.log(level, "Higgs Audio: %s", text)
    context = get_executing_context()
    if context is None or not (text or context.node_id in _showing):
        return
    send_event(TEXT_EVENT, text=text)
    (_showing.add if text else _showing.discard)(context.node_id)


def show_warnings(warnings: Iterable[str]) -> None:
    """Shows warnings on the node that runs now, and logs them; none take back those of before."""
    text = "\n".join(warnings)
    _remember(*running_node(), text)
    show_text(text, logging.WARNING)


def warnings_of(prompt_id: str) -> dict[str, str]:
    """What the nodes of a prompt warned of, by their ids, for whoever renders without a page and so does not see it."""
    return {node: text for node, text in list(_warnings.get(prompt_id, {}).items()) if text}


def _remember(prompt_id: str, node_id: str, text: str) -> None:
    """What a node warns of now, in place of what it did before; empty: of nothing."""
    if not prompt_id:
        return
    _warnings.setdefault(prompt_id, {})[node_id] = text
    while len(_warnings) > MOST_PROMPTS:
        _warnings.popitem(last=False)


def send_event(name: str, **data: Any) -> None:
    """A message of the node that runs now to the page that queued it."""
    prompt_id, node = running_node()
    if node:
        tell(name, {"node": node, "prompt_id": prompt_id, **data})


def tell(event: str, data: dict[str, Any]) -> None:
    """Sends news to the page that queued the prompt which runs now."""
    server = getattr(sys.modules.get("server"), "PromptServer", None)
    instance = getattr(server, "instance", None)
    client = getattr(instance, "client_id", None)
    if instance is not None and client is not None:
        instance.send_sync(event, data, client)


def http_routes():
    """aiohttp's table of ComfyUI's routes; None where the nodes are alone, without a server."""
    if "server" not in sys.modules:
        return None
    from server import PromptServer

    return PromptServer.instance.routes

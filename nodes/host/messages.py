"""What nodes say to the person and to the page: texts, warnings, events."""

from __future__ import annotations

import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from comfy_execution.graph_utils import ExecutionBlocker
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context

MOST_NODES = 4096  # runs of nodes, the newest, whose texts and warnings are kept
MOST_ITEMS = 100  # of a list, the newest, whose texts a node shows

# Of the page, for web/told.js. ComfyUI's own texts of a node (progress_text) are HTML in some frontends, plain text or
# Markdown in others.
TEXT_EVENT = "higgs.text"

# By prompt and node, the newest last: the items that ran (ids of the executor's own to their numbers), what is shown of
# each, and what each warned of.
_items: OrderedDict[tuple[str, str], dict[tuple, int]] = OrderedDict()
_texts: OrderedDict[tuple[str, str], dict[int, str]] = OrderedDict()
_warnings: OrderedDict[tuple[str, str], dict[int, str]] = OrderedDict()
_showing: set[str] = set()  # ids of nodes that show a text


def running_node() -> tuple[str, str]:
    """Ids of the prompt and of the node, as the page knows it, that run now; empty where none does. The executor runs a
    node of a loop under an id of its own in each round."""
    context = get_executing_context()
    if context is None:
        return "", ""
    return context.prompt_id, get_progress_state().dynprompt.get_display_node_id(context.node_id)


def running_item() -> int:
    """Which item of a list, or round of a loop, the node works on now; 0 for the first or only one."""
    context = get_executing_context()
    if context is None:
        return 0
    items = _newest(_items, running_node())
    return items.setdefault((context.node_id, context.list_index), len(items))


def _newest(kept: OrderedDict, key: tuple[str, str]) -> dict:
    found = kept.setdefault(key, {})
    kept.move_to_end(key)
    while len(kept) > MOST_NODES:
        kept.popitem(last=False)
    return found


def _of_all(texts: dict[int, str], several: bool) -> str:
    """What is to be said of a node: the texts of its items, numbered as soon as it has several."""
    if not several:
        return texts.get(0, "")
    told = sorted((number, text) for number, text in texts.items() if text)[-MOST_ITEMS:]
    return "\n".join(f"{number + 1}. {text}" for number, text in told)


def left_out(why: str | None) -> ExecutionBlocker:
    """For an output that is not made: what is connected to it ends with this message; None: it does not run, which is
    no error."""
    return ExecutionBlocker(why)


def unless_missing(make: Callable[[], Any]) -> Any:
    """What `make` gives; where an extra is missing, what is connected to the output ends with its message."""
    from ...higgs_runtime import MissingExtraError

    try:
        return make()
    except MissingExtraError as error:  # the other outputs do not need it
        return left_out(str(error))


def show_text(text: str, level: int | None = logging.INFO) -> None:
    """Shows a plain text on the node that runs now, and logs it; an empty one takes back what the node showed before.
    Where it runs for each item of a list, the texts of all of them stand below each other.

    Args:
        level: of the log; None: only shows, as what changes every second.
    """
    if text and level is not None:
        logging.log(level, "Higgs Audio: %s", text)
    prompt_id, node = running_node()
    if not node:
        return
    whole = _remember(_texts, text)
    if whole or node in _showing:
        send_event(TEXT_EVENT, text=whole)
        (_showing.add if whole else _showing.discard)(node)


def show_warnings(warnings: Iterable[str]) -> None:
    """Shows warnings on the node that runs now, and logs them; none take back those of before."""
    text = "\n".join(warnings)
    if running_node()[0]:
        _remember(_warnings, text)
    show_text(text, logging.WARNING)


def warnings_of(prompt_id: str) -> dict[str, str]:
    """What the nodes of a prompt warned of, by their ids, for whoever renders without a page and so does not see it."""
    found = {}
    for (prompt, node), texts in list(_warnings.items()):
        text = _of_all(dict(texts), len(_items.get((prompt, node), ())) > 1)
        if prompt == prompt_id and text:
            found[node] = text
    return found


def _remember(kept: OrderedDict[tuple[str, str], dict[int, str]], text: str) -> str:
    """Puts a text in place of what was kept of the item before; what all items of the node have now."""
    number, key = running_item(), running_node()
    texts = _newest(kept, key)
    texts[number] = text
    return _of_all(texts, len(_items[key]) > 1)


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

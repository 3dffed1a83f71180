"""The warnings that nodes showed, by prompt, for who renders without a page and so does not see them."""

from __future__ import annotations

from collections import OrderedDict

MOST_PROMPTS = 256  # the newest

_shown: OrderedDict[str, dict[str, str]] = OrderedDict()  # prompt -> node -> text


def remember(prompt_id: str, node_id: str, text: str) -> None:
    """What a node warns of now, in place of what it did before; empty: of nothing."""
    if not prompt_id:
        return
    _shown.setdefault(prompt_id, {})[node_id] = text
    while len(_shown) > MOST_PROMPTS:
        _shown.popitem(last=False)


def warnings_of(prompt_id: str) -> dict[str, str]:
    """By the ids of the nodes."""
    return {node: text for node, text in list(_shown.get(prompt_id, {}).items()) if text}

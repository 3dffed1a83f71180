"""Schemas of nodes, for a ComfyUI of any age: what an older one does not know is left out."""

from __future__ import annotations

from dataclasses import fields

from comfy_api.latest import io

KNOWN = {field.name for field in fields(io.Schema)}


def node_schema(
    *,
    search_aliases: list[str],
    essentials_category: str | None = None,
    shown_again: bool = False,
    advanced: tuple[str, ...] = (),
    **others,
) -> io.Schema:
    """The schema of a node.

    Args:
        search_aliases: further words that the node is found by; names of today and of before, what people call it.
            ComfyUI 0.3.75 has none.
        essentials_category: where it stands in the tab of essentials, if it does; likewise.
        shown_again: what it showed is told again to a page that comes later, without another run; likewise.
        advanced: names of the inputs that most people never touch. Where Vue draws nodes they are folded away;
            elsewhere they stand with the others.
    """
    newer = {
        "search_aliases": search_aliases,
        "essentials_category": essentials_category,
        "has_intermediate_output": shown_again,
    }
    inputs = {one.id: one for one in others.get("inputs", ())}
    for name in advanced:
        mark_advanced(inputs[name])
    return io.Schema(**others, **{name: value for name, value in newer.items() if name in KNOWN})


def mark_advanced(one: io.Input) -> None:
    """An older ComfyUI hands on what it does not know."""
    if hasattr(one, "advanced"):
        one.advanced = True  # pyright: ignore[reportAttributeAccessIssue]  (0.3.75 is what it reads)
    else:
        one.extra_dict = {**one.extra_dict, "advanced": True}

"""Inputs of the settings that the runtime's one table has, so that all nodes agree on range, default and tooltip."""

from __future__ import annotations

from comfy_api.latest import io

from ...higgs_runtime.settings import SETTINGS

KINDS = {int: io.Int, float: io.Float, bool: io.Boolean}


def setting_input(name: str, **more) -> io.Input:
    """The input of a setting.

    Args:
        more: what the table does not know, as `optional`, or what this node has another way, as its tooltip.
    """
    one = SETTINGS[name]
    shown = {"default": one.default, "tooltip": one.help}
    if one.kind is not bool:
        shown |= {"min": one.lowest_shown, "max": one.most}
    if one.step is not None:
        shown["step"] = one.step
    return KINDS[one.kind].Input(one.node or name, **{**shown, **more})

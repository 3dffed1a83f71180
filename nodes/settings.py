"""Inputs of the settings that the runtime's one table has, so that all nodes agree on range, default and tooltip."""

from __future__ import annotations

from comfy_api.latest import io

from ..higgs_runtime.settings import SETTINGS

KINDS = {int: io.Int, float: io.Float, bool: io.Boolean}


def setting_input(name: str, **more) -> io.Input:
    """The input of a setting.

    Args:
        more: what the table does not know: `optional`, `control_after_generate`.
    """
    one = SETTINGS[name]
    if one.kind is not bool:
        more |= {"min": one.lowest_shown, "max": one.most}
    if one.step is not None:
        more["step"] = one.step
    return KINDS[one.kind].Input(one.node or name, default=one.default, tooltip=one.help, **more)

"""Lists that grow on the canvas: a fixed number of numbered inputs, of which web/ shows the used ones and one more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from comfy_api.latest import io


def growing(count: int, make: Callable[[int], io.Input | Iterable[io.Input]]) -> list[io.Input]:
    """The inputs of items 0 … count - 1, in order."""
    inputs: list[io.Input] = []
    for number in range(count):
        made = make(number)
        inputs.extend([made] if isinstance(made, io.Input) else made)
    return inputs


def without_gaps(values: dict[str, Any], prefix: str) -> list[Any]:
    """The connected items in order.

    Raises:
        SettingError: an item is missing between two others.
    """
    from ...higgs_runtime import SettingError

    used = sorted(int(name.removeprefix(prefix)) for name, value in values.items() if value is not None)
    gaps = sorted(set(range(len(used))) - set(used))
    if gaps:
        raise SettingError(
            "The list has a gap.",
            expected=f"something at {prefix}{gaps[0]}",
            got=f"{prefix}{used[-1]} without it",
            remedy=f"Connect {prefix}{gaps[0]}, or move the others up.",
        )
    return [values[f"{prefix}{number}"] for number in used]

"""Numba's `intrinsic` as type checkers should see it: who calls it leaves the compiler's context out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

if TYPE_CHECKING:
    Given = ParamSpec("Given")

    def intrinsic(code: Callable[Concatenate[Any, Given], Any]) -> Callable[Given, Any]: ...

else:
    from numba.extending import intrinsic as intrinsic

"""How many examples hypothesis tries, and how many cases of a long list the quick run takes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import product

import pytest

QUICK = "HIGGS_QUICK_TESTS"  # set where slow tests are left out (conftest.py)


def examples(count: int) -> int:
    """So many; a fifth of them in the quick run."""
    return -(-count // 5) if os.environ.get(QUICK) else count


def cases_of(*lists: Iterable, quick: int) -> list:
    """Every combination of the lists as a parameter of its own; all but each `quick`-th are slow.

    Where `quick` shares no factor with the lists' lengths, the quick ones take turns in each list.
    """
    return [
        pytest.param(*case, marks=() if number % quick == 0 else pytest.mark.slow)
        for number, case in enumerate(product(*lists))
    ]

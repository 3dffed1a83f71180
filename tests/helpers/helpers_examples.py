"""How many examples hypothesis tries."""

from __future__ import annotations

import os

QUICK = "HIGGS_QUICK_TESTS"  # set where slow tests are left out (conftest.py)


def examples(count: int) -> int:
    """So many; a fifth of them in the quick run."""
    return -(-count // 5) if os.environ.get(QUICK) else count

"""Large groups of similar cases: some of them fast, the others slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some_fast(cases: Iterable[tuple[Any, ...]], every: int) -> list[Any]:
    """Parameters for ``pytest.mark.parametrize``, of which each ``every``-th is not slow.

    If the cases are all pairs of two lists, ``every`` must have no factor in common with the
    length of the second list: then every value of both is among the fast cases.
    """
    return [
        pytest.param(*case, marks=[pytest.mark.slow] * (number % every > 0))
        for number, case in enumerate(cases)
    ]

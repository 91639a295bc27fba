"""Large groups of similar cases: some of them fast, the others slow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

FAST_CASES = 3
"""Most cases of a test function that are fast, unless its mark says otherwise."""


def mark_slow_cases(tests: Iterable[pytest.Item]) -> None:
    """Mark cases of each function as slow: all but ``FAST_CASES``, or the number in its mark.

    The marks are ``fast_cases(n)``, for expensive cases, and ``all_cases``.
    """
    groups: dict[str, list[pytest.Function]] = defaultdict(list)
    for test in tests:
        is_case = isinstance(test, pytest.Function) and hasattr(test, "callspec")
        if is_case and not any(test.iter_markers("slow")):
            groups[test.nodeid.partition("[")[0]].append(test)
    for cases in groups.values():
        if any(cases[0].iter_markers("all_cases")):
            continue
        mark = cases[0].get_closest_marker("fast_cases")
        n_fast = min(mark.args[0] if mark else FAST_CASES, len(cases))
        fast = representatives([case.callspec.indices for case in cases], n_fast)
        for number in set(range(len(cases))) - set(fast):
            cases[number].add_marker("slow")


def representatives(cases: Sequence[dict[str, int]], n: int) -> list[int]:
    """Numbers of ``n`` cases, chosen one by one for most values not among the chosen so far.

    Args:
        cases: the index of the value of each parameter, by name.
        n: at most the number of cases.
    """
    chosen: list[int] = []
    covered: set[tuple[str, int]] = set()
    for _ in range(n):
        left = [number for number in range(len(cases)) if number not in chosen]
        best = max(left, key=lambda number: len(cases[number].items() - covered))
        chosen.append(best)
        covered |= cases[best].items()
    return chosen


def some_fast(cases: Iterable[tuple[Any, ...]], every: int) -> list[Any]:
    """Parameters for ``pytest.mark.parametrize``, of which each ``every``-th is not slow.

    If the cases are all pairs of two lists, ``every`` must have no factor in common with the
    length of the second list: then every value of both is among the fast cases.
    """
    return [
        pytest.param(*case, marks=[pytest.mark.slow] * (number % every > 0))
        for number, case in enumerate(cases)
    ]

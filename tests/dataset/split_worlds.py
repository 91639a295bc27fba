"""Small logs cut by any split, for the tests of splits, targets and training events."""

from __future__ import annotations

from typing import Any

import numpy as np

from segue.dataset import Sequences, Split, SplitRule, rule_of
from small_logs import sequences_of


def rule(kind: Any, seed: int = 0, **values: Any) -> SplitRule:
    """A rule with large held-out shares."""
    shares = {"validation_share": 0.2, "test_share": 0.2, "window": 5}
    return rule_of(Split(kind=kind, seed=seed, **(shares | values)))


def split_log(kind: Any, lengths: list[int], seed: int = 0) -> tuple[Sequences, SplitRule]:
    """Sequences that start at different times, with one event per microsecond."""
    rows = [[4 + i % 3 for i in range(length)] for length in lengths]
    times = [[5 * row + i for i in range(length)] for row, length in enumerate(lengths)]
    flat_times = np.array([time for row in times for time in row], dtype=np.int64)
    split, cuts = rule(kind, seed).cut(np.array(lengths, dtype=np.int64), flat_times)
    return sequences_of(rows, cuts, times), rule_of(split)


def pairs(targets) -> list[tuple[int, int]]:
    """Targets as pairs of row and position."""
    return list(zip(targets.rows.tolist(), targets.positions.tolist(), strict=True))

"""Batch lengths: they hold every example, and no other choice of lengths computes less."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segue.batches.widths import N_MULTIPLES, N_WIDTHS, batch_widths


def n_computed(n_positions: np.ndarray, widths: np.ndarray) -> int:
    """Positions that are computed if each example has the smallest width that holds it."""
    return int(np.asarray(widths)[np.searchsorted(widths, n_positions)].sum())


@given(st.lists(st.integers(1, 90), min_size=1, max_size=40), st.integers(0, 20))
def test_no_other_choice_computes_less(lengths: list[int], slack: int) -> None:
    n_positions = np.array(lengths, dtype=np.int64)
    context = int(n_positions.max()) + slack
    widths = batch_widths(n_positions, context)
    assert len(widths) <= N_WIDTHS
    assert (np.diff(widths) > 0).all()
    assert n_positions.max() <= widths[-1] <= context
    step = -(-context // N_MULTIPLES)
    possible = [min(width, context) for width in range(step, n_positions.max() + step, step)]
    *shorter, longest = sorted(set(possible))
    alternatives = [
        [*choice, longest] for n in range(N_WIDTHS) for choice in combinations(shorter, n)
    ]
    assert n_computed(n_positions, widths) == min(n_computed(n_positions, o) for o in alternatives)


def test_short_histories_have_short_batches() -> None:
    lengths = np.random.default_rng(0).geometric(0.15, 10_000).clip(1, 200)
    widths = batch_widths(lengths, 200)
    assert len(widths) == N_WIDTHS
    assert n_computed(lengths, widths) < 1.8 * lengths.sum()


def test_without_examples_there_is_one_width() -> None:
    assert batch_widths(np.zeros(0, np.int64), 30).tolist() == [1]


def test_long_contexts_have_coarse_widths() -> None:
    widths = batch_widths(np.arange(1, 2049), 2048)
    assert widths.tolist() == [512, 1024, 1536, 2048]

"""Sums over prefixes: the closed form against a sum over every target and pair of sources."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.baselines import prefix_sums
from segue.baselines.prefix_sums import NormalEquations, SourceWeights, add_prefixes, symmetric

N_ITEMS = 6


def slow_equations(weights: SourceWeights, rows, items, ages, is_target) -> NormalEquations:
    gram, targets = np.zeros((2, N_ITEMS, N_ITEMS))
    for target in np.flatnonzero(is_target):
        sources = np.zeros(N_ITEMS)
        for event in range(max(0, target - weights.length), target):
            if rows[event] == rows[target]:
                age = ages[target] - ages[event]
                sources[items[event]] += max(weights.floor, np.exp(-age / weights.scale))
        gram += np.outer(sources, sources)
        targets[:, items[target]] += sources
    return NormalEquations(gram, targets)


def fast_equations(weights: SourceWeights, *events: np.ndarray) -> NormalEquations:
    equations = NormalEquations(*np.zeros((2, N_ITEMS, N_ITEMS)))
    add_prefixes(equations, weights, *events)
    return NormalEquations(symmetric(equations.gram), equations.targets)


def random_events(seed: int, n_events: int) -> tuple[np.ndarray, ...]:
    """Sequences with repeated items, tied times, and some events that are no targets."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.integers(0, 5, n_events)) * 3
    times = np.round(rng.random(n_events) * 20, 1)
    ages = times[np.lexsort((times, rows))]
    return rows, rng.integers(0, N_ITEMS, n_events), ages, rng.random(n_events) < 0.8


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(0, 40),
    st.sampled_from([0.3, 3.0, 50.0]),
    st.sampled_from([0.0, 0.1, 0.6]),
    st.sampled_from([1, 4, 100]),
)
def test_sums_agree_with_a_slow_loop(seed, n_events, scale, floor, length) -> None:
    events, weights = random_events(seed, n_events), SourceWeights(scale, floor, length)
    expected = slow_equations(weights, *events)
    for fast, slow in zip(fast_equations(weights, *events), expected, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pairs", [1, 7, 50])
def test_blocks_of_pairs_change_nothing(pairs: int, monkeypatch) -> None:
    events, weights = random_events(3, 40), SourceWeights(4.0, 0.1, 10)
    expected = fast_equations(weights, *events)
    monkeypatch.setattr(prefix_sums, "PAIRS_PER_BLOCK", pairs)
    for blocks, together in zip(fast_equations(weights, *events), expected, strict=True):
        np.testing.assert_allclose(blocks, together, rtol=1e-12)

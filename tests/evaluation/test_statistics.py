"""Confidence intervals and permutation tests with a known or enumerable result."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from segue.evaluation import statistics
from segue.evaluation.statistics import bootstrap_means, interval95, permutation_test


def test_bootstrap_of_equal_sequences_has_no_width() -> None:
    means = bootstrap_means(np.full((7, 2), 3.0), np.full(7, 4), 50, seed=0)
    np.testing.assert_allclose(means, 0.75)


def test_bootstrap_weighs_instances_and_draws_sequences() -> None:
    # One sequence with 90 hits of 90, one with none of 10: a sample has each 0, 1 or 2 times.
    means = bootstrap_means(np.array([[90.0], [0.0]]), np.array([90, 10]), 2000, seed=1)
    assert set(np.round(means[:, 0], 6)) == {0.0, 0.9, 1.0}
    assert np.mean(means[:, 0] == 0) == pytest.approx(0.25, abs=0.04)


def test_bootstrap_spread_is_the_standard_error() -> None:
    values = np.random.default_rng(2).normal(5, 2, (400, 1))
    means = bootstrap_means(values, np.ones(400, np.int64), 3000, seed=3)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.08)
    low, high = interval95(means)[:, 0]
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_bootstrap_is_seeded() -> None:
    sums, counts = np.random.default_rng(0).random((9, 1)), np.ones(9, np.int64)
    same = [bootstrap_means(sums, counts, 20, seed=5) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert (same[0] != bootstrap_means(sums, counts, 20, seed=6)).any()


def test_zero_resamples_give_no_means() -> None:
    assert bootstrap_means(np.ones((3, 2)), np.ones(3, np.int64), 0, seed=0).shape == (0, 2)


@pytest.mark.parametrize("differences", [[1.0, 2.0, -0.5, 3.0, 1.5], [0.1] * 6, [1.0, -1.0, 0.0]])
def test_permutation_test_matches_all_sign_flips(differences: list[float]) -> None:
    observed = abs(sum(differences))
    flips = itertools.product([1, -1], repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(flip, differences, strict=True))) for flip in flips]
    exact = np.mean([total >= observed - 1e-9 for total in sums])
    p_value = permutation_test(np.array(differences), 20_000, seed=0)
    assert p_value == pytest.approx(exact, abs=0.012)


def test_p_value_without_any_difference_is_1() -> None:
    assert permutation_test(np.zeros(5), 100, seed=0) == 1.0


def test_p_value_is_never_zero_and_symmetric() -> None:
    differences = np.random.default_rng(0).normal(3, 1, 200)
    assert permutation_test(differences, 999, seed=0) == 1 / 1000
    assert permutation_test(-differences, 999, seed=0) == 1 / 1000


def test_p_values_of_equal_models_are_uniform() -> None:
    rng = np.random.default_rng(4)
    p_values = [permutation_test(rng.normal(0, 1, 40), 400, seed=i) for i in range(200)]
    assert np.mean(np.array(p_values) < 0.1) == pytest.approx(0.1, abs=0.06)


def test_blocks_of_draws_bound_memory_and_do_not_change_the_number_of_draws(monkeypatch) -> None:
    monkeypatch.setattr(statistics, "DRAWS_PER_BLOCK", 64)
    assert bootstrap_means(np.ones((10, 1)), np.ones(10, np.int64), 25, seed=0).shape == (25, 1)
    assert permutation_test(np.full(30, 1.0), 99, seed=0) == 0.01

"""Means over playlists: what counts, what is resampled, what differs."""

from __future__ import annotations

import numpy as np
import pytest
from highlights.estimates import difference, estimate, row_means


def test_the_mean_is_over_values_not_over_playlists() -> None:
    found = estimate(np.array([[1.0, np.nan, np.nan], [0.0, 0.0, 0.5]]), seed=0)
    assert found is not None
    assert found.mean == pytest.approx(1.5 / 4)
    assert found.low <= found.mean <= found.high


def test_equal_playlists_leave_no_doubt() -> None:
    assert estimate(np.array([[1, 3], [3, 1], [2, 2]]), seed=0) == (2.0, 2.0, 2.0)


def test_more_playlists_make_an_interval_narrower() -> None:
    values = np.random.default_rng(0).normal(size=400)
    few, many = estimate(values[:20], seed=1), estimate(values, seed=1)
    assert few is not None
    assert many is not None
    assert many.high - many.low < 0.5 * (few.high - few.low)
    assert many.high - many.low == pytest.approx(4 * values.std() / 20, rel=0.15)


def test_playlists_are_resampled_whole() -> None:
    """A hundred copies of each value tell no more than the value."""
    values = np.random.default_rng(2).normal(size=30)
    once, copied = estimate(values, seed=0), estimate(np.tile(values[:, None], 100), seed=0)
    assert once == copied


def test_nothing_that_counts_has_no_mean() -> None:
    nothing = np.full((3, 2), np.nan)
    assert estimate(nothing, seed=0) is None
    assert estimate(np.zeros((0, 2)), seed=0) is None
    assert difference(nothing, np.ones((3, 2)), seed=0) is None


def test_a_playlist_counts_in_a_difference_where_both_ways_have_a_value() -> None:
    values = np.array([[2.0, 4.0], [np.nan, 9.0], [np.nan, np.nan]])
    reference = np.array([[1.0], [np.nan], [5.0]])
    found = difference(values, reference, seed=0)
    assert found is not None
    assert found.mean == 2
    np.testing.assert_array_equal(row_means(values), [3, 9, np.nan])


def test_a_difference_that_is_always_there_is_significant() -> None:
    random = np.random.default_rng(3)
    reference = random.normal(size=50)
    raised = difference(reference + random.uniform(0.1, 0.3, size=50), reference, seed=0)
    assert raised is not None
    assert raised.p_value < 0.001
    assert 0.1 < raised.low < raised.mean < raised.high < 0.3
    same = difference(reference, reference, seed=0)
    assert same == (0, 0, 0, 1)

"""Means over playlists, their intervals and paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from highlights.estimates import difference, estimate, row_means


def test_the_mean_is_over_values_and_not_over_playlists() -> None:
    mean = estimate(np.array([[1.0, np.nan, np.nan], [0.0, 0.0, 0.5]]), seed=0)
    assert mean is not None
    assert mean.mean == pytest.approx(1.5 / 4)
    assert mean.low <= mean.mean <= mean.high


def test_the_interval_of_equal_playlists_is_a_point() -> None:
    assert estimate(np.array([[1, 3], [3, 1], [2, 2]]), seed=0) == (2.0, 2.0, 2.0)


def test_the_interval_is_narrower_with_more_playlists() -> None:
    values = np.random.default_rng(0).normal(size=400)
    few, many = estimate(values[:20], seed=1), estimate(values, seed=1)
    assert few is not None
    assert many is not None
    assert many.high - many.low < 0.5 * (few.high - few.low)
    assert many.high - many.low == pytest.approx(4 * values.std() / 20, rel=0.15)


def test_whole_playlists_are_resampled() -> None:
    """A hundred copies of each value give the same interval as one."""
    values = np.random.default_rng(2).normal(size=30)
    once, copied = estimate(values, seed=0), estimate(np.tile(values[:, None], 100), seed=0)
    assert once == copied


def test_there_is_no_mean_without_values() -> None:
    missing = np.full((3, 2), np.nan)
    assert estimate(missing, seed=0) is None
    assert estimate(np.zeros((0, 2)), seed=0) is None
    assert difference(missing, np.ones((3, 2)), seed=0) is None


def test_differences_are_of_playlists_with_a_value_in_both() -> None:
    values = np.array([[2.0, 4.0], [np.nan, 9.0], [np.nan, np.nan]])
    reference = np.array([[1.0], [np.nan], [5.0]])
    mean = difference(values, reference, seed=0)
    assert mean is not None
    assert mean.mean == 2
    np.testing.assert_array_equal(row_means(values), [3, 9, np.nan])


def test_a_difference_in_every_playlist_is_significant() -> None:
    random = np.random.default_rng(3)
    reference = random.normal(size=50)
    raised = difference(reference + random.uniform(0.1, 0.3, size=50), reference, seed=0)
    assert raised is not None
    assert raised.p_value < 0.001
    assert 0.1 < raised.low < raised.mean < raised.high < 0.3
    same = difference(reference, reference, seed=0)
    assert same == (0, 0, 0, 1)

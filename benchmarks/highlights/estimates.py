"""Means over playlists with bootstrap intervals, and paired differences with p-values.

Values are arrays with one row per playlist, and NaN where there is no value. Whole playlists are
resampled, because the values of one playlist are not independent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from segue.evaluation.statistics import bootstrap_means, interval95, permutation_test

RESAMPLES = 1000
PERMUTATIONS = 10_000
DIGITS = 4
"""Decimals of the results; the intervals are much wider than the rounding."""

Values = Float[np.ndarray, "playlists *positions"] | Int[np.ndarray, "playlists *positions"]
"""One value per playlist, or one per playlist and position."""


class MeanEstimate(NamedTuple):
    """A mean over all values, and its 95 % bootstrap interval over playlists."""

    mean: float
    low: float
    high: float


class MeanDifference(NamedTuple):
    """The mean over playlists of the difference between two means of a playlist.

    Attributes:
        mean: the mean difference.
        low: lower end of its 95 % bootstrap interval over playlists.
        high: upper end of the interval.
        p_value: two-sided, by a paired permutation test over playlists.
    """

    mean: float
    low: float
    high: float
    p_value: float


def estimate(values: Values, seed: int) -> MeanEstimate | None:
    """The mean of all values that are not NaN, with its interval; None if there are none."""
    rows = _as_rows(values)
    counts = np.count_nonzero(~np.isnan(rows), axis=1)
    rows, counts = rows[counts > 0], counts[counts > 0]
    if not len(rows):
        return None
    sums = np.nansum(rows, axis=1)
    low, high = interval95(bootstrap_means(sums[:, None], counts, RESAMPLES, seed))[:, 0]
    return MeanEstimate(*(round(float(x), DIGITS) for x in (sums.sum() / counts.sum(), low, high)))


def difference(values: Values, reference: Values, seed: int) -> MeanDifference | None:
    """The mean of ``values`` minus that of ``reference``, paired by playlist.

    A playlist counts if it has a value in both; None if no playlist has.
    """
    differences = row_means(values) - row_means(reference)
    differences = differences[~np.isnan(differences)]
    mean = estimate(differences, seed)
    if mean is None:
        return None
    p_value = permutation_test(differences, PERMUTATIONS, seed)
    return MeanDifference(*mean, round(p_value, DIGITS))


def row_means(values: Values) -> Float64[np.ndarray, " playlists"]:
    """The mean value of each playlist; NaN if it has none."""
    rows = _as_rows(values)
    counts = np.count_nonzero(~np.isnan(rows), axis=1)
    return np.where(counts > 0, np.nansum(rows, axis=1) / np.maximum(counts, 1), np.nan)


def _as_rows(values: Values) -> Float64[np.ndarray, "playlists positions"]:
    rows = np.asarray(values, np.float64)
    return rows[:, None] if rows.ndim == 1 else rows

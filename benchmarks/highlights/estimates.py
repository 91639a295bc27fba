"""Means over playlists with their intervals, and differences between two ways of asking.

Values are an array with a row a playlist, and NaN where there is nothing to count. Whole
playlists are resampled, since what belongs to one of them resembles itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from segue.resampling import bootstrap_means, interval95, permutation_test

RESAMPLES = 1000
PERMUTATIONS = 10_000
DIGITS = 4
"""Decimals that are kept: the intervals are far wider."""

Values = Float[np.ndarray, "playlists *places"] | Int[np.ndarray, "playlists *places"]
"""One value a playlist, or one for each of its places."""


class Estimate(NamedTuple):
    """A mean over all values that count, and its 95 % bootstrap interval over playlists."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """The mean over playlists of one way's mean less the other's.

    Attributes:
        p_value: two-sided, by a permutation test over playlists.
    """

    mean: float
    low: float
    high: float
    p_value: float


def estimate(values: Values, seed: int) -> Estimate | None:
    """The mean of the values; None where none counts."""
    rows = _as_rows(values)
    counts = np.count_nonzero(~np.isnan(rows), axis=1)
    rows, counts = rows[counts > 0], counts[counts > 0]
    if not len(rows):
        return None
    sums = np.nansum(rows, axis=1)
    low, high = interval95(bootstrap_means(sums[:, None], counts, RESAMPLES, seed))[:, 0]
    return Estimate(*(round(float(x), DIGITS) for x in (sums.sum() / counts.sum(), low, high)))


def difference(values: Values, reference: Values, seed: int) -> Difference | None:
    """How far values lie above those of a reference, playlist by playlist.

    A playlist takes part where both have something to count; None where none has.
    """
    differences = row_means(values) - row_means(reference)
    differences = differences[~np.isnan(differences)]
    found = estimate(differences, seed)
    if found is None:
        return None
    p_value = permutation_test(differences, PERMUTATIONS, seed)
    return Difference(*found, round(p_value, DIGITS))


def row_means(values: Values) -> Float64[np.ndarray, " playlists"]:
    """The mean of each playlist's values; NaN where it has none."""
    rows = _as_rows(values)
    counts = np.count_nonzero(~np.isnan(rows), axis=1)
    return np.where(counts > 0, np.nansum(rows, axis=1) / np.maximum(counts, 1), np.nan)


def _as_rows(values: Values) -> Float64[np.ndarray, "playlists places"]:
    rows = np.asarray(values, np.float64)
    return rows[:, None] if rows.ndim == 1 else rows

"""Cluster bootstrap confidence intervals and paired permutation tests, resampled by sequence.

The instances of one sequence are not independent. So whole sequences are drawn, or have the sign
of their difference flipped, never single instances.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

DRAWS_PER_BLOCK = 1 << 22
"""Random numbers in memory at a time."""


def bootstrap_means(
    sums: Float64[np.ndarray, "sequences metrics"],
    counts: Int64[np.ndarray, " sequences"],
    resamples: int,
    seed: int,
) -> Float64[np.ndarray, "resamples metrics"]:
    """Means over instances in bootstrap samples of the sequences, drawn with replacement.

    Args:
        sums: each metric summed over the instances of each sequence.
        counts: instances of each sequence, at least 1.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993; the ratio of two
    sums, resampled by cluster.
    """
    n = len(counts)
    rng = np.random.default_rng(seed)
    per_block = max(1, DRAWS_PER_BLOCK // n)
    means = []
    for start in range(0, resamples, per_block):
        size = min(per_block, resamples - start)
        draws = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        n_draws = np.bincount(draws.ravel(), minlength=size * n).reshape(size, n)
        weights = n_draws.astype(np.float64)
        means.append((weights @ sums) / (weights @ counts)[:, None])
    return np.concatenate([np.zeros((0, sums.shape[1])), *means])


def interval95(
    means: Float64[np.ndarray, "resamples metrics"],
) -> Float64[np.ndarray, "2 metrics"]:
    """The 95 % percentile interval of resampled means: a row of lower and a row of upper ends."""
    return np.quantile(means, [0.025, 0.975], axis=0)


def permutation_test(
    differences: Float64[np.ndarray, " sequences"], permutations: int, seed: int
) -> float:
    """Two-sided p-value of a paired permutation test, with the sign of each sequence flipped.

    If two models are equally good, the difference of each sequence could as well have the
    opposite sign. The signs are flipped at random. The p-value is the share of flips whose sum
    is at least as far from 0 as the observed sum, with the observed signs counted as one flip.

    Args:
        differences: for each sequence, one model's sum over the instances minus the other's.

    Source: Smucker, Allan and Carterette, A comparison of statistical significance tests
    for information retrieval evaluation, CIKM 2007 (Fisher's randomisation test).
    """
    # A sequence without a difference adds 0 with either sign.
    differences = differences[differences != 0]
    n = len(differences)
    if n == 0:
        return 1.0
    rng = np.random.default_rng(seed)
    per_block = max(1, DRAWS_PER_BLOCK // n)
    # The last bits of a floating-point sum depend on its order. The tolerance counts ties as ties.
    observed = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    as_extreme = 1
    for start in range(0, permutations, per_block):
        size = min(per_block, permutations - start)
        flips = rng.integers(0, 2, (size, n), dtype=np.int8)
        sums = (1.0 - 2.0 * flips) @ differences
        as_extreme += int(np.count_nonzero(np.abs(sums) >= observed))
    return as_extreme / (permutations + 1)

"""How sure a mean is: bootstrap intervals and permutation tests over whole sequences.

A sequence may hold many instances, which resemble one another. So sequences are drawn, or
have their signs flipped, never single instances: that keeps intervals and tests honest.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

DRAWS_PER_BLOCK = 1 << 22
"""Random numbers held at a time."""


def bootstrap_means(
    sums: Float64[np.ndarray, "sequences metrics"],
    counts: Int64[np.ndarray, " sequences"],
    resamples: int,
    seed: int,
) -> Float64[np.ndarray, "resamples metrics"]:
    """Means over instances in samples of as many sequences, drawn with replacement.

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
    for begin in range(0, resamples, per_block):
        size = min(per_block, resamples - begin)
        draws = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(draws.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        means.append((times @ sums) / (times @ counts)[:, None])
    return np.concatenate([np.zeros((0, sums.shape[1])), *means])


def interval95(
    means: Float64[np.ndarray, "resamples metrics"],
) -> Float64[np.ndarray, "2 metrics"]:
    """The percentile interval that holds 95 % of the resampled means: low ends, high ends."""
    return np.quantile(means, [0.025, 0.975], axis=0)


def permutation_test(
    differences: Float64[np.ndarray, " sequences"], permutations: int, seed: int
) -> float:
    """Two-sided p-value of a paired difference: how often chance alone yields as great a one.

    If two models were equals, each sequence's difference could as well have had the other
    sign. Signs are flipped at random, and the share of flips whose sum is at least as far
    from 0 as the one observed is the p-value, the observed one counted among them.

    Args:
        differences: one model's sum minus the other's, over the instances of a sequence.

    Source: Smucker, Allan and Carterette, A comparison of statistical significance tests
    for information retrieval evaluation, CIKM 2007 (Fisher's randomisation test).
    """
    # Sequences without a difference add 0 whatever their sign.
    differences = differences[differences != 0]
    n = len(differences)
    if n == 0:
        return 1.0
    rng = np.random.default_rng(seed)
    per_block = max(1, DRAWS_PER_BLOCK // n)
    # Sums of floats depend on their order in the last bits: what ties must count as a tie.
    observed = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    as_great = 1
    for begin in range(0, permutations, per_block):
        size = min(per_block, permutations - begin)
        flips = rng.integers(0, 2, (size, n), dtype=np.int8)
        sums = (1.0 - 2.0 * flips) @ differences
        as_great += int(np.count_nonzero(np.abs(sums) >= observed))
    return as_great / (permutations + 1)

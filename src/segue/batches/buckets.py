"""Length buckets: every batch has the same numbers of short and long rows, so little is padding.

The examples of an epoch are sorted by length and cut into strata, one per bucket. Every batch has
the same number of rows from each stratum, drawn anew in every epoch. This is stratified sampling
with proportional allocation (Cochran, Sampling Techniques, 1977, chapter 5): each example is in
one batch per epoch and every batch has nearly the same number of labels, so the expected gradient
is that of batches drawn without strata. All batches have the same shapes: one compilation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Integer

MAX_BUCKETS = 8
"""Most buckets of a batch. Each adds some 0.8 s to the compilation of the step."""

BUCKET_COST = 0.01
"""Cost of one more bucket, as a share of the positions of the examples. For eight buckets, the
padding that they save is worth more on logs of short and of long histories alike."""

MAX_CUTS = 128
"""Most rows after which a bucket may end, in batches with more rows."""


class BucketShape(NamedTuple):
    """The number of rows of a bucket, and the number of positions of each row."""

    rows: int
    length: int


class StratifiedOrder:
    """Which examples are in which batch and bucket, in every epoch.

    The batches of an epoch have equal numbers of rows, at most one more or less, so no batch is
    much smaller than the others.

    Attributes:
        n_batches: number of batches per epoch.
        shapes: the buckets of every batch, from the longest rows to the shortest.
    """

    def __init__(
        self,
        n_positions: Integer[np.ndarray, " examples"],
        batch_size: int,
        seed: int,
        max_buckets: int = MAX_BUCKETS,
    ) -> None:
        """Choose the buckets.

        Args:
            n_positions: number of positions that each example needs, at least 1.
            batch_size: the most rows of a batch.
            seed: of the order of the examples.
            max_buckets: the most buckets of a batch.
        """
        n = len(n_positions)
        self.n_batches = -(-n // batch_size)
        self._seed = seed
        dtype = np.int32 if n < 2**31 else np.int64  # logs have up to 100,000,000 targets
        # Stable, so that the order does not depend on the sorting algorithm; the smallest type,
        # because short integers are sorted in linear time.
        descending = n_positions.max(initial=0) - n_positions
        descending = descending.astype(np.min_scalar_type(descending.max(initial=0)))
        self._by_length = np.argsort(descending, kind="stable").astype(dtype)
        # Row i of a batch is one of the i-th n_batches examples by falling length.
        longest = n_positions[self._by_length[:: self.n_batches]] if n else n_positions
        self.shapes = bucket_shapes(longest, max_buckets)
        row_ends = np.cumsum([shape.rows for shape in self.shapes], dtype=np.int64)
        self._ends = np.minimum(row_ends * self.n_batches, n)
        self._strata = lru_cache(maxsize=2)(self._draw_strata)

    def examples(self, epoch: int, number: int) -> list[Int64[np.ndarray, " examples"]]:
        """The examples of each bucket of a batch; there may be one less than the bucket has rows.

        Args:
            epoch: the epoch, from 0.
            number: number of the batch in the epoch.
        """
        drawn = []
        for stratum in self._strata(epoch):
            # Only the last stratum may have fewer examples than rows; they are spread evenly.
            first, end = (-(-len(stratum) * n // self.n_batches) for n in (number, number + 1))
            drawn.append(stratum[first:end].astype(np.int64))
        return drawn

    def _draw_strata(self, epoch: int) -> list[Integer[np.ndarray, " examples"]]:
        random = np.random.default_rng([self._seed, 0, epoch])
        strata = np.split(self._by_length, self._ends[:-1])
        return [random.permutation(stratum) for stratum in strata]


def bucket_shapes(
    longest: Integer[np.ndarray, " rows"], max_buckets: int = MAX_BUCKETS
) -> list[BucketShape]:
    """The buckets that compute the fewest positions, by dynamic programming.

    Each bucket has the length of its first row and costs ``BUCKET_COST`` of all positions.

    Args:
        longest: the longest example of each row of a batch, falling.
        max_buckets: the most buckets.

    Returns:
        Buckets in the order of the rows; none without rows.
    """
    if not len(longest):
        return []
    n_rows = len(longest)
    cuts = np.unique(np.linspace(0, n_rows, min(n_rows, MAX_CUTS) + 1).round().astype(np.int64))
    lengths = longest[cuts[:-1]].astype(np.float64)
    overhead = BUCKET_COST * float(longest.sum())
    # costs[i] is that of the best choice for the rows before cuts[i]; starts[k][i] the number of
    # the cut at which the last of its k + 1 buckets begins.
    costs = np.full(len(cuts), np.inf)
    costs[0] = 0.0
    starts: list[Int64[np.ndarray, " cuts"]] = []
    totals: list[float] = []
    for _ in range(min(max_buckets, len(lengths))):
        extended, start = np.full(len(cuts), np.inf), np.zeros(len(cuts), np.int64)
        for end in range(1, len(cuts)):
            candidates = costs[:end] + (cuts[end] - cuts[:end]) * lengths[:end] + overhead
            start[end] = np.argmin(candidates)
            extended[end] = candidates[start[end]]
        costs = extended
        starts.append(start)
        totals.append(float(costs[-1]))
    shapes, end = [], len(cuts) - 1
    for start in reversed(starts[: int(np.argmin(totals)) + 1]):
        first = int(start[end])
        shapes.append(BucketShape(int(cuts[end] - cuts[first]), int(longest[cuts[first]])))
        end = first
    return shapes[::-1]

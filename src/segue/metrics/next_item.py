"""Next-item metrics: HR, NDCG, MRR, MAP, precision, recall and F1 from the rank of one target."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Int64

Ranks = Int64[np.ndarray, " batch"]
"""Rank of each instance's target, from 1; 0 if the target was not ranked (a miss)."""
Values = Float64[np.ndarray, " batch"]
"""One value per instance."""


def hit_rate(ranks: Ranks, k: int) -> Values:
    """1 if the target is among the first ``k`` items, else 0."""
    return ((ranks > 0) & (ranks <= k)).astype(np.float64)


def ndcg(ranks: Ranks, k: int) -> Values:
    """NDCG: ``1 / log2(rank + 1)`` within the first ``k`` items, else 0; the ideal DCG is 1.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques,
    TOIS 20(4), 2002, with the usual base-2 discount and a single relevant item.
    """
    return hit_rate(ranks, k) / np.log2(np.maximum(ranks, 1) + 1)


def reciprocal_rank(ranks: Ranks, k: int) -> Values:
    """``1 / rank`` within the first ``k`` items, else 0."""
    return hit_rate(ranks, k) / np.maximum(ranks, 1)


def average_precision(ranks: Ranks, k: int) -> Values:
    """Sum of the precision at each hit, divided by min(number of targets, ``k``).

    With one target the divisor is 1 and the precision at the only hit is ``1 / rank``.
    """
    return reciprocal_rank(ranks, k)


def precision(ranks: Ranks, k: int) -> Values:
    """The share of the first ``k`` items that are targets: ``1 / k`` for a hit."""
    return hit_rate(ranks, k) / k


def recall(ranks: Ranks, k: int) -> Values:
    """The share of the targets among the first ``k`` items; with one target, the hit rate."""
    return hit_rate(ranks, k)


def f1(ranks: Ranks, k: int) -> Values:
    """F1 at ``k`` with one relevant item: ``2 / (k + 1)`` if its rank is at most ``k``, else 0."""
    return hit_rate(ranks, k) * 2 / (k + 1)


NEXT_ITEM: dict[str, Callable[[Ranks, int], Values]] = {
    "hr": hit_rate,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "map": average_precision,
    "precision": precision,
    "recall": recall,
    "f1": f1,
}
"""The metrics that are printed as ``name@K``."""


def next_item_metrics(ranks: Ranks, ks: Sequence[int]) -> dict[str, Values]:
    """Compute every metric of ``NEXT_ITEM`` at every cut-off, and ``mrr`` without a cut-off.

    Args:
        ranks: rank of each instance's target, from 1; 0 if the target was not ranked.
        ks: cut-offs, each at least 1.

    Returns:
        By printed key, one value per instance.
    """
    values = {f"{name}@{k}": metric(ranks, k) for k in ks for name, metric in NEXT_ITEM.items()}
    # The largest rank as cut-off cuts nothing off.
    values["mrr"] = reciprocal_rank(ranks, int(ranks.max(initial=1)))
    return values

"""Next item: one target an instance, so its rank says everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Int64

Ranks = Int64[np.ndarray, " batch"]
Values = Float64[np.ndarray, " batch"]
"""One value an instance."""


def hit_rate(ranks: Ranks, k: int) -> Values:
    """1 where the target is within the first ``k`` places; rank 0 is a miss."""
    return ((ranks > 0) & (ranks <= k)).astype(np.float64)


def ndcg(ranks: Ranks, k: int) -> Values:
    """Discounted gain ``1 / log2(rank + 1)`` within ``k`` places; the ideal is 1.

    Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques,
    TOIS 20(4), 2002, with the usual base-2 discount and a single relevant item.
    """
    return hit_rate(ranks, k) / np.log2(np.maximum(ranks, 1) + 1)


def reciprocal_rank(ranks: Ranks, k: int) -> Values:
    """``1 / rank`` within ``k`` places, else 0."""
    return hit_rate(ranks, k) / np.maximum(ranks, 1)


def average_precision(ranks: Ranks, k: int) -> Values:
    """Precision averaged over the hits, divided by min(number of targets, ``k``).

    With one target the divisor is 1 and the only hit's precision is ``1 / rank``.
    """
    return reciprocal_rank(ranks, k)


def precision(ranks: Ranks, k: int) -> Values:
    """The share of the ``k`` places that hold the target."""
    return hit_rate(ranks, k) / k


def recall(ranks: Ranks, k: int) -> Values:
    """The share of the targets within ``k`` places; with one target, the hit rate."""
    return hit_rate(ranks, k)


def f1(ranks: Ranks, k: int) -> Values:
    """Harmonic mean of precision and recall: ``2 / (k + 1)`` for a hit."""
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
"""What is printed as ``name@K``."""


def next_item_metrics(ranks: Ranks, ks: Sequence[int]) -> dict[str, Values]:
    """Every metric of ``NEXT_ITEM`` at every cut-off, and the uncut ``mrr``.

    Args:
        ranks: the place of each instance's target, from 1; 0 for a target never reached.
        ks: cut-offs, each at least 1.

    Returns:
        values by printed key, one an instance.
    """
    values = {f"{name}@{k}": metric(ranks, k) for k in ks for name, metric in NEXT_ITEM.items()}
    # No rank exceeds the greatest one, so that cut-off cuts nothing.
    values["mrr"] = reciprocal_rank(ranks, int(ranks.max(initial=1)))
    return values

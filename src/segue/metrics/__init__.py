"""Ranking metrics: pure functions that return one value per instance, by printed key.

Three families:

- ``next_item``: from the rank of a single target (HR, NDCG, MRR, MAP, precision, recall, F1).
- ``continuation``: from a ranked list and a set of targets (R-precision, NDCG, clicks).
- ``beyond_accuracy``: properties of the recommended lists (diversity, novelty, serendipity,
  popularity, coverage, Gini index).

To add a family, write a function that maps its inputs to values by printed key. Values are not
averaged here. Higher is better, except for ``clicks`` and for the beyond-accuracy metrics, which
are neither good nor bad by themselves.
"""

from segue.metrics.beyond_accuracy import (
    ItemStatistics,
    RecommendedLists,
    beyond_accuracy_metrics,
    coverage,
    diversity,
    exposure_counts,
    gini,
    novelty,
    popularity,
    serendipity,
)
from segue.metrics.continuation import (
    CLICKS_WITHOUT_HIT,
    ListHits,
    clicks,
    continuation_metrics,
    ndcg_challenge,
    ndcg_lists,
    r_precision,
    r_precision_artist,
)
from segue.metrics.next_item import NEXT_ITEM, next_item_metrics

__all__ = [
    "CLICKS_WITHOUT_HIT",
    "NEXT_ITEM",
    "ItemStatistics",
    "ListHits",
    "RecommendedLists",
    "beyond_accuracy_metrics",
    "clicks",
    "continuation_metrics",
    "coverage",
    "diversity",
    "exposure_counts",
    "gini",
    "ndcg_challenge",
    "ndcg_lists",
    "next_item_metrics",
    "novelty",
    "popularity",
    "r_precision",
    "r_precision_artist",
    "serendipity",
]

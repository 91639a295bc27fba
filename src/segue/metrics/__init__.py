"""Metrics: pure functions, one value an instance, never reduced, by the key that is printed.

Three families, after what is asked. *Next item*: the rank of one target. *Continuation*: a
list against a set of targets. *Behaviour*: what lists are like, whether they hit or not. A
further family only needs a function that maps what it measures to values by printed key.

Higher is better, save for ``clicks``; of behaviour nothing is better by itself.
"""

from segue.metrics.behaviour import (
    Background,
    ShownLists,
    behaviour_metrics,
    coverage,
    diversity,
    exposures,
    gini,
    novelty,
    popularity,
    serendipity,
)
from segue.metrics.continuation import (
    CLICKS_WITHOUT_HIT,
    HitPlaces,
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
    "Background",
    "HitPlaces",
    "ShownLists",
    "behaviour_metrics",
    "clicks",
    "continuation_metrics",
    "coverage",
    "diversity",
    "exposures",
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

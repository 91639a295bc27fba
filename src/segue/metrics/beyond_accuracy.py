"""Beyond-accuracy metrics: diversity, novelty, serendipity, popularity, coverage, Gini index.

``diversity``, ``novelty``, ``serendipity`` and ``popularity`` have one value per list.
``coverage`` and ``gini`` describe all lists together. Means are over the items of a list;
positions without an item are ignored, and an empty list has the value 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from scipy import sparse

from segue.metrics.next_item import Values
from segue.tokens import PAD


class ItemStatistics(NamedTuple):
    """Training statistics and features of the items, which the metrics refer to.

    Attributes:
        user_counts: number of training sequences that contain each item.
        n_sequences: number of training sequences, at least 1.
        features: sparse, of shape (vocabulary, features); the similarity of two items is the
            inner product of their rows. A row has unit length and equal entries, or is empty
            for an item without features.
        similarity: the kind of features, such as ``genres``.
        popularity_ranks: rank, from 1, of each candidate when all are sorted by popularity; 0 for
            special tokens and items that are not candidates.
    """

    user_counts: Int64[np.ndarray, " vocabulary"]
    n_sequences: int
    features: sparse.csr_array
    similarity: str
    popularity_ranks: Int64[np.ndarray, " vocabulary"]


class RecommendedLists(NamedTuple):
    """Recommended lists of equal length, best item first.

    Attributes:
        items: item indices, ``PAD`` at positions without an item.
        relevant: whether the item at a position is a target.
        popularity_ranks: rank, from 1, of each item among the candidates of its query when
            these are sorted by popularity; meaningless where ``relevant`` is false.
    """

    items: Int32[np.ndarray, "batch length"]
    relevant: Bool[np.ndarray, "batch length"]
    popularity_ranks: Int64[np.ndarray, "batch length"]


def diversity(lists: RecommendedLists, k: int, item_statistics: ItemStatistics) -> Values:
    """1 minus the mean similarity of all pairs of the first ``k`` items; 0 with fewer than two.

    The similarity of two items is the cosine of their feature sets A and B,
    ``|A & B| / sqrt(|A| |B|)``; it is 0 if either item has no features.

    Source: the intra-list similarity of Ziegler, McNee, Konstan and Lausen, Improving
    recommendation lists through topic diversification, WWW 2005, averaged over pairs.
    """
    items = lists.items[:, :k]
    is_filled = items != PAD
    sizes = is_filled.sum(axis=1)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    shape = (len(items), len(item_statistics.user_counts))
    memberships = sparse.csr_array((np.ones(ends[-1]), items[is_filled], ends), shape=shape)
    # The squared length of a sum of unit vectors is the cosine of every pair, twice, plus 1 for
    # each vector. So no pair has to be enumerated.
    sums = sparse.csr_array(memberships @ item_statistics.features)
    sums.data **= 2
    has_features = np.diff(item_statistics.features.indptr) > 0
    twice_similarity = sums.sum(axis=1) - (is_filled & has_features[items]).sum(axis=1)
    n_ordered_pairs = sizes * (sizes - 1)
    mean_similarity = twice_similarity / np.maximum(n_ordered_pairs, 1)
    return np.where(n_ordered_pairs > 0, np.clip(1 - mean_similarity, 0, 1), 0)


def novelty(lists: RecommendedLists, k: int, item_statistics: ItemStatistics) -> Values:
    """Mean self-information, in bits, of the first ``k`` items: ``log2(n / h)``.

    h is the number of the n training sequences that contain the item; 0 counts as 1.

    Source: Zhou, Kuscsik, Liu, Medo, Wakeling and Zhang, Solving the apparent
    diversity-accuracy dilemma of recommender systems, PNAS 107(10), 2010.
    """
    bits = np.log2(item_statistics.n_sequences / np.maximum(item_statistics.user_counts, 1))
    return _mean_over_items(bits, lists.items[:, :k])


def popularity(lists: RecommendedLists, k: int, item_statistics: ItemStatistics) -> Values:
    """Mean share of the training sequences that contain an item, over the first ``k`` items.

    Source: average recommendation popularity, as counts in Yin, Cui, Li, Yao and Chen,
    Challenging the long tail recommendation, PVLDB 5(9), 2012; as a measure of popularity
    bias in Abdollahpouri, Burke and Mobasher, FLAIRS 2019; here as shares.
    """
    shares = item_statistics.user_counts / item_statistics.n_sequences
    return _mean_over_items(shares, lists.items[:, :k])


def serendipity(lists: RecommendedLists, k: int) -> Values:
    """Targets in the first ``k`` items that are not among the ``k`` most popular, over ``k``.

    The most popular items are taken from the candidates of the same query, so the baseline that
    defines what is expected obeys the same rules. Serendipity is at most the precision.

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond accuracy: evaluating recommender
    systems by coverage and serendipity, RecSys 2010.
    """
    is_unexpected = lists.relevant[:, :k] & (lists.popularity_ranks[:, :k] > k)
    return is_unexpected.sum(axis=1) / k


def beyond_accuracy_metrics(
    lists: RecommendedLists, ks: Sequence[int], item_statistics: ItemStatistics
) -> dict[str, Values]:
    """Compute every metric that has one value per list, at every cut-off.

    A single item has no diversity, so there is no ``diversity@1``.

    Returns:
        By printed key, one value per instance.
    """
    values: dict[str, Values] = {}
    for k in ks:
        if k > 1:
            values[f"diversity@{k}"] = diversity(lists, k, item_statistics)
        values[f"novelty@{k}"] = novelty(lists, k, item_statistics)
        values[f"serendipity@{k}"] = serendipity(lists, k)
        values[f"popularity@{k}"] = popularity(lists, k, item_statistics)
    return values


def exposure_counts(
    items: Int32[np.ndarray, "batch length"], is_candidate: Bool[np.ndarray, " vocabulary"]
) -> Int64[np.ndarray, " candidates"]:
    """The number of times each candidate is recommended; additive over blocks."""
    return np.bincount(items.ravel(), minlength=len(is_candidate))[is_candidate]


def coverage(counts: Int64[np.ndarray, " candidates"]) -> float:
    """The share of the candidates that are recommended at least once.

    Args:
        counts: how often each candidate is recommended.

    Source: catalogue coverage of Herlocker, Konstan, Terveen and Riedl, Evaluating
    collaborative filtering recommender systems, TOIS 22(1), 2004.
    """
    return float(np.count_nonzero(counts) / len(counts))


def gini(counts: Int64[np.ndarray, " candidates"]) -> float:
    """Gini index of exposure: 0 if all items are recommended equally often, 1 if only one is.

    With counts c in ascending order: the sum of ``(2 j - n - 1) c_j`` over
    ``(n - 1) sum(c)``. 0 if nothing is recommended, or if there is only one item.

    Args:
        counts: how often each candidate is recommended.

    Source: Shani and Gunawardana, Evaluating recommendation systems, Recommender Systems
    Handbook, 2011; used for concentration by Fleder and Hosanagar, Blockbuster culture's
    next rise or fall, Management Science 55(5), 2009.
    """
    n, total = len(counts), int(counts.sum())
    if n < 2 or total == 0:
        return 0.0
    weights = 2 * np.arange(1, n + 1) - n - 1
    return int(weights @ np.sort(counts)) / ((n - 1) * total)


def _mean_over_items(
    item_values: Float64[np.ndarray, " vocabulary"], items: Int32[np.ndarray, "batch length"]
) -> Values:
    is_filled = items != PAD
    return (item_values[items] * is_filled).sum(axis=1) / np.maximum(is_filled.sum(axis=1), 1)

"""Behaviour: what lists are like beyond their hits, and how they treat the catalogue.

``diversity``, ``novelty``, ``serendipity`` and ``popularity`` have a value for each list;
``coverage`` and ``gini`` are properties of all lists together. Means go over the filled
places of a list; a list without any has the value 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64
from scipy import sparse

from segue.axes import N_SPECIALS, PAD
from segue.metrics.next_item import Values


class Background(NamedTuple):
    """What is known of the items before anything is recommended.

    Attributes:
        holders: training sequences that hold each item of the table.
        n_sequences: training sequences, at least 1.
        features: (table, features); items are alike as far as they share these. A row has
            unit length and equal entries, or is empty where nothing is known of the item.
        similarity: what the features are, such as ``genres``.
    """

    holders: Int64[np.ndarray, " table"]
    n_sequences: int
    features: sparse.csr_array
    similarity: str


class ShownLists(NamedTuple):
    """Ranked lists of one length.

    Attributes:
        items: item indices of the catalogue, ``PAD`` in places that could not be filled.
        relevant: whether the place holds a target.
        popular_places: the place, from 1, that each item has among the same candidates
            ordered by popularity; of no meaning where nothing relevant stands.
    """

    items: Int32[np.ndarray, "batch places"]
    relevant: Bool[np.ndarray, "batch places"]
    popular_places: Int64[np.ndarray, "batch places"]


def diversity(lists: ShownLists, k: int, background: Background) -> Values:
    """1 minus the mean similarity of two of the first ``k`` items; 0 with fewer than two.

    Two items are as similar as the cosine of their feature sets A and B,
    ``|A & B| / sqrt(|A| |B|)``; an item without features is like no other.

    Source: the intra-list similarity of Ziegler, McNee, Konstan and Lausen, Improving
    recommendation lists through topic diversification, WWW 2005, averaged over pairs.
    """
    items = lists.items[:, :k]
    filled = items != PAD
    sizes = filled.sum(axis=1)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    shape = (len(items), len(background.holders))
    shown = sparse.csr_array((np.ones(ends[-1]), items[filled], ends), shape=shape)
    # A sum of unit vectors, squared, holds the cosine of every pair twice and each vector's
    # own 1, so no pair is ever looked at by itself.
    sums = sparse.csr_array(shown @ background.features)
    sums.data **= 2
    described = np.diff(background.features.indptr) > 0
    twice = sums.sum(axis=1) - (filled & described[items]).sum(axis=1)
    pairs = sizes * (sizes - 1)
    return np.where(pairs > 0, np.clip(1 - twice / np.maximum(pairs, 1), 0, 1), 0)


def novelty(lists: ShownLists, k: int, background: Background) -> Values:
    """Mean self-information in bits, ``log2(n / h)``, of the first ``k`` items.

    h of the n training sequences hold the item; one that none holds counts as held by one.

    Source: Zhou, Kuscsik, Liu, Medo, Wakeling and Zhang, Solving the apparent
    diversity-accuracy dilemma of recommender systems, PNAS 107(10), 2010.
    """
    bits = np.log2(background.n_sequences / np.maximum(background.holders, 1))
    return _mean_over_filled(bits, lists.items[:, :k])


def popularity(lists: ShownLists, k: int, background: Background) -> Values:
    """Mean share of the training sequences that hold the first ``k`` items.

    Source: average recommendation popularity, in counts by Yin, Cui, Li, Yao and Chen,
    Challenging the long tail recommendation, PVLDB 5(9), 2012, as a measure of popularity
    bias by Abdollahpouri, Burke and Mobasher, FLAIRS 2019; here as shares.
    """
    shares = background.holders / background.n_sequences
    return _mean_over_filled(shares, lists.items[:, :k])


def serendipity(lists: ShownLists, k: int) -> Values:
    """The share of the ``k`` places with a target that is not among the ``k`` most popular.

    Popular among the candidates of the same question, so the primitive recommender that
    would be no surprise is asked under the same rules. At most the precision.

    Source: Ge, Delgado-Battenfeld and Jannach, Beyond accuracy: evaluating recommender
    systems by coverage and serendipity, RecSys 2010.
    """
    surprising = lists.relevant[:, :k] & (lists.popular_places[:, :k] > k)
    return surprising.sum(axis=1) / k


def behaviour_metrics(
    lists: ShownLists, ks: Sequence[int], background: Background
) -> dict[str, Values]:
    """Every metric that has a value for each list, at every cut-off.

    A single item has no diversity, so there is no ``diversity@1``.

    Returns:
        values by printed key, one an instance.
    """
    values: dict[str, Values] = {}
    for k in ks:
        if k > 1:
            values[f"diversity@{k}"] = diversity(lists, k, background)
        values[f"novelty@{k}"] = novelty(lists, k, background)
        values[f"serendipity@{k}"] = serendipity(lists, k)
        values[f"popularity@{k}"] = popularity(lists, k, background)
    return values


def exposures(
    items: Int32[np.ndarray, "batch places"], table_size: int
) -> Int64[np.ndarray, " catalogue"]:
    """How many places each item of the catalogue fills. Counts of blocks may be added up."""
    return np.bincount(items[items != PAD], minlength=table_size)[N_SPECIALS:]


def coverage(counts: Int64[np.ndarray, " catalogue"]) -> float:
    """The share of the catalogue that was shown at all.

    Source: catalogue coverage of Herlocker, Konstan, Terveen and Riedl, Evaluating
    collaborative filtering recommender systems, TOIS 22(1), 2004.
    """
    return float(np.count_nonzero(counts) / len(counts))


def gini(counts: Int64[np.ndarray, " catalogue"]) -> float:
    """How unequally the catalogue is shown: 0 if all items alike, 1 if one item alone.

    With counts c in ascending order: the sum of ``(2 j - n - 1) c_j`` over
    ``(n - 1) sum(c)``. 0 where nothing is shown, or there is one item only.

    Source: Shani and Gunawardana, Evaluating recommendation systems, Recommender Systems
    Handbook, 2011; used for concentration by Fleder and Hosanagar, Blockbuster culture's
    next rise or fall, Management Science 55(5), 2009.
    """
    n, total = len(counts), int(counts.sum())
    if n < 2 or total == 0:
        return 0.0
    weights = 2 * np.arange(1, n + 1) - n - 1
    return int(weights @ np.sort(counts)) / ((n - 1) * total)


def _mean_over_filled(
    of_item: Float64[np.ndarray, " table"], items: Int32[np.ndarray, "batch places"]
) -> Values:
    filled = items != PAD
    return (of_item[items] * filled).sum(axis=1) / np.maximum(filled.sum(axis=1), 1)

"""Ranking metrics: pure functions, one value an instance, never reduced.

Two families, after what is asked. *Next item*: one target an instance, so its rank says
everything (``next_item_metrics``). *Continuation*: a list against a set of targets, so the
places of the hits say everything (``continuation_metrics``). A further family only needs
a function that maps what it measures to values by printed key, as these two do.

Higher is better, save for ``clicks``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

Ranks = Int64[np.ndarray, " batch"]
Values = Float64[np.ndarray, " batch"]

ARTIST_CREDIT = 0.25
"""What a place earns for the right artist with the wrong track."""
CLICK_PLACES = 10
"""Tracks that a page of recommendations shows; a click turns the page."""
CLICKS_WITHOUT_HIT = 51.0
"""One more than it takes to turn through 500 tracks."""


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


class HitPlaces(NamedTuple):
    """Ranked lists of one length, marked by what each place holds.

    Attributes:
        tracks: whether the place holds a target.
        artists: whether the place misses, but is the first miss in its list by an artist of
            the targets; None where items have no artist.
        n_targets: the number of targets, at least 1; those that no list could hold count.
    """

    tracks: Bool[np.ndarray, "batch places"]
    artists: Bool[np.ndarray, "batch places"] | None
    n_targets: Int64[np.ndarray, " batch"]


def r_precision(hits: HitPlaces) -> Values:
    """Share of hits in the first |G| places, |G| being the number of targets.

    |G| is capped at the length of the list.
    """
    size = _ideal_length(hits)
    return (hits.tracks & _first(size, hits)).sum(axis=1) / size


def r_precision_artist(hits: HitPlaces) -> Values:
    """R-precision as the Million Playlist Dataset challenge scores it.

    Over the first |G| places a target counts 1, and a miss by an artist of the targets 0.25,
    once for each artist; the sum is divided by |G|, capped at the length of the list.

    Source: Chen, Lamere, Schedl and Zamani, RecSys Challenge 2018, RecSys 2018.
    """
    if hits.artists is None:
        raise ValueError("the items have no artist")
    size = _ideal_length(hits)
    credit = hits.tracks + ARTIST_CREDIT * hits.artists
    return (credit * _first(size, hits)).sum(axis=1) / size


def ndcg_lists(hits: HitPlaces) -> Values:
    """Gain ``1 / log2(place + 1)`` of each hit, over that of min(|G|, places) hits in front.

    Source: Järvelin and Kekäläinen, TOIS 20(4), 2002.
    """
    gains = 1 / np.log2(np.arange(hits.tracks.shape[1]) + 2.0)
    return _over_ideal(hits.tracks, gains, _ideal_length(hits))


def ndcg_challenge(hits: HitPlaces) -> Values:
    """NDCG in the wording of the challenge: undiscounted first place, ideal over the hits.

    A hit at place 1 gains 1, at place i >= 2 ``1 / log2(i)``; the ideal puts the hits that
    were made in front, so it does not grow with the targets that were missed.

    Source: Chen, Lamere, Schedl and Zamani, RecSys Challenge 2018, RecSys 2018.
    """
    gains = 1 / np.log2(np.maximum(np.arange(hits.tracks.shape[1]) + 1.0, 2))
    return _over_ideal(hits.tracks, gains, hits.tracks.sum(axis=1))


def clicks(hits: HitPlaces) -> Values:
    """Pages to turn before the first hit, ten tracks a page; 51 without one. Lower is better.

    Source: Chen, Lamere, Schedl and Zamani, RecSys Challenge 2018, RecSys 2018.
    """
    pages = hits.tracks.argmax(axis=1) // CLICK_PLACES
    return np.where(hits.tracks.any(axis=1), pages, CLICKS_WITHOUT_HIT)


def continuation_metrics(hits: HitPlaces) -> dict[str, Values]:
    """Every metric of a list against a set of targets.

    The cut-off in a key is the real length of the lists. ``r_precision`` counts tracks only;
    ``r_precision_artist``, the challenge's, is there where items have an artist.

    Returns:
        values by printed key, one an instance.
    """
    places = hits.tracks.shape[1]
    values = {"r_precision": r_precision(hits)}
    if hits.artists is not None:
        values["r_precision_artist"] = r_precision_artist(hits)
    return values | {
        f"ndcg@{places}": ndcg_lists(hits),
        f"ndcg_challenge@{places}": ndcg_challenge(hits),
        "clicks": clicks(hits),
    }


def _ideal_length(hits: HitPlaces) -> Int64[np.ndarray, " batch"]:
    return np.minimum(hits.n_targets, hits.tracks.shape[1])


def _first(size: Int64[np.ndarray, " batch"], hits: HitPlaces) -> Bool[np.ndarray, "batch places"]:
    return np.arange(hits.tracks.shape[1]) < size[:, None]


def _over_ideal(
    tracks: Bool[np.ndarray, "batch places"],
    gains: Float64[np.ndarray, " places"],
    ideal_hits: Int64[np.ndarray, " batch"],
) -> Values:
    """Gains of the hits, over the gains of ``ideal_hits`` hits in front; 0 where that is 0."""
    ideal = np.concatenate([[0.0], np.cumsum(gains)])[ideal_hits]
    # Summed row by row, not as a matrix product, whose last bits depend on the batch. Gains
    # are positive, so an ideal of 0 comes with no gain at all.
    return (tracks * gains).sum(axis=1) / np.where(ideal > 0, ideal, 1)

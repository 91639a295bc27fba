"""Continuation metrics: R-precision, NDCG and clicks of a ranked list against a target set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from segue.metrics.next_item import Values

ARTIST_CREDIT = 0.25
"""Credit for an item by the artist of a target that is not itself a target."""
ITEMS_PER_PAGE = 10
"""Tracks on one page of recommendations; a click loads the next page."""
CLICKS_WITHOUT_HIT = 51.0
"""Clicks counted for a list without a hit: one more than the pages of 500 tracks."""


class ListHits(NamedTuple):
    """The hits in ranked lists of equal length.

    Attributes:
        is_target: whether the item at a position is a target.
        is_artist_match: whether the item at a position is not a target, but is the first such
            item of its list by the artist of a target; None if items have no artist.
        n_targets: number of targets of each list, at least 1; targets outside the catalogue
            count.
    """

    is_target: Bool[np.ndarray, "batch length"]
    is_artist_match: Bool[np.ndarray, "batch length"] | None
    n_targets: Int64[np.ndarray, " batch"]


def r_precision(hits: ListHits) -> Values:
    """The share of targets among the first |G| items, where |G| is the number of targets.

    |G| is capped at the length of the list.
    """
    size = _capped_n_targets(hits)
    return (hits.is_target & _among_first(size, hits)).sum(axis=1) / size


def r_precision_artist(hits: ListHits) -> Values:
    """R-precision with credit for artists, as in the Million Playlist Dataset challenge.

    Among the first |G| items a target counts 1. An item by the artist of a target that is not
    itself a target counts 0.25, once per artist. The sum is divided by |G|, which is capped at
    the length of the list.

    Source: Chen, Lamere, Schedl and Zamani, RecSys Challenge 2018, RecSys 2018.
    """
    if hits.is_artist_match is None:
        raise ValueError("the items have no artist")
    size = _capped_n_targets(hits)
    credit = hits.is_target + ARTIST_CREDIT * hits.is_artist_match
    return (credit * _among_first(size, hits)).sum(axis=1) / size


def ndcg_lists(hits: ListHits) -> Values:
    """NDCG of each list: the gain of a hit at rank i is ``1 / log2(i + 1)``.

    The ideal list has min(|G|, length) hits at the top, where |G| is the number of targets.

    Source: Järvelin and Kekäläinen, TOIS 20(4), 2002.
    """
    gains = 1 / np.log2(np.arange(hits.is_target.shape[1]) + 2.0)
    return _relative_to_ideal(hits.is_target, gains, _capped_n_targets(hits))


def ndcg_challenge(hits: ListHits) -> Values:
    """NDCG as defined by the Million Playlist Dataset challenge.

    A hit at rank 1 gains 1, a hit at rank i >= 2 gains ``1 / log2(i)``. The ideal list has the
    hits of this list at the top, so targets that are not in the list do not raise the ideal.

    Source: Chen, Lamere, Schedl and Zamani, RecSys Challenge 2018, RecSys 2018.
    """
    gains = 1 / np.log2(np.maximum(np.arange(hits.is_target.shape[1]) + 1.0, 2))
    return _relative_to_ideal(hits.is_target, gains, hits.is_target.sum(axis=1))


def clicks(hits: ListHits) -> Values:
    """Pages of ten items before the page of the first hit; 51 without a hit. Lower is better.

    Source: Chen, Lamere, Schedl and Zamani, RecSys Challenge 2018, RecSys 2018.
    """
    pages = hits.is_target.argmax(axis=1) // ITEMS_PER_PAGE
    return np.where(hits.is_target.any(axis=1), pages, CLICKS_WITHOUT_HIT)


def continuation_metrics(hits: ListHits) -> dict[str, Values]:
    """Compute every metric of a ranked list against a set of targets.

    The cut-off in a key is the actual length of the lists. ``r_precision`` ignores artists;
    ``r_precision_artist``, the challenge's metric, is present only if items have an artist.

    Returns:
        By printed key, one value per instance.
    """
    length = hits.is_target.shape[1]
    values = {"r_precision": r_precision(hits)}
    if hits.is_artist_match is not None:
        values["r_precision_artist"] = r_precision_artist(hits)
    return values | {
        f"ndcg@{length}": ndcg_lists(hits),
        f"ndcg_challenge@{length}": ndcg_challenge(hits),
        "clicks": clicks(hits),
    }


def _capped_n_targets(hits: ListHits) -> Int64[np.ndarray, " batch"]:
    return np.minimum(hits.n_targets, hits.is_target.shape[1])


def _among_first(
    size: Int64[np.ndarray, " batch"], hits: ListHits
) -> Bool[np.ndarray, "batch length"]:
    return np.arange(hits.is_target.shape[1]) < size[:, None]


def _relative_to_ideal(
    is_target: Bool[np.ndarray, "batch length"],
    gains: Float64[np.ndarray, " length"],
    n_ideal_hits: Int64[np.ndarray, " batch"],
) -> Values:
    """DCG divided by the DCG of a list with ``n_ideal_hits`` hits at the top; 0 if that is 0."""
    ideal = np.concatenate([[0.0], np.cumsum(gains)])[n_ideal_hits]
    # Summed row by row: the last bits of a matrix product depend on the batch. Gains are
    # positive, so the gain is 0 wherever the ideal is 0.
    return (is_target * gains).sum(axis=1) / np.where(ideal > 0, ideal, 1)

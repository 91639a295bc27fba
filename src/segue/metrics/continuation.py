"""Continuation: a list against a set of targets, so the places of the hits say everything."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from segue.metrics.next_item import Values

ARTIST_CREDIT = 0.25
"""What a place earns for the right artist with the wrong track."""
CLICK_PLACES = 10
"""Tracks that a page of recommendations shows; a click turns the page."""
CLICKS_WITHOUT_HIT = 51.0
"""One more than it takes to turn through 500 tracks."""


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

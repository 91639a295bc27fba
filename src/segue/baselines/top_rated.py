"""What is rated highest, among what is rated most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from segue.baselines.events import count_items, fitting_events
from segue.baselines.popularity import below_one
from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.ranking import Queries, ScoringRanker

WELL_KNOWN = 0.95
"""The quantile of the items' numbers of ratings from which on a mean is trusted."""


class Ratings(NamedTuple):
    """What the fitting events say of each item: how many ratings, and their sum."""

    counts: Int64[np.ndarray, " table"]
    sums: Float64[np.ndarray, " table"]


class TopRated(ScoringRanker):
    """Scores the most rated twentieth of the items by mean rating, and the rest, below it, by
    popularity. A sequence's history decides nothing but what is excluded.

    Source: the baseline of the blog post "Transformers for Recommender Systems - Part 1", which
    never leaves the first group: what has at least as many ratings as the .95 quantile.
    """

    name = "top-rated"

    def __init__(self, item_scores: Float64[np.ndarray, " table"], *, refit: bool = False) -> None:
        self.refit = refit
        self.table_size = len(item_scores)
        self._item_scores = item_scores

    @classmethod
    def fit(cls, dataset: Dataset, refit: bool = False) -> TopRated:
        """Average the ratings of the fitting events.

        Raises:
            DatasetError: no fitting event has a rating.
        """
        ratings = count_ratings(dataset, refit)
        rated = ratings.counts > 0
        if not rated.any():
            raise DatasetError(
                "top-rated needs ratings, but no training event has one",
                "leave it out, or prepare the dataset with a rating column",
            )
        head = ratings.counts >= max(1, np.quantile(ratings.counts[rated], WELL_KNOWN))
        means = ratings.sums[head] / ratings.counts[head]
        scores = below_one(count_items(dataset, refit)).astype(np.float64)
        scores[head] = 1 + means - means.min()  # above all others, whatever the scale
        return cls(scores, refit=refit)

    def scores(self, queries: Queries) -> Float64[np.ndarray, "batch table"]:
        return np.tile(self._item_scores, (len(queries), 1))


def count_ratings(dataset: Dataset, refit: bool = False) -> Ratings:
    """The ratings of the events that may be learnt; events without one count nowhere."""
    counts = np.zeros(dataset.table_size, np.int64)
    sums = np.zeros(dataset.table_size)
    for events in fitting_events(dataset, refit):
        if events.ratings is not None:
            given = events.learnable & ~np.isnan(events.ratings)
            items = events.items[given]
            counts += np.bincount(items, minlength=len(counts))
            sums += np.bincount(items, events.ratings[given], len(sums))
    return Ratings(counts, sums)

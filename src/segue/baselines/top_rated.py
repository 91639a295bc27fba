"""Top-rated baseline: items with the highest mean rating among those with the most ratings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events, readable_event_blocks
from segue.errors import DatasetError
from segue.ranking import Query, ScoringRanker
from segue.tokens import N_SPECIALS

HEAD_QUANTILE = 0.95
"""Items whose number of ratings is at or above this quantile are ranked by mean rating."""


class Ratings(NamedTuple):
    """Number and sum of the ratings of each item."""

    counts: Int64[np.ndarray, " vocabulary"]
    sums: Float64[np.ndarray, " vocabulary"]


class TopRated(ScoringRanker):
    """Ranks the items with the most ratings by mean rating, then all others by popularity.

    The first group consists of the items whose number of ratings reaches the 0.95 quantile. The
    ranking is the same for every history.

    Source: the baseline of the blog post "Transformers for Recommender Systems - Part 1", which
    recommends items of the first group only.
    """

    name = "top-rated"

    def __init__(
        self, item_scores: Float64[np.ndarray, " vocabulary"], *, fit_on_validation: bool = False
    ) -> None:
        self.fit_on_validation = fit_on_validation
        self.vocabulary_size = len(item_scores)
        self._item_scores = item_scores

    @classmethod
    def fit(cls, dataset: Dataset, fit_on_validation: bool = False) -> TopRated:
        """Average the ratings of the training events per item.

        Raises:
            DatasetError: no training event has a rating.
        """
        ratings = count_ratings(dataset, fit_on_validation)
        has_ratings = ratings.counts > 0
        if not has_ratings.any():
            raise DatasetError(
                "top-rated needs ratings, but no training event has one",
                "leave it out, or prepare the dataset with a rating column",
            )
        head = ratings.counts >= max(1, np.quantile(ratings.counts[has_ratings], HEAD_QUANTILE))
        means = ratings.sums[head] / ratings.counts[head]
        counts = count_training_events(dataset, fit_on_validation)
        scores = counts / (counts.max() + 1)
        scores[:N_SPECIALS] = 0
        scores[head] = 1 + means - means.min()  # above all others, for any rating scale
        return cls(scores, fit_on_validation=fit_on_validation)

    def scores(self, query: Query) -> Float64[np.ndarray, "batch vocabulary"]:
        return np.tile(self._item_scores, (len(query), 1))


def count_ratings(dataset: Dataset, fit_on_validation: bool = False) -> Ratings:
    """Number and sum of the ratings per item; training events without a rating are skipped."""
    counts = np.zeros(dataset.vocabulary_size, np.int64)
    sums = np.zeros(dataset.vocabulary_size)
    for events in readable_event_blocks(dataset, fit_on_validation):
        if events.ratings is not None:
            is_rated = events.is_training & ~np.isnan(events.ratings)
            items = events.items[is_rated]
            counts += np.bincount(items, minlength=len(counts))
            sums += np.bincount(items, events.ratings[is_rated], len(sums))
    return Ratings(counts, sums)

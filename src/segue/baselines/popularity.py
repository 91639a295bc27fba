"""The same list for everyone: what is popular, ever or of late."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from segue.axes import N_SPECIALS
from segue.baselines.events import count_items, fitting_events
from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.ranking import Queries, ScoringRanker

RECENT_SHARE = 0.1
"""``recent-popularity`` counts the latest tenth of the events. A share of the events and not
of the calendar, so that it holds enough of them whatever the log's pace."""

_SAMPLED_TIMES = 1_000_000


class Popularity(ScoringRanker):
    """Scores an item by how often it was met. A sequence's history decides nothing but what
    is excluded.

    Source: "most popular" of Cremonesi, Koren and Turrin, Performance of recommender
    algorithms on top-N recommendation tasks, RecSys 2010; "RecentPop" of Ji, Sun, Zhang
    and Li, A re-visit of the popularity baseline in recommender systems, SIGIR 2020.
    """

    def __init__(
        self, name: str, item_scores: Float32[np.ndarray, " table"], *, refit: bool = False
    ) -> None:
        self.name = name
        self.refit = refit
        self.table_size = len(item_scores)
        self._item_scores = item_scores

    @classmethod
    def fit(cls, dataset: Dataset, refit: bool = False) -> Popularity:
        """Count all fitting events."""
        counts = count_items(dataset, refit)
        return cls("popularity", counts.astype(np.float32), refit=refit)

    @classmethod
    def fit_recent(cls, dataset: Dataset, refit: bool = False) -> Popularity:
        """Count the latest tenth of the fitting events; ties by the count of all.

        Raises:
            DatasetError: the log has no times.
        """
        since = _recent_since(dataset, refit)
        recent = np.zeros(dataset.table_size, np.int64)
        for events in fitting_events(dataset, refit):
            assert events.times is not None
            late = events.learnable & (events.times >= since)
            recent += np.bincount(events.items[late], minlength=len(recent))
        scores = recent + below_one(count_items(dataset, refit))
        return cls("recent-popularity", scores.astype(np.float32), refit=refit)

    def scores(self, queries: Queries) -> Float32[np.ndarray, "batch table"]:
        return np.tile(self._item_scores, (len(queries), 1))


def below_one(counts: Int64[np.ndarray, " table"]) -> Float32[np.ndarray, " table"]:
    """Counts scaled into [0, 1), to decide between items that tie by a greater measure.

    Special tokens are 0.
    """
    scaled = (counts / (counts.max() + 1)).astype(np.float32)
    scaled[:N_SPECIALS] = 0
    return scaled


def _recent_since(dataset: Dataset, refit: bool) -> int:
    """The time, in microseconds since 1970, from which on an event is recent."""
    times = dataset.sequences.times
    if times is None:
        raise DatasetError(
            "recent-popularity needs times, but the log has none",
            "leave it out, or prepare the dataset with a time column",
        )
    # The quantile of a large log comes from an even sample of it: a million events place it
    # within a thousandth, and memory stays bounded.
    step = max(1, len(times) // _SAMPLED_TIMES)
    samples = [
        events.times[::step]
        for events in fitting_events(dataset, refit)
        if events.times is not None
    ]
    every = np.sort(np.concatenate(samples))
    if not len(every):
        return 0
    return int(every[int((1 - RECENT_SHARE) * len(every))])

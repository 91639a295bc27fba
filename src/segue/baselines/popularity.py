"""Popularity baselines: item counts over all events, or over the most recent tenth."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from segue.baselines.tie_breaking import break_ties, tie_breakers
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events, readable_event_blocks
from segue.errors import DatasetError
from segue.ranking import Query, ScoringRanker

RECENT_SHARE = 0.1
"""Share of the events, the latest ones, that ``recent-popularity`` counts. A share of the events
instead of a period of time, so that there are enough of them in a log of any rate."""

MAX_EXACT_FLOAT32 = 1 << 24
"""Below it, float32 holds every integer."""

_SAMPLED_TIMES = 1_000_000
"""Number of times from which the start of the recent events is estimated."""


class Popularity(ScoringRanker):
    """Scores items by their count in the training events, the same for every history.

    Source: "most popular" of Cremonesi, Koren and Turrin, Performance of recommender
    algorithms on top-N recommendation tasks, RecSys 2010; "RecentPop" of Ji, Sun, Zhang
    and Li, A re-visit of the popularity baseline in recommender systems, SIGIR 2020.
    """

    def __init__(
        self,
        name: str,
        item_scores: Float[np.ndarray, " vocabulary"],
        *,
        fit_on_validation: bool = False,
    ) -> None:
        self.name = name
        self.fit_on_validation = fit_on_validation
        self.vocabulary_size = len(item_scores)
        self._item_scores = item_scores

    @classmethod
    def fit(cls, dataset: Dataset, fit_on_validation: bool = False) -> Popularity:
        """Count all training events."""
        counts = count_training_events(dataset, fit_on_validation)
        dtype = np.float32 if counts.max() < MAX_EXACT_FLOAT32 else np.float64
        return cls("popularity", counts.astype(dtype), fit_on_validation=fit_on_validation)

    @classmethod
    def fit_recent(cls, dataset: Dataset, fit_on_validation: bool = False) -> Popularity:
        """Count the latest tenth of the training events; ties are ordered by the total count.

        Raises:
            DatasetError: the log has no times.
        """
        start = _start_of_recent_events(dataset, fit_on_validation)
        recent_counts = np.zeros(dataset.vocabulary_size, np.int64)
        for events in readable_event_blocks(dataset, fit_on_validation):
            assert events.times is not None
            is_recent = events.is_training & (events.times >= start)
            recent_counts += np.bincount(events.items[is_recent], minlength=len(recent_counts))
        all_counts = count_training_events(dataset, fit_on_validation)
        scores = break_ties(recent_counts, tie_breakers(all_counts))
        return cls("recent-popularity", scores, fit_on_validation=fit_on_validation)

    def scores(self, query: Query) -> Float[np.ndarray, "batch vocabulary"]:
        return np.tile(self._item_scores, (len(query), 1))


def _start_of_recent_events(dataset: Dataset, fit_on_validation: bool) -> int:
    """Time of the first recent event, in microseconds since 1970."""
    times = dataset.sequences.times
    if times is None:
        raise DatasetError(
            "recent-popularity needs times, but the log has none",
            "leave it out, or prepare the dataset with a time column",
        )
    # For a large log the quantile is estimated from every n-th event, in bounded memory: a
    # million of them determine it to within a thousandth.
    step = max(1, len(times) // _SAMPLED_TIMES)
    samples = [
        events.times[::step]
        for events in readable_event_blocks(dataset, fit_on_validation)
        if events.times is not None
    ]
    sorted_times = np.sort(np.concatenate(samples))
    if not len(sorted_times):
        return 0
    return int(sorted_times[int((1 - RECENT_SHARE) * len(sorted_times))])

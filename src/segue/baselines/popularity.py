"""Popularity baselines: item counts over all events, or over the most recent tenth."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from jaxtyping import Float, Int64
from pydantic import Field

from segue.baselines.parameters import Parameters, Positive
from segue.baselines.tie_breaking import break_ties, tie_breakers
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events, readable_event_blocks
from segue.errors import DatasetError
from segue.ranking import Query, ScoringRanker

MAX_EXACT_FLOAT32 = 1 << 24
"""Below it, float32 holds every integer."""

_SAMPLED_TIMES = 1_000_000
"""Number of times from which their quantiles are estimated."""


class RecentPopularityParameters(Parameters):
    """The parameters of ``recent-popularity``, as shares of the training events.

    Shares instead of periods of time, so that there are enough events in a log of any rate.
    """

    share: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.1
    """Share of the events that count, the latest ones."""
    half_life: Positive | None = None
    """An event counts half as much as one that is later by this share of the events; None for
    equal counts."""


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
    def fit_recent(
        cls,
        dataset: Dataset,
        fit_on_validation: bool = False,
        parameters: RecentPopularityParameters | None = None,
    ) -> Popularity:
        """Count the latest training events; ties are ordered by the total count.

        Raises:
            DatasetError: the log has no times.
        """
        parameters = parameters or RecentPopularityParameters()
        sorted_times = _sampled_times(dataset, fit_on_validation)
        start = sorted_times[int((1 - parameters.share) * len(sorted_times))]
        recent_counts = np.zeros(dataset.vocabulary_size)
        for events in readable_event_blocks(dataset, fit_on_validation):
            assert events.times is not None
            is_recent = events.is_training & (events.times >= start)
            weights = None
            if parameters.half_life is not None:
                ranks = np.searchsorted(sorted_times, events.times[is_recent], side="right")
                share_later = 1 - ranks / len(sorted_times)
                weights = 0.5 ** (share_later / parameters.half_life)
            items = events.items[is_recent]
            recent_counts += np.bincount(items, weights, len(recent_counts))
        all_counts = count_training_events(dataset, fit_on_validation)
        scores = break_ties(recent_counts, tie_breakers(all_counts))
        return cls("recent-popularity", scores, fit_on_validation=fit_on_validation)

    def scores(self, query: Query) -> Float[np.ndarray, "batch vocabulary"]:
        return np.tile(self._item_scores, (len(query), 1))


def _sampled_times(dataset: Dataset, fit_on_validation: bool) -> Int64[np.ndarray, " times"]:
    """Times of training events in ascending order, in microseconds since 1970; never empty."""
    times = dataset.sequences.times
    if times is None:
        raise DatasetError(
            "recent-popularity needs times, but the log has none",
            "leave it out, or prepare the dataset with a time column",
        )
    # For a large log the quantiles are estimated from every n-th event, in bounded memory: a
    # million of them determine it to within a thousandth.
    step = max(1, len(times) // _SAMPLED_TIMES)
    samples = [
        events.times[::step]
        for events in readable_event_blocks(dataset, fit_on_validation)
        if events.times is not None
    ]
    sorted_times = np.sort(np.concatenate(samples))
    return sorted_times if len(sorted_times) else np.zeros(1, np.int64)

"""Next-item probabilities: the softmax of an ensemble's scores at a temperature."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from segue.ranking import Query, Ranked
from segue.recommender import search
from segue.recommender.ensemble import Ensemble
from segue.tokens import PAD

NOT_CALIBRATED = (
    "the probabilities are not calibrated: this run has no temperature for its scores "
    "(train with an ensemble and validation events to fit it)"
)
"""Note of an answer whose probabilities are at the temperature 1."""


class Observed(NamedTuple):
    """Scores and normalisers of some requests.

    Attributes:
        scores: the score of each item asked for.
        log_sums: per request and temperature, the log of the sum of exp(score / temperature) over
            all candidates.
    """

    scores: Float32[np.ndarray, "batch k"]
    log_sums: Float32[np.ndarray, "batch temperatures"]


def observe(
    ensemble: Ensemble,
    query: Query,
    items: Int32[np.ndarray, "batch k"],
    temperatures: Float32[np.ndarray, " temperatures"],
) -> Observed:
    """Scores and normalisers of requests, whatever else they exclude or prefer.

    Candidates are the items that may be recommended, without the seen ones, which get no bonus
    from the count-based members. Exclusions, filters and preferences of a request are those of the
    list and not of what comes next, so they have no influence.

    Args:
        items: item indices to score.
        temperatures: above 0.
    """
    plain = Query(
        query.histories,
        query.seen,
        query.rows,
        times=query.times,
        sequence_features=query.sequence_features,
    )
    scores = np.zeros(items.shape, np.float32)
    log_sums = np.zeros((len(query), len(temperatures)), np.float32)
    for block, block_query in plain.blocks(ensemble.rows_per_block()):
        encoded = ensemble.encode(block_query)
        rows = np.repeat(np.arange(len(block_query)), items.shape[1])
        flat = search.scores_of(encoded, ensemble.vectors, rows, items[block].ravel())
        scores[block] = flat.reshape(-1, items.shape[1])
        by_temperature = search.log_sums(encoded, ensemble.vectors, encoded.masks, temperatures)
        log_sums[block] = by_temperature.T
    return Observed(scores, log_sums)


def next_item_probabilities(
    ensemble: Ensemble, query: Query, ranked: Ranked, temperature: float | None
) -> Float32[np.ndarray, "batch k"]:
    """The probability that each listed item is the next one; 0 for missing entries.

    Over all candidates that were not seen they add up to 1.

    Args:
        ranked: lists of items.
        temperature: of the softmax, above 0; None for 1.
    """
    temperature = 1.0 if temperature is None else temperature
    scores, log_sums = observe(ensemble, query, ranked.items, np.array([temperature], np.float32))
    return np.where(ranked.items == PAD, 0, np.exp(scores / np.float32(temperature) - log_sums))

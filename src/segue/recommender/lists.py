"""From requests to lists of item indices: the step that single calls and batches share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from segue.ranking import Ranked
from segue.recommender.ensemble import Ensemble
from segue.recommender.probabilities import next_item_probabilities
from segue.recommender.requests import Request, query_of


class Lists(NamedTuple):
    """The lists of some requests, and the probability of each item if it was requested."""

    ranked: Ranked
    probabilities: Float32[np.ndarray, "batch k"] | None = None


def best_items(
    ensemble: Ensemble,
    requests: Sequence[Request],
    k: int,
    *,
    include_seen: bool,
    probabilities: bool,
    temperature: float | None,
) -> Lists:
    """The ``k`` best next items of each request, under all of its controls.

    Args:
        ensemble: the model.
        requests: the requests.
        k: number of items.
        include_seen: whether items of a history may be listed.
        probabilities: whether to compute the probability of each item.
        temperature: of the probabilities; None for 1.
    """
    query = query_of(requests, k, include_seen=include_seen)
    ranked = ensemble.top(query)
    if not probabilities:
        return Lists(ranked)
    return Lists(ranked, next_item_probabilities(ensemble, query, ranked, temperature))

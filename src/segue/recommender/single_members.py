"""The members of an ensemble one by one, to evaluate what each of them contributes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from segue.recommender.ensemble import Ensemble
from segue.recommender.members import ItemBias, SparseMember

TIE_BREAKER = 1e-6
"""Largest score, in nats, by which popularity orders the items that a sparse member does not score.
It is below every bonus that matters."""


def single_members(
    ensemble: Ensemble, counts: Int64[np.ndarray, " vocabulary"]
) -> dict[str, Ensemble]:
    """Each member of an ensemble alone, by name, the transformer first.

    Items that a sparse member does not score are ordered by popularity.

    Args:
        ensemble: the ensemble.
        counts: training count by item index.
    """
    popularity = ItemBias.of_popularity(counts, TIE_BREAKER / np.log1p(float(counts.max())))
    alone = {ensemble.encoder.name: ensemble.encoder_alone()}
    for member in ensemble.members:
        if isinstance(member, SparseMember):
            # The order does not depend on weight and scale; with these, float32 keeps it.
            sparse = [replace(member, weight=1.0, scale=TIE_BREAKER)]
            dense = [popularity]
        else:
            sparse, dense = [], [member]
        alone[member.name] = Ensemble(
            ensemble.encoder, dense, sparse, ensemble.is_candidate, encoder_weight=0.0
        )
    return alone

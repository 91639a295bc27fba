"""Which members of an ensemble speak for an item: its rank by each of them alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int32

from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender.ensemble import Ensemble
from segue.recommender.second_transformer import SecondTransformer


def member_ranks(
    members: Mapping[str, Ensemble], query: Query, items: Int32[np.ndarray, " items"]
) -> dict[str, list[int]]:
    """The rank of some items by each member alone, for one request without its controls.

    A member that reads the user, and does not know the one of the request, is left out.

    Args:
        members: each member as an ensemble of its own, by name.
        query: one request.
        items: the item indices to rank.
    """
    features = query.sequence_features
    repeated = Query(
        histories=Ragged.from_rows([query.histories.row(0)] * len(items)),
        seen=Ragged.from_rows([query.seen.row(0)] * len(items)),
        rows=np.repeat(query.rows, len(items)),
        sequence_features=None if features is None else [features[0]] * len(items),
    )
    return {
        name: member.ranks(repeated, items).tolist()
        for name, member in members.items()
        if not _is_silent(member, query)
    }


def _is_silent(member: Ensemble, query: Query) -> bool:
    return any(
        isinstance(part, SecondTransformer) and part.needs_user and not part.knows(query).any()
        for part in member.dense
    )

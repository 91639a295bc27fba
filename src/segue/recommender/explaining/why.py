"""Reasons for recommended items from the contributions of events, and in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32

from segue.baselines.item_item import ItemItemRanker
from segue.recommender.explaining.reasons import Reason, Why
from segue.recommender.members import SparseMember
from segue.tokens import N_SPECIALS

N_REASONS = 3
"""Largest number of reasons of a recommendation."""
NEXT_ITEM_MEMBERS = ("co-occurrence", "last-item", "tale")
"""Members whose weight from one item to another is that of the other one coming later."""
N_FOLLOWERS = 20
"""An item often follows another one if it has one of this many largest weights from it."""


def why(
    title: str,
    item: int,
    contributions: Float32[np.ndarray, " events"],
    history: Int32[np.ndarray, " events"],
    event_ids: list[str],
    event_titles: list[str],
    members: Sequence[SparseMember],
) -> Why:
    """The reasons for one item.

    Args:
        title: the title of the item.
        item: its item index.
        contributions: those of the events to its score.
        history: item indices of the events, oldest first.
        event_ids: their ids.
        event_titles: their titles.
        members: the sparse members of the ensemble.
    """
    # Of equal contributions, the latest event comes first.
    strongest = len(history) - 1 - np.argsort(-contributions[::-1], kind="stable")[:N_REASONS]
    reasons = [
        Reason(
            event_ids[position],
            event_titles[position],
            position,
            float(contributions[position]),
            often_follows(members, int(history[position]), item),
        )
        for position in map(int, strongest)
        if contributions[position] > 0
    ]
    return Why(_in_words(title, reasons), reasons)


def _in_words(title: str, reasons: list[Reason]) -> str:
    if not reasons:
        return "not because of any event of the history"
    reason = reasons[0]
    follows = f", after which {title} often follows" if reason.often_follows else ""
    return f"because of {reason.title}{follows}"


def often_follows(members: Sequence[SparseMember], source: int, item: int) -> bool:
    """Whether an item often follows another one, by the weights of a count-based member.

    Args:
        members: the sparse members of the ensemble.
        source: index of the earlier item.
        item: index of the later item.
    """
    for member in members:
        ranker = member.ranker
        if not isinstance(ranker, ItemItemRanker) or member.name not in NEXT_ITEM_MEMBERS:
            continue
        if not N_SPECIALS <= source < ranker.vocabulary_size:
            continue
        row = slice(*ranker.pairs.indptr[[source, source + 1]])
        weights = ranker.pairs.data[row]
        weight = weights[ranker.pairs.indices[row] == item].sum()
        if weight > 0 and np.count_nonzero(weights > weight) < N_FOLLOWERS:
            return True
    return False

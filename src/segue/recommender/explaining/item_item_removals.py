"""The bonus of an item-item member for a history without each of its events, from running sums.

The score of an item is a sum over the events of the history, each with a weight by its age. Without
an event, later events keep their age and earlier ones are younger by one. So all shortened
histories follow from two running sums over the events: one with the ages as they are, and one with
the ages less one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64
from scipy import sparse

from segue.baselines.item_item import HistoryWeights, ItemItemRanker
from segue.recommender.members import SparseMember
from segue.tokens import N_SPECIALS

SCORES_PER_BLOCK = 1 << 20
"""Scores of events and items that are summed at a time: 8 MiB of float64."""


def item_item_contributions(
    member: SparseMember,
    history: Int32[np.ndarray, " events"],
    seen: Int32[np.ndarray, " seen"],
    items: Int32[np.ndarray, " items"],
) -> Float32[np.ndarray, "items events"]:
    """For each item, its bonus minus its bonus for the history without each event.

    Args:
        member: a member whose ranker is an ``ItemItemRanker``.
        history: the events, oldest first.
        seen: the items that are left out of the shares, and get no bonus.
        items: the items.
    """
    assert isinstance(member.ranker, ItemItemRanker)
    counted = _counted(history, member.ranker.history_weights, member.ranker.vocabulary_size)
    results = np.zeros((len(items), len(history)), np.float32)
    if not len(counted.positions):
        return results
    scores, sums = _scores_without(member.ranker, counted, history, seen, items)
    shares = scores / np.maximum(sums, np.finfo(np.float64).tiny)[:, None]
    bonuses = member.weight * np.log1p(shares / member.scale)
    results[:, counted.positions] = (bonuses[0] - bonuses[1:]).T
    return results


class _Counted(NamedTuple):
    """The events of a history that have a weight, oldest first, and what each would leave.

    Attributes:
        positions: their positions in the history.
        weights: their weights.
        weights_if_younger: their weights if a later event was not there.
        n_before_restored: the number of counted events before the one that counts instead if this
            one is removed: the earlier event of the same item, where each item counts once.
        restored_weights: the weight of that earlier event; 0 without one.
    """

    positions: Int64[np.ndarray, " counted"]
    weights: Float64[np.ndarray, " counted"]
    weights_if_younger: Float64[np.ndarray, " counted"]
    n_before_restored: Int64[np.ndarray, " counted"]
    restored_weights: Float64[np.ndarray, " counted"]


def _counted(
    history: Int32[np.ndarray, " events"], weights: HistoryWeights, vocabulary_size: int
) -> _Counted:
    is_inside = (history >= N_SPECIALS) & (history < vocabulary_size)
    positions = np.flatnonzero(is_inside)
    if weights.distinct:
        positions, earlier = _latest_and_earlier(history, positions)
        is_repeated = earlier >= 0
        n_before = np.searchsorted(positions, earlier) * is_repeated
    else:
        is_repeated = np.zeros(len(positions), bool)
        n_before = np.zeros(len(positions), np.int64)
    n = len(positions)
    ages = np.arange(n, 0, -1)
    # The latest event is never the earlier one, so its age of 0 is raised to one that is valid.
    younger = weights.of_ages(np.maximum(ages - 1, 1))
    restored = weights.of_ages(np.maximum(n - n_before, 1)) * is_repeated
    return _Counted(positions, weights.of_ages(ages), younger, n_before, restored)


def _latest_and_earlier(
    history: Int32[np.ndarray, " events"], positions: Int64[np.ndarray, " inside"]
) -> tuple[Int64[np.ndarray, " latest"], Int64[np.ndarray, " latest"]]:
    """The latest event of each item, by position, and the one before of the same item or -1."""
    by_item = positions[np.argsort(history[positions], kind="stable")]
    is_first = np.diff(history[by_item], prepend=-1) != 0
    is_latest = np.diff(history[by_item], append=-1) != 0
    earlier = np.where(is_first, -1, np.roll(by_item, 1))
    latest, earlier = by_item[is_latest], earlier[is_latest]
    order = np.argsort(latest)
    return latest[order], earlier[order]


def _scores_without(
    ranker: ItemItemRanker,
    counted: _Counted,
    history: Int32[np.ndarray, " events"],
    seen: Int32[np.ndarray, " seen"],
    items: Int32[np.ndarray, " items"],
) -> tuple[Float64[np.ndarray, "rows items"], Float64[np.ndarray, " rows"]]:
    """The scores of the items, and the sums of all scores: with all events, then without each.

    Negative scores, and those of seen items, count as 0.
    """
    sources = history[counted.positions]
    rows = sparse.csr_matrix(ranker.pairs[sources], dtype=np.float64)
    if ranker.divisors is not None:
        rows = sparse.csr_matrix(sparse.diags(1 / ranker.divisors[sources]) @ rows)
    is_scored = np.zeros(ranker.vocabulary_size, bool)
    is_scored[rows.indices] = True
    is_scored[:N_SPECIALS] = False
    is_scored[seen[seen < ranker.vocabulary_size]] = False
    columns = np.flatnonzero(is_scored)
    rows = sparse.csc_matrix(rows)[:, columns]
    n = len(sources)
    sums, scores = np.zeros(1 + n), np.zeros((1 + n, len(items)))
    in_columns = np.searchsorted(columns, items)
    is_listed = np.append(columns, -1)[in_columns] == items
    width = max(1, SCORES_PER_BLOCK // n)
    for start in range(0, len(columns), width):
        block = _positive_sums(rows[:, start : start + width].toarray(), counted)
        sums += block.sum(axis=1)
        is_here = is_listed & (in_columns >= start) & (in_columns < start + width)
        scores[:, is_here] = block[:, in_columns[is_here] - start]
    return scores, sums


def _positive_sums(
    votes: Float64[np.ndarray, "events columns"], counted: _Counted
) -> Float64[np.ndarray, "rows columns"]:
    """The weighted sums of ``votes`` over all events, then without each; 0 where negative."""
    as_they_are = _running_sums(votes, counted.weights)
    younger = _running_sums(votes, counted.weights_if_younger)
    n_before = counted.n_before_restored
    later = as_they_are[-1] - as_they_are[1:]
    earlier = as_they_are[n_before] + younger[:-1] - younger[n_before]
    restored = counted.restored_weights[:, None] * votes
    sums = np.concatenate([as_they_are[-1:], earlier + restored + later])
    return np.maximum(sums, 0, out=sums)


def _running_sums(
    votes: Float64[np.ndarray, "events columns"], weights: Float64[np.ndarray, " events"]
) -> Float64[np.ndarray, "bounds columns"]:
    """The weighted sums of the first 0, 1, 2, ... events."""
    sums = np.zeros((1 + len(votes), votes.shape[1]))
    np.multiply(weights[:, None], votes, out=sums[1:])
    return np.cumsum(sums, axis=0, out=sums)

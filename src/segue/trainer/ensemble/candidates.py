"""The scores of all members for the best items of each member, on the fitting requests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32
from scipy import sparse

from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Ensemble, SparseMember
from segue.recommender.members import DenseMember
from segue.tokens import INDEX_DTYPE, PAD
from segue.trainer.ensemble.requests import FittingRequests
from segue.trainer.ensemble.weights import Candidates


class NBest(NamedTuple):
    """Numbers of best items of a request that become candidates.

    Attributes:
        of_transformer: of the transformer.
        of_member: of each member.
    """

    of_transformer: int
    of_member: int


NEXT_ITEM = NBest(100, 50)
"""An item that is among the ten best of a mixture is almost always among these of a member."""
CONTINUATION = NBest(200, 200)
"""Lists of hundreds of items are judged by all of their targets, most of which are further down."""
REQUESTS_PER_BLOCK = 256


def score_candidates(
    transformer: Ensemble,
    members: Sequence[DenseMember | SparseMember],
    requests: FittingRequests,
    n_best: NBest = NEXT_ITEM,
) -> Candidates:
    """Scores of the transformer, then of each member with the weight 1.

    Args:
        transformer: the transformer alone.
        members: the members, in the item indices of the transformer.
        requests: the requests; the target of each is always a candidate.
        n_best: how many best items of the transformer and of each member are candidates.
    """
    blocks = []
    for block, query in requests.query.blocks(REQUESTS_PER_BLOCK):
        blocks.append(_score_block(transformer, members, query, requests.targets[block], n_best))
    width = max(block.is_item.shape[1] for block in blocks)
    padded = [
        (
            np.pad(block.scores, ((0, 0), (0, 0), (0, width - block.is_item.shape[1]))),
            np.pad(block.is_item, ((0, 0), (0, width - block.is_item.shape[1]))),
        )
        for block in blocks
    ]
    return Candidates(
        np.concatenate([scores for scores, _ in padded], axis=1),
        np.concatenate([is_item for _, is_item in padded]),
        np.concatenate([block.target for block in blocks]),
        np.concatenate([block.is_reached for block in blocks]),
        requests.query.rows,
    )


def _score_block(
    transformer: Ensemble,
    members: Sequence[DenseMember | SparseMember],
    query: Query,
    targets: Int32[np.ndarray, " batch"],
    n_best: NBest,
) -> Candidates:
    of_transformer = min(n_best.of_transformer, transformer.n_candidates)
    of_member = min(n_best.of_member, transformer.n_candidates)
    best = transformer.top(query.with_k(of_transformer)).items
    bonuses = [m.bonus(query) if isinstance(m, SparseMember) else None for m in members]
    alone = [
        Ensemble(transformer.encoder, [m], (), transformer.is_candidate, encoder_weight=0.0)
        if isinstance(m, DenseMember)
        else None
        for m in members
    ]
    columns = [best]
    for dense, bonus in zip(alone, bonuses, strict=True):
        if bonus is not None:
            columns.append(_best_of(bonus, of_member))
        elif dense is not None:
            columns.append(dense.top(query.with_k(of_member)).items)
    is_reached = (np.concatenate(columns, axis=1) == targets[:, None]).any(axis=1)
    items = np.sort(np.concatenate([*columns, targets[:, None]], axis=1), axis=1)
    is_item = (items != PAD) & (np.diff(items, axis=1, prepend=PAD) > 0)
    is_item &= transformer.is_candidate[items]
    rows, offsets = np.nonzero(is_item)[0], np.append(0, np.cumsum(is_item.sum(axis=1)))
    flat = Ragged(offsets, items[is_item])
    scores = np.zeros((1 + len(members), *items.shape), np.float32)
    scores[0][is_item] = transformer.scores(query, flat)
    for i, (dense, bonus) in enumerate(zip(alone, bonuses, strict=True), start=1):
        if bonus is not None:
            scores[i][is_item] = np.asarray(bonus[rows, flat.values]).ravel()
        elif dense is not None:
            scores[i][is_item] = dense.scores(query, flat)
    target = np.argmax(is_item & (items == targets[:, None]), axis=1)
    return Candidates(scores, is_item, target, is_reached, query.rows)


def _best_of(bonus: sparse.csr_matrix, n_best: int) -> Int32[np.ndarray, "batch best"]:
    """The items with the largest bonus of each request; PAD where there are fewer."""
    best = np.full((bonus.get_shape()[0], n_best), PAD, INDEX_DTYPE)
    all_values = np.asarray(bonus.data, np.float32)
    for row, (start, end) in enumerate(pairwise(np.asarray(bonus.indptr).tolist())):
        items, values = bonus.indices[start:end], all_values[start:end]
        if len(items) > n_best:
            items = items[np.argpartition(-values, n_best)[:n_best]]
        best[row, : len(items)] = items
    return best

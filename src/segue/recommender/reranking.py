"""Re-ranking: caps per attribute value and diversity, which depend on the items listed before.

The list of a request is drawn greedily from its best items (the pool). A pool that caps leave too
little of is enlarged until the list is complete or no item is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32, Int32

from segue.controls import NO_CONTROLS, Cap, Controls
from segue.ranking import Query, Ranked
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD

POOL_PER_ITEM, MIN_POOL = 10, 100
"""The pool has so many items per item of the list, and at least so many."""
POOL_GROWTH = 4
DIVERSITY_NATS = 5.0
"""What an item loses, with full diversity, that has the direction of an item listed before."""

UnitRows = Callable[[Int32[np.ndarray, " items"]], Float32[np.ndarray, "items dim"]]


def rerank(
    query: Query, top: Callable[[Query], Ranked], unit_rows: UnitRows, n_candidates: int
) -> Ranked:
    """The lists of ``query.k`` items under caps and diversity.

    The scores are those of the model; with diversity they need not fall along the list. Without
    diversity, the list is the whole ranking without the items that a cap forbids, cut to ``k``.

    Source of the diversity: maximal marginal relevance of Carbonell and Goldstein, SIGIR 1998,
    with the score in nats as relevance and the cosine of item vectors as similarity.

    Args:
        query: the requests, with controls.
        top: the best items of requests, without caps and diversity.
        unit_rows: the vectors of items, scaled to length 1.
        n_candidates: number of items that may be recommended: the largest pool.
    """
    k, n = query.k, len(query)
    all_controls: Sequence[Controls] = query.controls or [NO_CONTROLS] * n
    items = np.full((n, k), PAD, INDEX_DTYPE)
    scores = np.full((n, k), -np.inf, np.float32)
    pending = np.ones(n, bool)
    n_pool = min(max(POOL_PER_ITEM * k, MIN_POOL), n_candidates)
    while pending.any():
        pools = top(query.select(pending).with_k(n_pool))
        for row, pool_items, pool_scores in zip(
            np.flatnonzero(pending).tolist(), pools.items, pools.scores, strict=True
        ):
            positions = _select(pool_items, pool_scores, all_controls[row], k, unit_rows)
            is_exhausted = n_pool >= n_candidates or pool_items[-1] < N_SPECIALS
            if len(positions) == k or is_exhausted:
                items[row, : len(positions)] = pool_items[positions]
                scores[row, : len(positions)] = pool_scores[positions]
                pending[row] = False
        n_pool = min(POOL_GROWTH * n_pool, n_candidates)
    return Ranked(items, scores)


def _select(
    items: Int32[np.ndarray, " pool"],
    scores: Float32[np.ndarray, " pool"],
    controls: Controls,
    k: int,
    unit_rows: UnitRows,
) -> list[int]:
    """The positions in the pool of the items of a list, in order."""
    is_free = items >= N_SPECIALS
    caps = [CapCount(cap, items) for cap in controls.caps]
    diversity = np.float32(controls.diversity)
    vectors = unit_rows(items) if diversity else None
    values = np.where(is_free, scores, 0) * (1 - diversity)
    closest = np.full(len(items), -1.0, np.float32)  # the largest cosine to an item of the list
    selected: list[int] = []
    while len(selected) < k and is_free.any():
        penalties = DIVERSITY_NATS * diversity * closest
        position = int(np.argmax(np.where(is_free, values - penalties, -np.inf)))
        selected.append(position)
        is_free[position] = False
        for cap in caps:
            is_free[cap.add(position)] = False
        if vectors is not None:
            np.maximum(closest, vectors @ vectors[position], out=closest)
    return selected


class CapCount:
    """How often each value of an attribute occurs among the selected items of some items."""

    def __init__(self, cap: Cap, items: Int32[np.ndarray, " items"]) -> None:
        """Look up the values of the items; none is selected."""
        offsets, codes = cap.values
        self._limit = cap.limit
        in_range = items < len(offsets) - 1
        self._codes = [
            codes[offsets[item] : offsets[item + 1]] if is_inside else codes[:0]
            for item, is_inside in zip(items.tolist(), in_range.tolist(), strict=True)
        ]
        self._rows = np.repeat(np.arange(len(items)), [len(row) for row in self._codes])
        self._flat = np.concatenate([codes[:0], *self._codes])
        self._counts: Counter[int] = Counter()

    def add(self, position: int) -> np.ndarray:
        """Select an item: the positions of the items that the cap forbids from now on."""
        distinct = np.unique(self._codes[position]).tolist()
        self._counts.update(distinct)
        full = [code for code in distinct if self._counts[code] >= self._limit]
        return self._rows[np.isin(self._flat, full)]

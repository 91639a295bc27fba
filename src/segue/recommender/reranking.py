"""Re-ranking: caps per attribute value and diversity, which depend on the items listed before.

The list of a request is drawn greedily from its best items, the pool. Where caps leave too few of
them, the next pool is the best items that the list so far allows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32, Int32

from segue.controls import NO_CONTROLS, Cap, Controls
from segue.ragged import Ragged
from segue.ranking import Query, Ranked
from segue.recommender.masks import allowed_bits
from segue.recommender.shapes import result_bucket
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD

POOL_PER_ITEM, MIN_POOL, MAX_POOL = 10, 100, 2_000
"""Items of the pool per item of the list, and bounds of their number. A longer list has a pool of
its own length."""
DIVERSITY_NATS = 5.0
"""What full diversity takes from the score of an item whose vector has the direction of the
vector of an item listed before."""

UnitRows = Callable[[Int32[np.ndarray, " items"]], Float32[np.ndarray, "items dim"]]


def rerank(
    query: Query, top: Callable[[Query], Ranked], unit_rows: UnitRows, n_items: int
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
        n_items: number of special tokens and catalogue items.
    """
    controls: Sequence[Controls] = query.controls or [NO_CONTROLS] * len(query)
    lists = [GrowingList(row, query.k, unit_rows) for row in controls]
    n_pool = pool_size(query.k, n_items)
    pending = np.ones(len(query), bool)
    while pending.any():
        rows = np.flatnonzero(pending).tolist()
        pools = top(_next_pools(query, pending, [lists[row] for row in rows], n_pool))
        for row, items, scores in zip(rows, pools.items, pools.scores, strict=True):
            lists[row].extend(items, scores)
            pending[row] = not lists[row].is_complete and items[-1] >= N_SPECIALS
    ranked = [growing.ranked() for growing in lists]
    return Ranked(np.stack([r.items for r in ranked]), np.stack([r.scores for r in ranked]))


def pool_size(k: int, n_items: int) -> int:
    """The number of items of a pool for lists of ``k``: one of few, which a search compiles for."""
    size = max(k, min(max(POOL_PER_ITEM * k, MIN_POOL), MAX_POOL))
    return result_bucket(size, n_items)


def _next_pools(
    query: Query, pending: Bool[np.ndarray, " batch"], lists: list[GrowingList], n_pool: int
) -> Query:
    """The pending requests, without what their lists have or forbid."""
    query = query.select(pending).with_k(n_pool)
    if not any(growing.items for growing in lists):
        return query
    listed = Ragged.from_rows([growing.items for growing in lists])
    rows = [listed.row(i) for i in range(len(lists))]
    if query.excluded is not None:
        rows = [np.concatenate([query.excluded.row(i), row]) for i, row in enumerate(rows)]
    controls = [
        replace(row, allowed=growing.allowed())
        for row, growing in zip(query.controls or [], lists, strict=True)
    ]
    return replace(query, excluded=Ragged.from_rows(rows), controls=controls)


class GrowingList:
    """A list that is drawn from one pool after another.

    Attributes:
        items: item indices, in order.
    """

    def __init__(self, controls: Controls, k: int, unit_rows: UnitRows) -> None:
        """Begin an empty list."""
        self.items: list[int] = []
        self._scores: list[float] = []
        self._controls, self._k, self._unit_rows = controls, k, unit_rows
        self._caps = [CapCount(cap) for cap in controls.caps]
        self._vectors: list[Float32[np.ndarray, " dim"]] = []

    @property
    def is_complete(self) -> bool:
        """Whether it has ``k`` items."""
        return len(self.items) == self._k

    def extend(
        self, items: Int32[np.ndarray, " pool"], scores: Float32[np.ndarray, " pool"]
    ) -> None:
        """Draw items from a pool until the list is complete or caps forbid the rest."""
        is_free = items >= N_SPECIALS
        values_of_caps = [cap.values_of(items) for cap in self._caps]
        diversity = np.float32(self._controls.diversity)
        vectors = self._unit_rows(items) if diversity else None
        closest = self._closest(vectors, len(items))
        relevance = np.where(is_free, scores, 0) * (1 - diversity)
        while not self.is_complete and is_free.any():
            values = relevance - DIVERSITY_NATS * diversity * closest
            position = int(np.argmax(np.where(is_free, values, -np.inf)))
            self.items.append(int(items[position]))
            self._scores.append(float(scores[position]))
            is_free[position] = False
            for cap, values in zip(self._caps, values_of_caps, strict=True):
                full = cap.add(values.row(position))
                is_free &= ~values.any(np.isin(values.values, full))
            if vectors is not None:
                self._vectors.append(vectors[position])
                np.maximum(closest, vectors @ vectors[position], out=closest)

    def allowed(self) -> np.ndarray | None:
        """The bits of the items that the controls and the list so far allow; None for all."""
        allowed = self._controls.allowed
        for cap in self._caps:
            bits = allowed_bits(~cap.forbidden())
            allowed = bits if allowed is None else allowed & bits
        return allowed

    def ranked(self) -> Ranked:
        """The list, padded to ``k`` items: arrays of the shape (k,)."""
        items = np.full(self._k, PAD, INDEX_DTYPE)
        scores = np.full(self._k, -np.inf, np.float32)
        items[: len(self.items)], scores[: len(self.items)] = self.items, self._scores
        return Ranked(items, scores)

    def _closest(
        self, vectors: Float32[np.ndarray, "pool dim"] | None, n_items: int
    ) -> Float32[np.ndarray, " pool"]:
        """The largest cosine of each item of a pool to an item of the list; -1 for an empty one."""
        if vectors is None or not self._vectors:
            return np.full(n_items, -1, np.float32)
        return (vectors @ np.stack(self._vectors, axis=1)).max(axis=1)


class CapCount:
    """How often each value of an attribute occurs in a list."""

    def __init__(self, cap: Cap) -> None:
        """Count nothing yet."""
        self._cap = cap
        self._counts: Counter[int] = Counter()

    def values_of(self, items: Int32[np.ndarray, " items"]) -> Ragged:
        """The codes of the values of some items."""
        return Ragged.from_rows([self._cap.values.row(item) for item in items.tolist()])

    def add(self, values: Int32[np.ndarray, " values"]) -> list[int]:
        """Count the values of an item: those of them that have reached the limit."""
        distinct = np.unique(values).tolist()
        self._counts.update(distinct)
        return [value for value in distinct if self._counts[value] >= self._cap.limit]

    def forbidden(self) -> Bool[np.ndarray, " vocabulary"]:
        """By item index, whether a value of the item has reached the limit."""
        full = [value for value, count in self._counts.items() if count >= self._cap.limit]
        return self._has_one_of(full)

    def items_with(self, codes: list[int]) -> Int32[np.ndarray, " items"]:
        """The items that have one of some values."""
        if not codes:
            return np.zeros(0, INDEX_DTYPE)
        return np.flatnonzero(self._has_one_of(codes)).astype(INDEX_DTYPE)

    def _has_one_of(self, codes: list[int]) -> Bool[np.ndarray, " vocabulary"]:
        values = self._cap.values
        return values.any(np.isin(values.values, np.array(codes, INDEX_DTYPE)))

"""How lists behave, whoever asked for them: gathered by blocks of questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from segue.axes import N_SPECIALS, Ragged
from segue.evaluation.protocol import Protocol
from segue.evaluation.questions import Instances
from segue.evaluation.results import Estimate, PerSequence, Result, estimates
from segue.metrics import (
    Background,
    ShownLists,
    behaviour_metrics,
    coverage,
    exposures,
    gini,
)
from segue.ranking import Queries, Ranker


class Behaviour:
    """The behaviour of one ranker's lists.

    What is kept of a block are the values of its lists, and how often items were shown: a
    count for each cut-off and item of the catalogue.
    """

    def __init__(self, background: Background, ks: Sequence[int]) -> None:
        self._background = background
        self._ks = ks
        self._table_size = len(background.holders)
        self._values: list[dict[str, Float64[np.ndarray, " batch"]]] = []
        self._shown = {k: np.zeros(self._table_size - N_SPECIALS, np.int64) for k in ks}

    def add(
        self,
        queries: Queries,
        items: Int32[np.ndarray, "batch places"],
        relevant: Bool[np.ndarray, "batch places"],
    ) -> None:
        """Take in the lists of a block, in the order of the instances."""
        lists = ShownLists(items, relevant, popular_places(items, queries.excluded))
        self._values.append(behaviour_metrics(lists, self._ks, self._background))
        for k in self._ks:
            self._shown[k] += exposures(items[:, :k], self._table_size)

    def join(
        self, result: Result, rows: Int64[np.ndarray, " instances"], protocol: Protocol
    ) -> Result:
        """The result with these metrics beside its own.

        Args:
            rows: the sequence of each instance, as they were added.
        """
        names = self._values[0]
        values = {name: np.concatenate([found[name] for found in self._values]) for name in names}
        scores = PerSequence.of(rows, values)
        together = {}
        for k, shown in self._shown.items():
            together[f"coverage@{k}"] = Estimate(coverage(shown), None)
            together[f"gini@{k}"] = Estimate(gini(shown), None)
        return replace(
            result,
            metrics=result.metrics | estimates(scores, protocol) | together,
            scores=replace(result.scores, sums=result.scores.sums | scores.sums),
        )


def next_item_behaviour(
    ranker: Ranker, asked: Instances, background: Background, block_size: int | None
) -> Behaviour:
    """Ask a ranker for the list of every question, those with an unknown answer too."""
    ks = asked.protocol.ks
    behaviour = Behaviour(background, ks)
    for _, block in asked.blocks(block_size):
        items = ranker.top(block.queries, max(ks)).items
        behaviour.add(block.queries, items, items == block.wanted[:, None])
    return behaviour


def popular_places(
    items: Int32[np.ndarray, "batch places"], excluded: Ragged
) -> Int64[np.ndarray, "batch places"]:
    """The place, from 1, of each item among its query's candidates by training count.

    Item indices fall by training count, so that it is the index less what is excluded
    before it.
    """
    of_row = np.arange(len(items), dtype=np.int64) << 32
    keys = np.unique(np.repeat(of_row, np.diff(excluded.offsets)) + excluded.values)
    before = np.searchsorted(keys, of_row[:, None] + items) - np.searchsorted(keys, of_row)[:, None]
    return items.astype(np.int64) - N_SPECIALS + 1 - before

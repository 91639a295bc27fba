"""Beyond-accuracy evaluation: item statistics of the training events, and metrics of the lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int32, Int64
from scipy import sparse

from segue.dataset import Dataset, readable_event_blocks
from segue.evaluation.instances import EvaluationInstances
from segue.evaluation.protocol import Protocol
from segue.evaluation.results import Estimate, PerSequence, Result, estimate_means
from segue.metrics import (
    ItemStatistics,
    RecommendedLists,
    beyond_accuracy_metrics,
    coverage,
    exposure_counts,
    gini,
)
from segue.ragged import Ragged
from segue.ranking import Query, Ranker
from segue.tokens import N_SPECIALS

SIMILARITY_ATTRIBUTES = ("genres", "artist")
"""Item attributes that similarity may be based on; the first that the catalogue has is used."""
SEQUENCES = "sequences"
"""Similarity without attributes: by the training sequences that contain both items."""

MAX_PAIRS = 1 << 24
"""Maximum number of pairs of sequence and item for similarity by ``sequences``, about 200 MB;
for a longer log only every second, third, ... sequence is used."""


class BeyondAccuracy:
    """Accumulates the beyond-accuracy metrics of one ranker, block by block.

    It keeps the values of each list, and for each cut-off how often each candidate was
    recommended.
    """

    def __init__(self, item_statistics: ItemStatistics, ks: Sequence[int]) -> None:
        self._item_statistics = item_statistics
        self._ks = ks
        self._is_candidate = item_statistics.popularity_ranks > 0
        self._values: list[dict[str, Float64[np.ndarray, " batch"]]] = []
        n_candidates = np.count_nonzero(self._is_candidate)
        self._exposure_counts = {k: np.zeros(n_candidates, np.int64) for k in ks}

    def add(
        self,
        query: Query,
        items: Int32[np.ndarray, "batch length"],
        relevant: Bool[np.ndarray, "batch length"],
    ) -> None:
        """Add the lists of a block of requests; blocks come in the order of the instances.

        Args:
            items: recommended items, best first.
            relevant: whether the item at a position is a target.
        """
        ranks = popularity_ranks(items, query.seen, self._item_statistics.popularity_ranks)
        lists = RecommendedLists(items, relevant, ranks)
        self._values.append(beyond_accuracy_metrics(lists, self._ks, self._item_statistics))
        for k in self._ks:
            self._exposure_counts[k] += exposure_counts(items[:, :k], self._is_candidate)

    def extend(
        self, result: Result, rows: Int64[np.ndarray, " instances"], protocol: Protocol
    ) -> Result:
        """The result with the beyond-accuracy metrics added.

        Args:
            rows: the sequence of each instance, in the order in which the lists were added.
        """
        names = self._values[0]
        values = {name: np.concatenate([block[name] for block in self._values]) for name in names}
        per_sequence = PerSequence.from_instances(rows, values)
        catalogue_metrics = {}
        for k, counts in self._exposure_counts.items():
            catalogue_metrics[f"coverage@{k}"] = Estimate(coverage(counts), None)
            catalogue_metrics[f"gini@{k}"] = Estimate(gini(counts), None)
        means = estimate_means(per_sequence, protocol)
        sums = result.per_sequence.sums | per_sequence.sums
        return replace(
            result,
            metrics=result.metrics | means | catalogue_metrics,
            per_sequence=replace(result.per_sequence, sums=sums),
        )


def next_item_beyond_accuracy(
    ranker: Ranker,
    instances: EvaluationInstances,
    item_statistics: ItemStatistics,
    block_size: int,
) -> BeyondAccuracy:
    """Get a ranker's list for every instance, including those with an unknown target."""
    ks = instances.protocol.ks
    beyond_accuracy = BeyondAccuracy(item_statistics, ks)
    for _, block in instances.blocks(block_size):
        items = ranker.top(block.query.with_k(max(ks))).items
        beyond_accuracy.add(block.query, items, items == block.targets[:, None])
    return beyond_accuracy


def popularity_ranks(
    items: Int32[np.ndarray, "batch length"],
    seen: Ragged,
    ranks: Int64[np.ndarray, " vocabulary"],
) -> Int64[np.ndarray, "batch length"]:
    """The rank, from 1, of each item when the candidates of its request are sorted by popularity.

    That is its rank among all candidates, minus the number of seen ones with a lower rank.

    Args:
        ranks: as in ``ItemStatistics.popularity_ranks``.
    """
    row_keys = np.arange(len(items), dtype=np.int64) << 32
    in_vocabulary = seen.values < len(ranks)
    seen_row_keys = np.repeat(row_keys, np.diff(seen.offsets))[in_vocabulary]
    seen_ranks = ranks[seen.values[in_vocabulary]]
    keys = np.unique((seen_row_keys + seen_ranks)[seen_ranks > 0])
    n_seen_before = np.searchsorted(keys, row_keys[:, None] + ranks[items])
    n_seen_before -= np.searchsorted(keys, row_keys)[:, None]
    return ranks[items] - n_seen_before


def item_statistics(data: Dataset, max_pairs: int = MAX_PAIRS) -> ItemStatistics:
    """Compute item counts and item features from the training events.

    The rankers may have been fitted on validation events too; these are not counted here.
    Memory grows with the catalogue. Without item attributes it also grows with the pairs of
    sequence and item, up to ``max_pairs``.
    """
    user_counts = np.zeros(data.vocabulary_size, np.int64)
    n_sequences, ranks = 0, _candidate_ranks(data)
    for pairs in _training_pairs(data):
        user_counts += np.bincount(pairs.items, minlength=data.vocabulary_size)
        n_sequences += len(np.unique(pairs.rows))
    for name in SIMILARITY_ATTRIBUTES:
        features = _attribute_features(data, name)
        if features is not None:
            return ItemStatistics(user_counts, max(n_sequences, 1), features, name, ranks)
    step = max(1, -(-int(user_counts.sum()) // max_pairs))
    features = _sequence_features(data, step)
    return ItemStatistics(user_counts, max(n_sequences, 1), features, SEQUENCES, ranks)


def _candidate_ranks(data: Dataset) -> Int64[np.ndarray, " vocabulary"]:
    """The rank of each candidate by training count, from 1; 0 for all other indices."""
    order = data.popularity_order.items
    candidates = order[data.is_candidate[order]]
    ranks = np.zeros(data.vocabulary_size, np.int64)
    ranks[candidates] = np.arange(1, len(candidates) + 1)
    return ranks


class _SequenceItemPairs(NamedTuple):
    """Distinct pairs of a sequence and an item that it contains."""

    rows: Int64[np.ndarray, " pairs"]
    items: Int32[np.ndarray, " pairs"]


def _training_pairs(data: Dataset) -> Iterator[_SequenceItemPairs]:
    """Pairs of the training events, in blocks of whole sequences."""
    for events in readable_event_blocks(data):
        rows, items = events.rows[events.is_training], events.items[events.is_training]
        keys = np.unique(rows * data.vocabulary_size + items)
        rows, items = np.divmod(keys, data.vocabulary_size)
        yield _SequenceItemPairs(rows, items.astype(np.int32))


def _attribute_features(data: Dataset, name: str) -> sparse.csr_array | None:
    """Features from a column of strings or of lists of strings; None if no item has a value."""
    if name not in data.items.table.column_names:
        return None
    column = data.items.table.column(name).slice(0, data.n_catalogue).combine_chunks()
    rows = np.arange(len(column))
    if pa.types.is_list(column.type):
        rows = pc.call_function("list_parent_indices", [column]).to_numpy()
        column = pc.call_function("list_flatten", [column])
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    feature_ids = column.dictionary_encode().indices.fill_null(0).to_numpy()
    if not valid.any():
        return None
    return _unit_rows(rows[valid] + N_SPECIALS, feature_ids[valid], data.vocabulary_size)


def _sequence_features(data: Dataset, step: int) -> sparse.csr_array:
    """Features from every ``step``-th training sequence: the sequences that contain an item."""
    items, feature_ids = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
    for pairs in _training_pairs(data):
        in_sample = pairs.rows % step == 0
        items.append(pairs.items[in_sample])
        feature_ids.append(pairs.rows[in_sample] // step)
    return _unit_rows(np.concatenate(items), np.concatenate(feature_ids), data.vocabulary_size)


def _unit_rows(
    items: Int64[np.ndarray, " pairs"] | Int32[np.ndarray, " pairs"],
    feature_ids: Int64[np.ndarray, " pairs"] | Int32[np.ndarray, " pairs"],
    vocabulary_size: int,
) -> sparse.csr_array:
    """A row per item with equal entries at its features, scaled to unit length."""
    shape = (vocabulary_size, int(feature_ids.max(initial=0)) + 1)
    features = sparse.csr_array((np.ones(len(items)), (items, feature_ids)), shape=shape)
    features.sum_duplicates()
    sizes = np.diff(features.indptr)
    features.data = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes)
    return features

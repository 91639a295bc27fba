"""Evaluation instances: the held-out targets, and the requests for them in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64

from segue.config import EvaluationConfig
from segue.dataset import Dataset, SplitPart
from segue.dataset.targets import part_bounds
from segue.errors import DatasetError
from segue.evaluation.protocol import Protocol, resolve_protocol
from segue.features import stored_features
from segue.ragged import Ragged, offsets_of, span_indices
from segue.ranking import Query
from segue.tokens import INDEX_DTYPE


class QueryBlock(NamedTuple):
    """A block of next-item requests with their targets.

    Attributes:
        query: the input of the ranker.
        targets: item index of each target.
        is_repeat: whether the target occurs earlier in its sequence.
        is_candidate: whether the target may be recommended and is not among the seen items.
    """

    query: Query
    targets: Int32[np.ndarray, " batch"]
    is_repeat: Bool[np.ndarray, " batch"]
    is_candidate: Bool[np.ndarray, " batch"]


@dataclass(frozen=True)
class EvaluationInstances:
    """The targets of an evaluation, as positions in the sequences of a dataset.

    Attributes:
        rows: sequence of each target, as a row of the dataset.
        positions: position of each target in its sequence, from 0.
    """

    data: Dataset
    protocol: Protocol
    rows: Int64[np.ndarray, " instances"]
    positions: Int64[np.ndarray, " instances"]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def targets(self) -> Int32[np.ndarray, " instances"]:
        """The item index of each target."""
        sequences = self.data.sequences
        return sequences.items[sequences.offsets[self.rows] + self.positions]

    @property
    def is_known(self) -> Bool[np.ndarray, " instances"]:
        """Whether a target may be recommended; else it counts as unknown."""
        return self.data.is_candidate[self.targets]

    @property
    def is_cold_start(self) -> Bool[np.ndarray, " instances"]:
        """Whether a target's sequence has no event before the part (``global-time``)."""
        rule, sequences = self.data.split_rule, self.data.sequences
        return rule.is_cold_start(sequences, self.protocol.part, self.rows)

    @property
    def is_included(self) -> Bool[np.ndarray, " instances"]:
        """Whether a target is included in the metrics; unknown targets may be dropped."""
        if self.protocol.options.unknown_targets == "miss":
            return np.ones(len(self), bool)
        return self.is_known

    def select(self, mask: Bool[np.ndarray, " instances"]) -> EvaluationInstances:
        """The instances where the mask is true."""
        return EvaluationInstances(self.data, self.protocol, self.rows[mask], self.positions[mask])

    def blocks(self, size: int) -> Iterator[tuple[slice, QueryBlock]]:
        """Blocks of requests, each with the slice of the instances that it covers, in order."""
        for start in range(0, len(self), size):
            covered = slice(start, min(start + size, len(self)))
            block = EvaluationInstances(
                self.data, self.protocol, self.rows[covered], self.positions[covered]
            )
            yield covered, block._query_block()

    def _query_block(self) -> QueryBlock:
        window, seen = self.data.split_rule.window, self.protocol.seen
        before = self._events_before(None)
        given = before if window is None else self._events_before(window)
        no_items = Ragged(np.zeros(len(self) + 1, np.int64), np.zeros(0, INDEX_DTYPE))
        seen_items = {"exclude": before, "exclude-context": given, "include": no_items}[seen]
        target_items = self.targets
        return QueryBlock(
            query=Query(
                given,
                seen_items,
                self.rows,
                times=self._times_before(window),
                sequence_features=stored_features(self.data.sequences, self.rows),
            ),
            targets=target_items,
            is_repeat=_rows_contain(before, target_items),
            is_candidate=self.is_known & ~_rows_contain(seen_items, target_items),
        )

    def _events_before(self, window: int | None) -> Ragged:
        """All events before each target, or the last ``window`` of them."""
        starts, lengths = self._spans_before(window)
        return Ragged(offsets_of(lengths), self.data.sequences.items[span_indices(starts, lengths)])

    def _times_before(self, window: int | None) -> Int64[np.ndarray, " events"] | None:
        """The times of ``_events_before``; None for a log without times."""
        if self.data.sequences.times is None:
            return None
        return self.data.sequences.times[span_indices(*self._spans_before(window))]

    def _spans_before(
        self, window: int | None
    ) -> tuple[Int64[np.ndarray, " instances"], Int64[np.ndarray, " instances"]]:
        """Where the events before each target start in the sequences, and their number."""
        lengths = self.positions if window is None else np.minimum(self.positions, window)
        return self.data.sequences.offsets[self.rows] + self.positions - lengths, lengths


def evaluation_instances(data: Dataset, protocol: Protocol) -> EvaluationInstances:
    """The targets of the part, from at most ``max_sequences`` randomly drawn sequences.

    Raises:
        DatasetError: the part has no target.
    """
    drawn_rows = _draw(data.target_rows(protocol.part), data, protocol)
    targets = data.targets(protocol.part, protocol.targets, rows=drawn_rows)
    return EvaluationInstances(data, protocol, targets.rows, targets.positions)


def held_out_rows(data: Dataset, protocol: Protocol) -> Int64[np.ndarray, " rows"]:
    """The held-out sequences of ``holdout``, at most ``max_sequences`` randomly drawn ones.

    Raises:
        DatasetError: the part has no sequence.
    """
    starts, ends = part_bounds(data.sequences, protocol.part)
    return _draw(np.flatnonzero(starts < ends), data, protocol)


def has_targets(data: Dataset, part: SplitPart, options: EvaluationConfig) -> bool:
    """Whether ``evaluate`` would have a next-item target to measure on.

    A part may have events but no target that is included: under ``global-time`` all of them may
    belong to sequences that start within the part.
    """
    try:
        instances = evaluation_instances(data, resolve_protocol([], data, part, options))
    except DatasetError:
        return False
    return bool((instances.is_included & ~instances.is_cold_start).any())


def _draw(
    rows: Int64[np.ndarray, " rows"], data: Dataset, protocol: Protocol
) -> Int64[np.ndarray, " drawn"]:
    if not len(rows):
        raise _empty_part_error(data, protocol.part)
    limit = protocol.options.max_sequences
    if limit is None or limit >= len(rows):
        return rows
    return np.sort(np.random.default_rng(protocol.options.seed).choice(rows, limit, replace=False))


def _empty_part_error(data: Dataset, part: SplitPart) -> DatasetError:
    message = f"the {part} part of {data.name} has no target to predict"
    if not data.split_rule.has_part(part):
        hint = f"it was prepared without this part: prepare it with --{part}-share 0.1"
        return DatasetError(message, hint)
    reason, remedy = data.split_rule.why_empty(part)
    return DatasetError(f"{message}: {reason}", f"prepare it again: {remedy}")


def _rows_contain(rows: Ragged, values: Int32[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    """Whether each row contains its value."""
    row_numbers = np.repeat(np.arange(rows.n_rows), np.diff(rows.offsets))
    matching_rows = row_numbers[rows.values == values[row_numbers]]
    return np.bincount(matching_rows, minlength=rows.n_rows) > 0

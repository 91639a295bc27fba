"""Questions in blocks: which events are asked for, and what a ranker is given for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64

from segue.axes import INDEX_DTYPE, Ragged, offsets_of, spans
from segue.config import EvaluationConfig
from segue.dataset import Dataset, target_rows, targets
from segue.dataset.parts import Part, part_bounds
from segue.errors import DatasetError
from segue.evaluation.protocol import Protocol, resolve
from segue.ranking import Queries

QUESTIONS_PER_BLOCK = 1024
"""Asked at a time. How many of them are scored at once is a ranker's own affair."""


class Asked(NamedTuple):
    """A block of next-item questions.

    Attributes:
        queries: what the ranker is given.
        wanted: the item that came next.
        repeated: whether it occurs before in its sequence.
        reachable: whether it is a candidate: in the catalogue and not excluded.
    """

    queries: Queries
    wanted: Int32[np.ndarray, " batch"]
    repeated: Bool[np.ndarray, " batch"]
    reachable: Bool[np.ndarray, " batch"]


@dataclass(frozen=True)
class Instances:
    """The targets of an evaluation, as events of a dataset.

    Attributes:
        rows: the sequence of each.
        positions: its place there, from 0.
    """

    data: Dataset
    protocol: Protocol
    rows: Int64[np.ndarray, " instances"]
    positions: Int64[np.ndarray, " instances"]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def wanted(self) -> Int32[np.ndarray, " instances"]:
        """The item index of each target."""
        sequences = self.data.sequences
        return sequences.items[sequences.offsets[self.rows] + self.positions]

    @property
    def cold(self) -> Bool[np.ndarray, " instances"]:
        """Whether a target's sequence has no event before the part (``global-time``)."""
        if self.protocol.split.kind != "global-time":
            return np.zeros(len(self), bool)
        begins, _ = part_bounds(self.data.sequences, self.protocol.part)
        return begins[self.rows] == 0

    @property
    def counted(self) -> Bool[np.ndarray, " instances"]:
        """Whether a target counts at all: one outside the catalogue may be dropped."""
        if self.protocol.options.unknown_targets == "miss":
            return np.ones(len(self), bool)
        return self.wanted < self.data.table_size

    def only(self, mask: Bool[np.ndarray, " instances"]) -> Instances:
        """Those where the mask is true."""
        return Instances(self.data, self.protocol, self.rows[mask], self.positions[mask])

    def blocks(self, block_size: int | None) -> Iterator[tuple[slice, Asked]]:
        """Every instance once, in order, with its place among all."""
        size = block_size or QUESTIONS_PER_BLOCK
        for begin in range(0, len(self), size):
            where = slice(begin, min(begin + size, len(self)))
            block = Instances(self.data, self.protocol, self.rows[where], self.positions[where])
            yield where, block._asked()

    def _asked(self) -> Asked:
        split, seen = self.protocol.split, self.protocol.seen
        before = self._events_before(None)
        given = self._events_before(split.window) if split.kind == "windows" else before
        nothing = Ragged(np.zeros(len(self) + 1, np.int64), np.zeros(0, INDEX_DTYPE))
        excluded = {"exclude": before, "exclude-context": given, "include": nothing}[seen]
        wanted = self.wanted
        known = wanted < self.data.table_size
        return Asked(
            queries=Queries(given, excluded, self.rows),
            wanted=wanted,
            repeated=_holds(before, wanted),
            reachable=known & ~_holds(excluded, wanted),
        )

    def _events_before(self, window: int | None) -> Ragged:
        """The events before each target, or the last ``window`` of them."""
        sequences = self.data.sequences
        lengths = self.positions if window is None else np.minimum(self.positions, window)
        starts = sequences.offsets[self.rows] + self.positions - lengths
        return Ragged(offsets_of(lengths), sequences.items[spans(starts, lengths)])


def instances(data: Dataset, protocol: Protocol) -> Instances:
    """The targets of the part, at most those of ``max_sequences`` drawn sequences.

    Raises:
        DatasetError: the part has none.
    """
    sequences, split, part = data.sequences, protocol.split, protocol.part
    drawn = _draw(target_rows(sequences, split, part), data, protocol)
    found = targets(sequences, split, part, protocol.targets, rows=drawn)
    return Instances(data, protocol, found.rows, found.positions)


def held_out_rows(data: Dataset, protocol: Protocol) -> Int64[np.ndarray, " rows"]:
    """The sequences of a part of ``holdout``, at most ``max_sequences`` drawn ones.

    Raises:
        DatasetError: the part has none.
    """
    begins, ends = part_bounds(data.sequences, protocol.part)
    return _draw(np.flatnonzero(begins < ends), data, protocol)


def has_targets(data: Dataset, part: Part, options: EvaluationConfig) -> bool:
    """Whether a part has a next item that counts: whether ``evaluate`` would find one.

    A part may hold events and yet none that counts: under ``global-time`` all may belong to
    sequences that begin in the part.
    """
    try:
        asked = instances(data, resolve([], data, part, options))
    except DatasetError:
        return False
    return bool((asked.counted & ~asked.cold).any())


def _draw(
    rows: Int64[np.ndarray, " rows"], data: Dataset, protocol: Protocol
) -> Int64[np.ndarray, " drawn"]:
    if not len(rows):
        raise DatasetError(
            f"the {protocol.part} part of {data.name} has no target to predict",
            "its sequences are too short, or the split has no such part: see segue inspect",
        )
    limit = protocol.options.max_sequences
    if limit is None or limit >= len(rows):
        return rows
    return np.sort(np.random.default_rng(protocol.options.seed).choice(rows, limit, replace=False))


def only_rows(queries: Queries, mask: Bool[np.ndarray, " batch"]) -> Queries:
    """The queries where the mask is true."""
    return Queries(
        _only(queries.histories, mask), _only(queries.excluded, mask), queries.rows[mask]
    )


def _only(rows: Ragged, mask: Bool[np.ndarray, " rows"]) -> Ragged:
    lengths = np.diff(rows.offsets)
    return Ragged(offsets_of(lengths[mask]), rows.values[np.repeat(mask, lengths)])


def _holds(rows: Ragged, wanted: Int32[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    """Whether each row holds its wanted value."""
    row_of = np.repeat(np.arange(rows.n_rows), np.diff(rows.offsets))
    holders = row_of[rows.values == wanted[row_of]]
    return np.bincount(holders, minlength=rows.n_rows) > 0

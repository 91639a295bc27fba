"""A few sequences of item indices, and what batches of them must show, slowly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from segue.axes import END, N_SPECIALS, PAD, START, UNK, Ragged
from segue.batches import Batch, Layout, SequenceBatches, TrainingBatches
from segue.config import TrainingConfig
from segue.dataset import Sequences

TABLE = 12  # catalogue items 4 to 11; what lies beyond is outside


@dataclass(frozen=True)
class World:
    """A few sequences, their training parts, and how they are to be cut."""

    rows: list[list[int]]
    train_ends: list[int]
    context: int = 5
    start: bool = True
    end: bool = False

    @property
    def layout(self) -> Layout:
        return Layout(self.context, TABLE, self.start, self.end)

    def batches(self, **options) -> TrainingBatches:
        sequences = sequences_of(self.rows, self.train_ends)
        return SequenceBatches(sequences, self.layout, training_of(**options))

    def tokens(self, row: int) -> list[int]:
        """All tokens that may be trained on, the slow and obvious way."""
        events = self.rows[row][: self.train_ends[row]]
        known = [UNK if item >= TABLE else item for item in events]
        return [START] * self.start + known + [END] * self.end

    def trainable(self) -> list[int]:
        rows = range(len(self.rows))
        return [row for row in rows if self.train_ends[row] and len(self.tokens(row)) > 1]

    def windows(self, row: int) -> list[tuple[list[int], list[int]]]:
        """Every input and its labels that a sequence could show, the last one last."""
        tokens, width = self.tokens(row), self.context + 1
        firsts = range(max(len(tokens) - width, 0) + 1)
        cuts = [padded(tokens[first : first + width], width) for first in firsts]
        return [(cut[:-1], cut[1:]) for cut in cuts]


def training_of(**options) -> TrainingConfig:
    chosen = {"batch_size": 2, "epochs": 3, "window": "last", "unknown_rate": 0.0}
    return TrainingConfig(**{**chosen, **options})


def padded(tokens: list[int], width: int) -> list[int]:
    return tokens + [PAD] * (width - len(tokens))


def sequences_of(rows: list[list[int]], train_ends: list[int]) -> Sequences:
    ragged = Ragged.of(rows)
    ends = np.array(train_ends, np.int32)
    return Sequences(
        ids=pa.array([str(row) for row in range(len(rows))]),
        offsets=ragged.offsets,
        items=ragged.values,
        times=None,
        ratings=None,
        train_end=ends,
        valid_end=ends,
        target_parts=None,
        attributes=pa.table({}),
    )


def windowed(rows: list[list[int]], parts: list[list[int]]) -> Sequences:
    flat = np.array([part for row in parts for part in row], np.int8)
    return replace(sequences_of(rows, [len(row) for row in rows]), target_parts=flat)


def rated(sequences: Sequences, ratings: list[list[float]]) -> Sequences:
    flat = np.array([rating for row in ratings for rating in row], np.float32)
    return replace(sequences, ratings=flat)


def rows_of(batch: Batch) -> list[tuple[list[int], list[int]]]:
    return list(zip(batch.tokens.tolist(), batch.labels.tolist(), strict=True))


def epoch_of(batches: TrainingBatches, epoch: int) -> list:
    first = epoch * batches.batches_per_epoch
    return [rows_of(batches[first + place]) for place in range(batches.batches_per_epoch)]


@st.composite
def worlds(draw) -> World:
    items = st.integers(N_SPECIALS, TABLE + 3)
    rows = draw(st.lists(st.lists(items, max_size=9), min_size=1, max_size=6))
    ends = [draw(st.integers(0, len(row))) for row in rows]
    context, start, end = draw(st.tuples(st.integers(1, 7), st.booleans(), st.booleans()))
    return World(rows, ends, context, start, end)

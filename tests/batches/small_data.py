"""Small datasets of item sequences, with a naive construction of the batches expected of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from segue.batches import (
    Batch,
    Batches,
    BatchOptions,
    PromptLayout,
    SequenceBatches,
    TargetBatches,
)
from segue.dataset import (
    Sequences,
    Split,
    SplitRule,
    rule_of,
    training_spans,
    training_targets,
)
from segue.dataset.targets import FIRST_TARGET
from segue.ragged import Ragged
from segue.tokens import END, N_SPECIALS, PAD, START, UNK

VOCABULARY_SIZE = 12
"""Catalogue items are 4 to 11; larger ones are outside the catalogue."""


@dataclass(frozen=True)
class SmallData:
    """A few sequences with their training parts and the options of the prompt layout."""

    rows: list[list[int]]
    train_ends: list[int]
    context: int = 5
    start: bool = True
    end: bool = False

    @property
    def layout(self) -> PromptLayout:
        return PromptLayout(self.context, VOCABULARY_SIZE, self.start, self.end)

    def batches(self, **options) -> Batches:
        sequences = small_sequences(self.rows, self.train_ends)
        return sequence_batches(sequences, self.layout, batch_options(**options))

    def tokens(self, row: int) -> list[int]:
        """All tokens of a row that may be trained on."""
        events = self.rows[row][: self.train_ends[row]]
        items = [UNK if item >= VOCABULARY_SIZE else item for item in events]
        return [START] * self.start + items + [END] * self.end

    def trainable(self) -> list[int]:
        rows = range(len(self.rows))
        return [row for row in rows if self.train_ends[row] and len(self.tokens(row)) > 1]

    def windows(self, row: int) -> list[tuple[list[int], list[int]]]:
        """All inputs with labels that a batch may contain of a row, in order of their start."""
        tokens, width = self.tokens(row), self.context + 1
        firsts = range(max(len(tokens) - width, 0) + 1)
        cuts = [pad(tokens[first : first + width], width) for first in firsts]
        return [(cut[:-1], cut[1:]) for cut in cuts]


def batch_options(**options) -> BatchOptions:
    return BatchOptions(**{"batch_size": 2, "epochs": 3, **options})


def pad(tokens: list[int], width: int) -> list[int]:
    return tokens + [PAD] * (width - len(tokens))


def small_sequences(rows: list[list[int]], train_ends: list[int]) -> Sequences:
    ragged = Ragged.from_rows(rows)
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


def with_target_parts(rows: list[list[int]], parts: list[list[int]]) -> Sequences:
    flat = np.array([part for row in parts for part in row], np.int8)
    return replace(small_sequences(rows, [len(row) for row in rows]), target_parts=flat)


def rule_of_cuts(sequences: Sequences) -> SplitRule:
    """A rule that fits the cuts: ``windows`` where events are labelled, else ``leave-one-out``."""
    kind = "leave-one-out" if sequences.target_parts is None else "windows"
    shares = {"validation_share": 0.1, "test_share": 0.1}
    return rule_of(Split(kind=kind, seed=0, window=5, **shares))


def sequence_batches(sequences: Sequences, *args, **kwargs) -> SequenceBatches:
    """Batches of the training events of every sequence."""
    return SequenceBatches(sequences, training_spans(sequences), *args, **kwargs)


def target_batches(
    sequences: Sequences, *args, earliest: int = FIRST_TARGET, **kwargs
) -> TargetBatches:
    """Batches of the training targets from a position on."""
    targets = training_targets(sequences, rule_of_cuts(sequences), earliest=earliest)
    return TargetBatches(sequences, targets, *args, **kwargs)


def with_ratings(sequences: Sequences, ratings: list[list[float]]) -> Sequences:
    flat = np.array([rating for row in ratings for rating in row], np.float32)
    return replace(sequences, ratings=flat)


def token_label_rows(batch: Batch) -> list[tuple[list[int], list[int]]]:
    """Tokens and labels of each row."""
    return [
        row
        for bucket in batch
        for row in zip(bucket.tokens.tolist(), bucket.labels.tolist(), strict=True)
    ]


def epoch_rows(batches: Batches, epoch: int) -> list:
    first = epoch * batches.batches_per_epoch
    return [
        token_label_rows(batches[first + position]) for position in range(batches.batches_per_epoch)
    ]


@st.composite
def random_data(draw) -> SmallData:
    items = st.integers(N_SPECIALS, VOCABULARY_SIZE + 3)
    rows = draw(st.lists(st.lists(items, max_size=9), min_size=1, max_size=6))
    ends = [draw(st.integers(0, len(row))) for row in rows]
    context, start, end = draw(st.tuples(st.integers(1, 7), st.booleans(), st.booleans()))
    return SmallData(rows, ends, context, start, end)

"""Held-out targets: the events of the validation or test part that a model has to predict."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64

from segue.dataset.sequences import Sequences, Spans

SplitPart = Literal["validation", "test"]
"""A held-out part of a dataset."""

FIRST_TARGET = 3
"""The first position (from 0) that can be a target where each training example has a single
target, as the split ``windows`` defines it: a shorter history hardly predicts anything."""


class Targets(NamedTuple):
    """Events to be predicted, each from the events before it in its sequence.

    Attributes:
        rows: the sequence of each target.
        positions: its position in the sequence, from 0; 0 means an empty history.
    """

    rows: Int64[np.ndarray, " targets"]
    positions: Int64[np.ndarray, " targets"]


def part_bounds(
    sequences: Sequences, part: SplitPart
) -> tuple[Int64[np.ndarray, " sequences"], Int64[np.ndarray, " sequences"]]:
    """The positions at which a part starts and ends in each sequence.

    Valid for splits that cut each sequence at positions, not for ``windows``.
    """
    valid_end = sequences.valid_end.astype(np.int64)
    if part == "validation":
        return sequences.train_end.astype(np.int64), valid_end
    return valid_end, sequences.lengths


def part_spans(sequences: Sequences, part: SplitPart, rows: Int64[np.ndarray, " spans"]) -> Spans:
    """The events of a part in some sequences, one span per sequence.

    Valid for the same splits as ``part_bounds``.

    Args:
        rows: the sequences.
    """
    starts, ends = part_bounds(sequences, part)
    return Spans(rows, sequences.offsets[rows] + starts[rows], ends[rows] - starts[rows])

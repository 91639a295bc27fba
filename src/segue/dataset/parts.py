"""What the cuts of a split mean: which events are trained on, and which are predicted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from segue.axes import spans
from segue.dataset.sequences import (
    TEST_TARGET,
    VALID_TARGET,
    Sequences,
    positions_in_rows,
    row_blocks,
)
from segue.dataset.splits import Cuts, Split

Part = Literal["validation", "test"]
Which = Literal["last", "first", "random", "every"]


class Targets(NamedTuple):
    """Events to be predicted, each from all events before it in its sequence.

    Attributes:
        rows: the sequence of each target.
        positions: its place in the sequence, from 0; 0 means an empty history.
    """

    rows: Int64[np.ndarray, " targets"]
    positions: Int64[np.ndarray, " targets"]


def targets(
    sequences: Sequences,
    split: Split,
    part: Part,
    which: Which = "last",
    *,
    rows: Int64[np.ndarray, " chosen"] | None = None,
    earliest: int = 0,
) -> Targets:
    """The events of a part that are predicted, by row and then position.

    - ``holdout``: each event from the second on.
    - ``leave-one-out``: the part's one event.
    - ``global-time``: of a sequence's events in the part, as ``which`` says, the ``last``,
      the ``first``, one at ``random`` (seeded), or ``every`` one. Targets of a sequence that
      has no event before the part are among them; evaluation keeps them apart.
    - ``windows``: the part's targets, wherever they lie in a sequence.

    Args:
        which: read for ``global-time`` only; the other splits leave no choice.
        rows: only these sequences, in rising order, each once. Memory grows with their
            targets, so that a few of a large dataset cost little; what is found in a
            sequence does not depend on the others.
        earliest: the first position that counts; with 1 the first events of all do not.
    """
    if split.kind == "windows":
        chosen = _window_targets(sequences, part, rows, earliest)
        return Targets(*(np.concatenate(parts) for parts in zip(*chosen, strict=True)))
    begin, end = _target_bounds(sequences, split, part, earliest)
    if split.kind == "global-time" and which != "every":
        begin, end = _one_of_each(begin, end, which, split.seed)
    if rows is None:
        rows = np.arange(len(sequences))
    begin, counts = begin[rows], np.maximum(end - begin, 0)[rows]
    return Targets(np.repeat(rows, counts), spans(begin, counts))


def target_rows(
    sequences: Sequences, split: Split, part: Part, *, earliest: int = 0
) -> Int64[np.ndarray, " rows"]:
    """The sequences that have a target, in rising order, without listing the targets.

    Args:
        earliest: the first position that counts, as in ``targets``.
    """
    if split.kind == "windows":
        found = _window_targets(sequences, part, None, earliest)
        return np.concatenate([np.unique(block.rows) for block in found])
    begin, end = _target_bounds(sequences, split, part, earliest)
    return np.flatnonzero(begin < end)


def part_bounds(
    sequences: Sequences, part: Part
) -> tuple[Int64[np.ndarray, " sequences"], Int64[np.ndarray, " sequences"]]:
    """The positions at which a part begins and ends in each sequence."""
    valid_end = sequences.valid_end.astype(np.int64)
    if part == "validation":
        return sequences.train_end.astype(np.int64), valid_end
    return valid_end, sequences.lengths


def training_mask(
    cuts: Cuts, offsets: Int64[np.ndarray, " bounds"], first: int, end: int
) -> Bool[np.ndarray, " events"]:
    """Which events of the rows ``first`` up to ``end`` may be trained on.

    Under ``windows`` these are all that are not held out as targets.
    """
    if cuts.target_parts is not None:
        parts = cuts.target_parts[offsets[first] : offsets[end]]
        return (parts != TEST_TARGET) & (parts != VALID_TARGET)
    local = offsets[first : end + 1] - offsets[first]
    return positions_in_rows(local) < np.repeat(cuts.train_end[first:end], np.diff(local))


def _target_bounds(
    sequences: Sequences, split: Split, part: Part, earliest: int
) -> tuple[np.ndarray, np.ndarray]:
    """The positions between which each sequence has targets; none where they cross."""
    begin, end = part_bounds(sequences, part)
    # Under holdout an empty history would be the same question for every sequence.
    return np.maximum(begin, max(earliest, int(split.kind == "holdout"))), end


def _one_of_each(
    begin: np.ndarray, end: np.ndarray, which: Which, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Narrow each row's non-empty range of positions to one of them."""
    if which == "last":
        begin = np.maximum(begin, end - 1)
    elif which == "random":
        shift = np.random.default_rng(seed).random(len(begin)) * (end - begin)
        begin = begin + shift.astype(np.int64)
    return begin, np.minimum(end, begin + 1)


def _window_targets(
    sequences: Sequences, part: Part, rows: np.ndarray | None, earliest: int
) -> Iterator[Targets]:
    """The targets of ``windows``, some whole sequences at a time; at least one block."""
    assert sequences.target_parts is not None
    wanted = VALID_TARGET if part == "validation" else TEST_TARGET
    offsets = sequences.offsets
    chosen = np.full(len(sequences), rows is None)
    if rows is not None:
        chosen[rows] = True
    for first, end in row_blocks(offsets):
        block = sequences.target_parts[offsets[first] : offsets[end]]
        events = np.flatnonzero(block == wanted) + offsets[first]
        of = np.searchsorted(offsets, events, side="right") - 1
        positions = events - offsets[of]
        kept = chosen[of] & (positions >= earliest)
        yield Targets(of[kept], positions[kept])

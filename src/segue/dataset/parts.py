"""What the cuts of a split mean: which events are trained on, and which are predicted."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from segue.axes import offsets_of
from segue.dataset.sequences import TEST_TARGET, VALID_TARGET, Sequences, positions_in_rows
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


def targets(sequences: Sequences, split: Split, part: Part, which: Which = "last") -> Targets:
    """The events of a part that are predicted, by row and then position.

    - ``holdout``: each event from the second on.
    - ``leave-one-out``: the part's one event.
    - ``global-time``: of a sequence's events in the part, as ``which`` says, the ``last``,
      the ``first``, one at ``random`` (seeded), or ``every`` one. Targets of a sequence that
      has no event before the part are among them; evaluation keeps them apart.
    - ``windows``: the part's targets, wherever they lie in a sequence.

    Args:
        which: read for ``global-time`` only; the other splits leave no choice.
    """
    if split.kind == "windows":
        return _window_targets(sequences, part)
    begin, end = part_bounds(sequences, part)
    if split.kind == "holdout":
        begin = np.maximum(begin, 1)
    if split.kind == "global-time" and which != "every":
        begin, end = _one_of_each(begin, end, which, split.seed)
    counts = np.maximum(end - begin, 0)
    rows = np.repeat(np.arange(len(sequences)), counts)
    return Targets(rows, positions_in_rows(offsets_of(counts)) + begin[rows])


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


def _window_targets(sequences: Sequences, part: Part) -> Targets:
    assert sequences.target_parts is not None
    wanted = VALID_TARGET if part == "validation" else TEST_TARGET
    events = np.flatnonzero(sequences.target_parts == wanted)
    rows = np.searchsorted(sequences.offsets, events, side="right") - 1
    return Targets(rows, events - sequences.offsets[rows])

"""What a split made of a log: how large the parts are, what cannot be hit, what leaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool

from segue.config import SplitKind
from segue.dataset.parts import Part, part_bounds, targets, training_mask
from segue.dataset.sequences import Sequences, row_blocks
from segue.dataset.splits import MIN_LENGTHS, Cuts, Split

PROMISES: dict[SplitKind, str | None] = {
    "holdout": "every sequence is in one part alone",
    "leave-one-out": "no training event of a sequence lies after its test event",
    "global-time": "no training event of the log lies after any test event",
    "windows": None,
}
"""What each split promises of training and test events; ``windows`` leaks by design."""


def part_sizes(sequences: Sequences, split: Split, table_size: int) -> dict[str, Any]:
    """Sizes of the three parts, and how many sequences are too short to have a target.

    Of validation and test also the targets outside the catalogue (``cold``), and the
    ``ceiling`` that they set on any hit rate: a share of all targets.
    """
    n_training = sum(int(mask.sum()) for _, mask in _training_blocks(sequences))
    return {
        "train": {
            "sequences": int(np.count_nonzero(sequences.train_end)),
            "events": n_training,
        },
        "validation": _predicted_part(sequences, split, "validation", table_size),
        "test": _predicted_part(sequences, split, "test", table_size),
        "too_short": int(np.count_nonzero(sequences.lengths < MIN_LENGTHS[split.kind])),
    }


def leakage(sequences: Sequences, split: Split) -> dict[str, Any]:
    """Check what the split promises.

    Returns:
        ``promise`` in words, None where there is none; ``violations`` of it, counted in
        sequences or, under ``global-time``, in events; and for information how many
        ``training_events_after_first_test_event`` there are, None without times.
    """
    later = _training_after_test(sequences, split)
    if split.kind == "holdout":
        violations = int(np.count_nonzero(~_whole(sequences)))
    elif split.kind == "leave-one-out":
        violations = _out_of_order(sequences)
    else:
        violations = later if split.kind == "global-time" else None
    return {
        "promise": PROMISES[split.kind],
        "violations": violations,
        "training_events_after_first_test_event": later,
    }


def _predicted_part(
    sequences: Sequences, split: Split, part: Part, table_size: int
) -> dict[str, Any]:
    rows, positions = targets(sequences, split, part, "every")
    begin, end = part_bounds(sequences, part)
    n_targets = len(rows)
    known = sequences.items[sequences.offsets[rows] + positions] < table_size
    n_cold = n_targets - int(np.count_nonzero(known))
    return {
        "sequences": len(np.unique(rows)),
        "events": n_targets if split.kind == "windows" else int((end - begin).sum()),
        "targets": n_targets,
        "cold_targets": n_cold,
        "cold_share": n_cold / n_targets if n_targets else 0.0,
        "ceiling": 1 - n_cold / n_targets if n_targets else 1.0,
    }


def _training_blocks(sequences: Sequences) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of events, and which of them are training events."""
    cuts = Cuts(sequences.train_end, sequences.valid_end, sequences.target_parts)
    for first, end in row_blocks(sequences.offsets):
        events = slice(int(sequences.offsets[first]), int(sequences.offsets[end]))
        yield events, training_mask(cuts, sequences.offsets, first, end)


def _whole(sequences: Sequences) -> Bool[np.ndarray, " sequences"]:
    """Whether each sequence is in one part alone."""
    lengths, train_end, valid_end = sequences.lengths, sequences.train_end, sequences.valid_end
    held_out = (train_end == 0) & ((valid_end == 0) | (valid_end == lengths))
    return held_out | (train_end == lengths)


def _out_of_order(sequences: Sequences) -> int:
    """How many sequences have a training event later than their first test event."""
    if sequences.times is None:
        return 0  # the order of the log is all there is, and the cuts follow it
    both = np.flatnonzero((sequences.train_end > 0) & (sequences.valid_end < sequences.lengths))
    begins = sequences.offsets[both]
    last_training = sequences.times[begins + sequences.train_end[both] - 1]
    first_test = sequences.times[begins + sequences.valid_end[both]]
    return int(np.count_nonzero(last_training > first_test))


def _training_after_test(sequences: Sequences, split: Split) -> int | None:
    """Training events later than the first test event of the whole log."""
    times = sequences.times
    if times is None:
        return None
    rows, positions = targets(sequences, split, "test", "every")
    if not len(rows):
        return 0
    first = times[sequences.offsets[rows] + positions].min()
    return sum(
        int(np.count_nonzero(times[events][mask] > first))
        for events, mask in _training_blocks(sequences)
    )

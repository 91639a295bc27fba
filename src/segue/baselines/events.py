"""The events that a baseline may learn from, by blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64

from segue.axes import N_SPECIALS, spans
from segue.dataset import Dataset
from segue.dataset.sequences import TEST_TARGET, row_blocks


class FittingEvents(NamedTuple):
    """Events of the catalogue, in order, of some whole sequences end to end.

    Attributes:
        rows: the sequence of each event.
        items: item indices, all in the catalogue.
        times: microseconds since 1970, where the log has them.
        learnable: whether an event may be learnt as what comes next. All may, save for
            the held-out targets of the split ``windows``, which are context there.
    """

    rows: Int64[np.ndarray, " events"]
    items: Int32[np.ndarray, " events"]
    times: Int64[np.ndarray, " events"] | None
    learnable: Bool[np.ndarray, " events"]


def fitting_events(
    dataset: Dataset, refit: bool = False, block_events: int | None = None
) -> Iterator[FittingEvents]:
    """Training events, and validation events too for a refit, in the dataset's order.

    Args:
        block_events: events read at a time, as ``row_blocks`` takes them.
    """
    sequences = dataset.sequences
    ends = sequences.valid_end if refit else sequences.train_end
    for first, end in row_blocks(sequences.offsets, block_events):
        lengths = ends[first:end].astype(np.int64)
        where = spans(sequences.offsets[first:end], lengths)
        rows = np.repeat(np.arange(first, end), lengths)
        items = sequences.items[where]
        known = (items >= N_SPECIALS) & (items < dataset.table_size)
        where, rows, items = where[known], rows[known], items[known]
        parts = sequences.target_parts
        yield FittingEvents(
            rows=rows,
            items=items,
            times=None if sequences.times is None else sequences.times[where],
            learnable=np.ones(len(rows), bool) if parts is None else parts[where] != TEST_TARGET,
        )


def count_items(dataset: Dataset, refit: bool = False) -> Int64[np.ndarray, " table"]:
    """How often each item of the table may be learnt."""
    counts = np.zeros(dataset.table_size, np.int64)
    for events in fitting_events(dataset, refit):
        counts += np.bincount(events.items[events.learnable], minlength=len(counts))
    return counts

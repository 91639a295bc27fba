"""The events that a baseline may learn from, by blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from segue.axes import N_SPECIALS, spans
from segue.dataset import Dataset
from segue.dataset.sequences import TEST_TARGET, VALID_TARGET, Sequences, row_blocks


class FittingEvents(NamedTuple):
    """Events of the catalogue, in order, of some whole sequences end to end.

    Attributes:
        rows: the sequence of each event.
        items: item indices, all in the catalogue.
        times: microseconds since 1970, where the log has them.
        ratings: where the log has them, NaN for an event without one.
        learnable: whether an event may be learnt as what comes next. All may, save for
            the held-out targets of the split ``windows``, which are context there; those
            of validation may for a refit.
    """

    rows: Int64[np.ndarray, " events"]
    items: Int32[np.ndarray, " events"]
    times: Int64[np.ndarray, " events"] | None
    ratings: Float32[np.ndarray, " events"] | None
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
        yield FittingEvents(
            rows=rows,
            items=items,
            times=None if sequences.times is None else sequences.times[where],
            ratings=None if sequences.ratings is None else sequences.ratings[where],
            learnable=_learnable(sequences, where, refit),
        )


def _learnable(
    sequences: Sequences, where: Int64[np.ndarray, " events"], refit: bool
) -> Bool[np.ndarray, " events"]:
    if sequences.target_parts is None:
        return np.ones(len(where), bool)
    parts = sequences.target_parts[where]
    learnable = parts != TEST_TARGET
    return learnable if refit else learnable & (parts != VALID_TARGET)


def count_items(dataset: Dataset, refit: bool = False) -> Int64[np.ndarray, " table"]:
    """How often each item of the table may be learnt."""
    counts = np.zeros(dataset.table_size, np.int64)
    for events in fitting_events(dataset, refit):
        counts += np.bincount(events.items[events.learnable], minlength=len(counts))
    return counts

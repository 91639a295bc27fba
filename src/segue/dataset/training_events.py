"""Training events: the only definition of which events a model may learn from.

These are the events that the split assigns to the training part. With ``fit_on_validation``, the
validation events are training events too. Test events never are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from segue.dataset.dataset import Dataset
from segue.dataset.sequences import Cuts, Sequences, Spans
from segue.dataset.splits import TRAIN, VALIDATION, SplitRule
from segue.dataset.targets import FIRST_TARGET
from segue.ragged import positions_in_rows, row_blocks, span_indices
from segue.tokens import N_SPECIALS


def training_mask(
    rule: SplitRule,
    cuts: Cuts,
    offsets: Int64[np.ndarray, " bounds"],
    first: int,
    end: int,
    *,
    fit_on_validation: bool = False,
) -> Bool[np.ndarray, " events"]:
    """Which events of the rows ``first:end`` are training events.

    Args:
        cuts: the cuts of all sequences.
        offsets: the offsets of all sequences.
    """
    last_part = VALIDATION if fit_on_validation else TRAIN
    return rule.event_parts(cuts, offsets, first, end) <= last_part


def training_mask_blocks(
    rule: SplitRule, sequences: Sequences
) -> Iterator[tuple[slice, Bool[np.ndarray, " events"]]]:
    """``training_mask`` in blocks of complete sequences, each with the slice of its events."""
    for first, end in row_blocks(sequences.offsets):
        events = slice(int(sequences.offsets[first]), int(sequences.offsets[end]))
        yield events, training_mask(rule, sequences.cuts, sequences.offsets, first, end)


def readable_lengths(
    sequences: Sequences, *, fit_on_validation: bool = False
) -> Int64[np.ndarray, " sequences"]:
    """The number of events from the start of each sequence that may be read in training.

    They are its training events. Under ``windows`` the held-out targets are among them: they
    are context for their neighbours, but no training events.
    """
    ends = sequences.valid_end if fit_on_validation else sequences.train_end
    return ends.astype(np.int64)


def training_spans(sequences: Sequences) -> Spans:
    """The training events of every sequence that has any, one span per sequence.

    Not for the split ``windows``: its held-out targets lie between the training events.
    """
    assert sequences.target_parts is None, "under windows the training events are not spans"
    lengths = readable_lengths(sequences)
    rows = np.flatnonzero(lengths)
    return Spans(rows, sequences.offsets[rows], lengths[rows])


def training_targets(
    sequences: Sequences, rule: SplitRule, *, earliest: int = 0
) -> Int64[np.ndarray, " targets"]:
    """Indices into ``sequences.items`` of the training events that are targets.

    Under the split ``windows``, no event before ``FIRST_TARGET`` is one.

    Args:
        earliest: events of a sequence before this position are left out.
    """
    if rule.window is not None:
        earliest = max(earliest, FIRST_TARGET)
    indices = [np.zeros(0, np.int64)]
    for first, end in row_blocks(sequences.offsets):
        offsets = sequences.offsets[first : end + 1]
        mask = training_mask(rule, sequences.cuts, sequences.offsets, first, end)
        mask &= positions_in_rows(offsets - offsets[0]) >= earliest
        indices.append(np.flatnonzero(mask) + offsets[0])
    return np.concatenate(indices)


class EventBlock(NamedTuple):
    """Events of complete sequences that a model may read, without items outside the catalogue.

    Attributes:
        rows: the sequence of each event.
        items: item indices.
        times: microseconds since 1970; None where the log has no times.
        ratings: NaN for an event without a rating; None where the log has no ratings.
        is_training: whether an event is a training event. False only under ``windows``, for
            held-out targets that are context of their neighbours.
    """

    rows: Int64[np.ndarray, " events"]
    items: Int32[np.ndarray, " events"]
    times: Int64[np.ndarray, " events"] | None
    ratings: Float32[np.ndarray, " events"] | None
    is_training: Bool[np.ndarray, " events"]


def readable_event_blocks(
    dataset: Dataset, fit_on_validation: bool = False, block_events: int | None = None
) -> Iterator[EventBlock]:
    """The events that a model may read in training, in the dataset's order.

    Args:
        block_events: events per block, as in ``row_blocks``.
    """
    sequences, rule = dataset.sequences, dataset.split_rule
    lengths = readable_lengths(sequences, fit_on_validation=fit_on_validation)
    for first, end in row_blocks(sequences.offsets, block_events):
        mask = training_mask(
            rule, sequences.cuts, sequences.offsets, first, end, fit_on_validation=fit_on_validation
        )
        indices = span_indices(sequences.offsets[first:end], lengths[first:end])
        rows = np.repeat(np.arange(first, end), lengths[first:end])
        items = sequences.items[indices]
        in_catalogue = (items >= N_SPECIALS) & (items < dataset.vocabulary_size)
        indices, rows, items = indices[in_catalogue], rows[in_catalogue], items[in_catalogue]
        yield EventBlock(
            rows=rows,
            items=items,
            times=None if sequences.times is None else sequences.times[indices],
            ratings=None if sequences.ratings is None else sequences.ratings[indices],
            is_training=mask[indices - sequences.offsets[first]],
        )


def count_training_events(
    dataset: Dataset, fit_on_validation: bool = False
) -> Int64[np.ndarray, " vocabulary"]:
    """The number of training events of each item, by item index."""
    counts = np.zeros(dataset.vocabulary_size, np.int64)
    for events in readable_event_blocks(dataset, fit_on_validation):
        counts += np.bincount(events.items[events.is_training], minlength=len(counts))
    return counts

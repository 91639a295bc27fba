"""Filters of a log's events and sequences: pure functions over events stored end to end.

Filters that drop events keep every row, even an empty one, so that rows still match their
sequence ids. ``select_rows`` removes rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from segue.ragged import offsets_of


class RawEvents(NamedTuple):
    """A block of sequences while a log is prepared, before items have item indices.

    Attributes:
        offsets: row ``i`` consists of the events ``offsets[i]`` to ``offsets[i + 1]``, exclusive.
        items: provisional item codes; see ``ItemEncoder``.
        times: microseconds since 1970 in UTC, sorted within a row; None without times.
        ratings: NaN where an event has none; None without ratings.
    """

    offsets: Int64[np.ndarray, " bounds"]
    items: Int32[np.ndarray, " events"]
    times: Int64[np.ndarray, " events"] | None
    ratings: Float32[np.ndarray, " events"] | None

    @property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """Number of events in each row."""
        return np.diff(self.offsets)


def select_events(events: RawEvents, mask: Bool[np.ndarray, " events"]) -> RawEvents:
    """Keep the events where the mask is true; rows may become empty."""
    n_before = np.concatenate([[0], np.cumsum(mask)])
    return RawEvents(
        n_before[events.offsets],
        events.items[mask],
        None if events.times is None else events.times[mask],
        None if events.ratings is None else events.ratings[mask],
    )


def select_rows(events: RawEvents, mask: Bool[np.ndarray, " rows"]) -> RawEvents:
    """Keep the rows where the mask is true, with their events."""
    lengths = events.lengths
    selected = select_events(events, np.repeat(mask, lengths))
    return selected._replace(offsets=offsets_of(lengths[mask]))


def drop_low_ratings(events: RawEvents, min_rating: float) -> RawEvents:
    """Drop events with a rating below ``min_rating`` or without one. The log must have ratings."""
    assert events.ratings is not None
    return select_events(events, events.ratings >= min_rating)


def drop_consecutive_repeats(events: RawEvents) -> RawEvents:
    """Keep the first of consecutive events with the same item."""
    mask = row_starts(events)
    mask[1:] |= events.items[1:] != events.items[:-1]
    return select_events(events, mask)


def split_sessions(
    events: RawEvents, gap_us: int
) -> tuple[RawEvents, Int64[np.ndarray, " sessions"]]:
    """Cut rows where two consecutive events lie more than ``gap_us`` microseconds apart.

    The events must have times.

    Returns:
        The events with one row per session, none of them empty, and the row that each session
        was cut from.
    """
    assert events.times is not None
    is_start = row_starts(events)
    is_start[1:] |= np.diff(events.times) > gap_us
    starts = np.flatnonzero(is_start)
    offsets = np.append(starts, len(events.items))
    parents = np.searchsorted(events.offsets, starts, side="right") - 1
    return events._replace(offsets=offsets), parents


def session_numbers(parents: Int64[np.ndarray, " sessions"]) -> Int64[np.ndarray, " sessions"]:
    """Number the sessions of each parent 1, 2, 3, ...; ``parents`` must be sorted."""
    first = np.searchsorted(parents, parents, side="left")
    return np.arange(len(parents)) - first + 1


def row_starts(events: RawEvents) -> Bool[np.ndarray, " events"]:
    """Whether each event is the first of its row."""
    mask = np.zeros(len(events.items), dtype=bool)
    mask[events.offsets[:-1][events.lengths > 0]] = True
    return mask

"""Which events of a log are kept: pure functions over events laid end to end.

Each takes whole sequences and returns whole sequences. Filters that drop events keep every
row, even an empty one, so that rows still match their ids; ``drop_rows`` removes them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from segue.axes import offsets_of


class Events(NamedTuple):
    """Some sequences on their way through ``prepare``.

    Attributes:
        offsets: row ``i`` owns the events ``offsets[i]`` up to ``offsets[i + 1]``.
        items: provisional codes of the items; see ``ItemEncoder``.
        times: microseconds since 1970 in UTC, in order within a row; None without times.
        ratings: NaN where an event has none; None without ratings.
    """

    offsets: Int64[np.ndarray, " bounds"]
    items: Int32[np.ndarray, " events"]
    times: Int64[np.ndarray, " events"] | None
    ratings: Float32[np.ndarray, " events"] | None

    @property
    def lengths(self) -> Int64[np.ndarray, " rows"]:
        """Events in each row."""
        return np.diff(self.offsets)


def keep_events(events: Events, kept: Bool[np.ndarray, " events"]) -> Events:
    """Drop the events that are not ``kept``; rows may become empty."""
    before = np.concatenate([[0], np.cumsum(kept)])
    return Events(
        before[events.offsets],
        events.items[kept],
        None if events.times is None else events.times[kept],
        None if events.ratings is None else events.ratings[kept],
    )


def drop_rows(events: Events, kept: Bool[np.ndarray, " rows"]) -> Events:
    """Drop the rows that are not ``kept``, with their events."""
    lengths = events.lengths
    rest = keep_events(events, np.repeat(kept, lengths))
    return rest._replace(offsets=offsets_of(lengths[kept]))


def at_least_rated(events: Events, min_rating: float) -> Events:
    """Drop events rated lower, or not rated. The events must have ratings."""
    assert events.ratings is not None
    return keep_events(events, events.ratings >= min_rating)


def drop_consecutive_repeats(events: Events) -> Events:
    """Keep the first of several events of one item in direct succession."""
    new = starts(events)
    new[1:] |= events.items[1:] != events.items[:-1]
    return keep_events(events, new)


def sessions(events: Events, gap_us: int) -> tuple[Events, Int64[np.ndarray, " sessions"]]:
    """Cut rows where two neighbouring events lie more than ``gap_us`` microseconds apart.

    The events must have times.

    Returns:
        The events with a row a session, none of them empty, and the former row of each.
    """
    assert events.times is not None
    new = starts(events)
    new[1:] |= np.diff(events.times) > gap_us
    begins = np.flatnonzero(new)
    offsets = np.append(begins, len(events.items))
    parents = np.searchsorted(events.offsets, begins, side="right") - 1
    return events._replace(offsets=offsets), parents


def ordinals(parents: Int64[np.ndarray, " sessions"]) -> Int64[np.ndarray, " sessions"]:
    """1, 2, 3, ... for the sessions of each parent; ``parents`` never falls."""
    first = np.searchsorted(parents, parents, side="left")
    return np.arange(len(parents)) - first + 1


def starts(events: Events) -> Bool[np.ndarray, " events"]:
    """Whether each event is the first of its row."""
    mask = np.zeros(len(events.items), dtype=bool)
    mask[events.offsets[:-1][events.lengths > 0]] = True
    return mask

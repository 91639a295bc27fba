"""Sums over all prefixes of all sequences: the normal equations of next-item regressions.

Every event but the first of a sequence is the target of the events before it. A source event i
weighs w(t_i) = max(floor, exp(-(t_target - t_i) / scale)) for a target, with times t in seconds or
in events. The Gram matrix of the sources adds w(t_i) w(t_j) for every pair of events and every
target after both. Target by target that takes the cube of the length of a sequence. Here the
targets after a pair are divided in three spans, where both events weigh by their age, one of them
has reached the floor, or both have. The sum over a span is a difference of two geometric sums,
which a pass from the last event back has computed for every event; so each pair takes a constant
time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from segue.ragged import offsets_of, row_blocks

PAIRS_PER_BLOCK = 1 << 17
"""Pairs of events added up at a time, so that their arrays stay in cache."""


@dataclass(frozen=True)
class SourceWeights:
    """The weight of a source event by its age at the target.

    Attributes:
        scale: the age at which the weight has fallen to 1/e, in the unit of the ages.
        floor: the least weight.
        length: number of last events before a target that are sources.
    """

    scale: float
    floor: float
    length: int


class NormalEquations(NamedTuple):
    """Sums over all targets of the products of source weights.

    Attributes:
        gram: entry (a, b) is the sum of the weights of a times those of b.
        targets: entry (a, b) is the sum of the weights of a over the targets that are b.
    """

    gram: Float64[np.ndarray, "items items"]
    targets: Float64[np.ndarray, "items items"]


def add_prefixes(
    equations: NormalEquations,
    weights: SourceWeights,
    rows: Int64[np.ndarray, " events"],
    items: Int[np.ndarray, " events"],
    ages: Float64[np.ndarray, " events"],
    is_target: Bool[np.ndarray, " events"],
) -> None:
    """Add the prefixes of some sequences to ``equations``, in place.

    To the Gram matrix each pair is added once, in the order of its events, and half of an event
    with itself; ``symmetric`` completes the sum.

    Args:
        equations: the sums so far.
        weights: how much a source event weighs.
        rows: the sequence of each event, ascending.
        items: the item of each event, as a row of the matrices.
        ages: when each event happened, in the unit of ``weights.scale``; ascending in a sequence.
        is_target: whether an event is a target; those that are not are sources only.
    """
    prefixes = _Prefixes(weights, rows, ages, is_target)
    size = len(equations.gram)
    gram, targets = equations.gram.reshape(-1), equations.targets.reshape(-1)
    # The events that follow an event within the length bound its number of pairs.
    n_pairs = np.minimum(prefixes.last - np.arange(len(rows)), weights.length) + 1
    for first, end in row_blocks(offsets_of(n_pairs), PAIRS_PER_BLOCK):
        sources = np.repeat(np.arange(first, end), n_pairs[first:end])
        offsets = offsets_of(n_pairs[first:end])
        later = sources + np.arange(offsets[-1]) - np.repeat(offsets[:-1], n_pairs[first:end])
        decay = prefixes.decay(sources, later)
        pair_weights = prefixes.pair_weights(sources, later, decay)
        pair_weights[sources == later] /= 2
        cells = items[sources] * size + items[later]
        np.add.at(gram, cells, pair_weights)
        is_next = (later > sources) & is_target[later]
        np.add.at(targets, cells[is_next], np.maximum(decay[is_next], weights.floor))


def symmetric(half: Float64[np.ndarray, "items items"]) -> Float64[np.ndarray, "items items"]:
    """The Gram matrix from the sums of ``add_prefixes``."""
    return half + half.T


class _Prefixes:
    """Sums of source weights over the targets of some sequences.

    Attributes:
        last: the last event of the sequence of each event.
    """

    def __init__(
        self,
        weights: SourceWeights,
        rows: Int64[np.ndarray, " events"],
        ages: Float64[np.ndarray, " events"],
        is_target: Bool[np.ndarray, " events"],
    ) -> None:
        self._weights = weights
        self._ages = ages
        self._targets_until = np.cumsum(is_target)
        events = np.arange(len(rows))
        ends = np.searchsorted(rows, rows, side="right")
        self.last = ends - 1
        self._floor_from = self._events_at_floor(rows, ends)
        distance_to_last = self.last - events
        by_distance = np.argsort(distance_to_last, kind="stable")
        bounds = np.searchsorted(
            distance_to_last[by_distance], np.arange(1, distance_to_last.max(initial=0) + 2)
        )
        # Entry j sums exp(-(t_k - t_j) / scale), or its square, over the targets k after j.
        self._sums = np.zeros(len(rows) + 1)
        self._square_sums = np.zeros(len(rows) + 1)
        for start, end in pairwise(bounds.tolist()):
            selected = by_distance[start:end]
            following = selected + 1
            step, counts = self.decay(selected, following), is_target[following]
            self._sums[selected] = step * (counts + self._sums[following])
            self._square_sums[selected] = step**2 * (counts + self._square_sums[following])

    def pair_weights(
        self,
        first: Int64[np.ndarray, " pairs"],
        second: Int64[np.ndarray, " pairs"],
        decay: Float64[np.ndarray, " pairs"],
    ) -> Float64[np.ndarray, " pairs"]:
        """The products of the weights of two events, summed over the targets after both.

        Args:
            first: the earlier event of each pair, or the same one.
            second: the later event.
            decay: from the first to the second event.
        """
        floor = self._weights.floor
        # A span is given by the event before its first target and by its last target.
        end = np.minimum(self.last[second], first + self._weights.length)
        if floor <= 0:
            return decay * self._span(self._square_sums, second, end, power=2)
        first_at_floor = np.clip(self._floor_from[first] - 1, second, end)
        both_at_floor = np.clip(self._floor_from[second] - 1, first_at_floor, end)
        neither = decay * self._span(self._square_sums, second, first_at_floor, power=2)
        one = self.decay(second, first_at_floor) * self._span(
            self._sums, first_at_floor, both_at_floor, power=1
        )
        both = self._targets_until[end] - self._targets_until[both_at_floor]
        return neither + floor * one + floor**2 * both

    def decay(
        self, earlier: Int64[np.ndarray, " n"], later: Int64[np.ndarray, " n"]
    ) -> Float64[np.ndarray, " n"]:
        """The decay of the weight from one event to a later one of its sequence."""
        return np.exp((self._ages[earlier] - self._ages[later]) / self._weights.scale)

    def _span(
        self,
        sums: Float64[np.ndarray, " bounds"],
        start: Int64[np.ndarray, " n"],
        end: Int64[np.ndarray, " n"],
        power: int,
    ) -> Float64[np.ndarray, " n"]:
        """The sum over the targets start + 1, ..., end, relative to the weight at the start."""
        return sums[start] - self.decay(start, end) ** power * sums[end]

    def _events_at_floor(
        self, rows: Int64[np.ndarray, " events"], ends: Int64[np.ndarray, " events"]
    ) -> Int64[np.ndarray, " events"]:
        """The first event of the sequence for which each event has reached the floor."""
        if self._weights.floor <= 0 or not len(rows):
            return ends
        ages = self._ages - self._ages.min()
        limit = -self._weights.scale * np.log(self._weights.floor)
        # Sequences are laid end to end, farther apart than the limit, to search them all at once.
        shifted = ages + (rows - rows[0]) * (2 * (ages.max() + limit) + 1)
        return np.minimum(np.searchsorted(shifted, shifted + limit, side="right"), ends)

"""The task *continuation*: the rest of a sequence as a set, from some of its events.

The first m events are given, or m at random places in their order. What the sequence
holds beside them, each item once, is the set of targets; what was given is never
recommended. A sequence takes part in every m that it is longer than. With m = 0 there is no
history, only what a ranker reads of the sequence itself, such as its title.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64

from segue.axes import N_SPECIALS, Ragged
from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.evaluation.behaviour import Behaviour
from segue.evaluation.protocol import Protocol
from segue.evaluation.questions import QUESTIONS_PER_BLOCK, held_out_rows
from segue.evaluation.results import PerSequence, Result, Tally, summarise
from segue.metrics import Background, HitPlaces, continuation_metrics
from segue.ranking import Queries, Ranker


class Given(NamedTuple):
    """Which events of a sequence a ranker sees: the first ``m``, or ``m`` random ones."""

    m: int
    is_random: bool

    @property
    def label(self) -> str:
        """As printed: ``first-5``, ``random-25``."""
        return f"{'random' if self.is_random else 'first'}-{self.m}"

    def mask(self, length: int, row: int, seed: int) -> Bool[np.ndarray, " events"]:
        """Which of a sequence's events are given; the same whatever else is evaluated."""
        mask = np.zeros(length, bool)
        if self.is_random:
            rng = np.random.default_rng([seed, self.m, row])
            mask[rng.choice(length, self.m, replace=False)] = True
        else:
            mask[: self.m] = True
        return mask


@dataclass(frozen=True)
class _Questions:
    """One question a sequence: what is given, and the set that is wanted.

    Attributes:
        unknown_targets: targets outside the catalogue, wanted or dropped.
        repeats: events of the rest that were given, or that repeat one before them.
    """

    rows: Int64[np.ndarray, " questions"]
    given: Ragged
    wanted: Ragged
    unknown_targets: int
    repeats: int

    def blocks(self, size: int) -> Iterator[tuple[Queries, Ragged]]:
        """Queries with the targets of each, some at a time."""
        for begin in range(0, len(self.rows), size):
            end = min(begin + size, len(self.rows))
            given = self.given.slice(begin, end)
            yield Queries(given, given, self.rows[begin:end]), self.wanted.slice(begin, end)


def measure_continuation(
    rankers: Sequence[Ranker],
    data: Dataset,
    protocol: Protocol,
    block_size: int | None,
    background: Background | None = None,
) -> list[list[Result]]:
    """Continue every sequence of the part: for each way of giving, one result a ranker.

    A way of giving that no sequence is long enough for has no results.

    Args:
        background: asks for the behaviour of the lists too.

    Raises:
        DatasetError: no sequence is long enough for any of them.
    """
    rows = held_out_rows(data, protocol)
    ways = [Given(m, False) for m in protocol.given]
    ways += [Given(m, True) for m in protocol.given_random]
    artists = data.items.codes("artist")
    size = block_size or QUESTIONS_PER_BLOCK
    measured = []
    for way in ways:
        questions = _questions(data, protocol, way, rows)
        if len(questions.rows):
            measured.append(
                [
                    _measure(ranker, questions, way, protocol, artists, size, background)
                    for ranker in rankers
                ]
            )
    if not measured:
        raise DatasetError(
            f"no sequence of the {protocol.part} part of {data.name} can be continued",
            f"the longest has {data.sequences.lengths[rows].max(initial=0)} events: give fewer",
        )
    return measured


def _questions(
    data: Dataset, protocol: Protocol, way: Given, rows: Int64[np.ndarray, " rows"]
) -> _Questions:
    """The questions of all sequences that are longer than what is given.

    A sequence that leaves nothing to ask for, as its rest only repeats what is given, is
    left out.
    """
    kept, given, wanted, unknown_targets, repeats = [], [], [], 0, 0
    for row in rows[data.sequences.lengths[rows] > way.m].tolist():
        events = data.sequences.row(row)
        mask = way.mask(len(events), row, protocol.options.seed)
        rest = np.setdiff1d(events[~mask], events[mask])
        known = rest < data.table_size
        unknown_targets += int(np.count_nonzero(~known))
        repeats += int(np.count_nonzero(~mask)) - len(rest)
        if protocol.options.unknown_targets == "drop":
            rest = rest[known]
        if len(rest):
            kept.append(row)
            given.append(events[mask])
            wanted.append(rest)
    return _Questions(
        np.array(kept, np.int64), Ragged.of(given), Ragged.of(wanted), unknown_targets, repeats
    )


def _measure(
    ranker: Ranker,
    questions: _Questions,
    way: Given,
    protocol: Protocol,
    artists: Int32[np.ndarray, " indices"] | None,
    block_size: int,
    background: Background | None,
) -> Result:
    """One ranker's figures for one way of giving."""
    found = []
    ks = [k for k in protocol.ks if k <= protocol.list_length]
    behaviour = None if background is None else Behaviour(background, ks)
    for queries, wanted in questions.blocks(block_size):
        items = ranker.top(queries, protocol.list_length).items
        hits = _hits(items, wanted, artists)
        found.append(continuation_metrics(hits))
        if behaviour is not None:
            behaviour.add(queries, items, hits.tracks)
    metrics = {name: np.concatenate([block[name] for block in found]) for name in found[0]}
    scores = PerSequence.of(questions.rows, metrics)
    tally = Tally(questions.unknown_targets, questions.repeats, _ceiling(questions, protocol))
    result = summarise(ranker.name, "continuation", way.label, scores, tally, protocol)
    return result if behaviour is None else behaviour.join(result, questions.rows, protocol)


def _hits(
    items: Int32[np.ndarray, "batch places"],
    wanted: Ragged,
    artists: Int32[np.ndarray, " indices"] | None,
) -> HitPlaces:
    """Mark the places of lists that hold a target, or the artist of one."""
    n_targets = np.diff(wanted.offsets)
    place_rows = np.arange(len(items))[:, None]
    wanted_rows = np.repeat(np.arange(len(items)), n_targets)
    tracks = np.isin(_keys(place_rows, items), _keys(wanted_rows, wanted.values))
    if artists is None:
        return HitPlaces(tracks, None, n_targets)
    wanted_artists = _keys(wanted_rows, artists[wanted.values])[artists[wanted.values] >= 0]
    keys = _keys(place_rows, artists[items])
    right = np.flatnonzero(np.isin(keys, wanted_artists) & ~tracks)
    _, first = np.unique(keys.ravel()[right], return_index=True)
    firsts = np.zeros(tracks.size, bool)
    firsts[right[first]] = True
    return HitPlaces(tracks, firsts.reshape(tracks.shape), n_targets)


def _keys(rows: np.ndarray, values: np.ndarray) -> Int64[np.ndarray, "..."]:
    """One number for each value of a row, so that rows are matched all at once."""
    return (rows.astype(np.int64) << 32) + values


def _ceiling(questions: _Questions, protocol: Protocol) -> float:
    """Mean R-precision of lists that begin with every target that is a candidate."""
    table_size = N_SPECIALS + protocol.candidates
    n_targets = np.diff(questions.wanted.offsets)
    rows = np.repeat(np.arange(len(n_targets)), n_targets)
    known = np.bincount(rows[questions.wanted.values < table_size], minlength=len(n_targets))
    size = np.minimum(n_targets, protocol.list_length)
    return float((np.minimum(known, size) / size).mean())

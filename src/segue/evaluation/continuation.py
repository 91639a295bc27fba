"""The continuation task: given some events of a sequence, recommend the rest as a set.

The first m events are given, or m events at random positions in their original order. The
targets are the distinct items of the rest that were not given. Given items are never
recommended. A sequence is evaluated for every m below its length. With m = 0 the history is empty,
and a ranker only has the sequence features, such as the title.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64

from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.evaluation.beyond_accuracy import BeyondAccuracy
from segue.evaluation.instances import held_out_rows
from segue.evaluation.protocol import Protocol
from segue.evaluation.results import PerSequence, Result, TargetStatistics, make_result
from segue.features import stored_features
from segue.metrics import ItemStatistics, ListHits, continuation_metrics
from segue.ragged import Ragged
from segue.ranking import Query, Ranker


class GivenEvents(NamedTuple):
    """Which events of a sequence are given: the first ``m``, or ``m`` at random positions."""

    m: int
    is_random: bool

    @property
    def label(self) -> str:
        """The printed form: ``first-5``, ``random-25``."""
        return f"{'random' if self.is_random else 'first'}-{self.m}"

    def mask(self, length: int, row: int, seed: int) -> Bool[np.ndarray, " events"]:
        """Which events of a sequence are given; depends on its row and the seed only.

        Args:
            length: number of events of the sequence.
            row: the sequence, as a row of the dataset.
        """
        mask = np.zeros(length, bool)
        if self.is_random:
            rng = np.random.default_rng([seed, self.m, row])
            mask[rng.choice(length, self.m, replace=False)] = True
        else:
            mask[: self.m] = True
        return mask

    def split(
        self, events: Int32[np.ndarray, " events"], row: int, seed: int
    ) -> tuple[Int32[np.ndarray, " given"], Int32[np.ndarray, " rest"]]:
        """The given events of a sequence, and the distinct items of the rest that are not given."""
        mask = self.mask(len(events), row, seed)
        return events[mask], np.setdiff1d(events[~mask], events[mask])


@dataclass(frozen=True)
class _ContinuationInstances:
    """One instance per sequence: the given events and the set of targets.

    Attributes:
        query: one request per sequence; its history is the given events, in order.
        targets: the distinct target items.
        is_known: whether each target may be recommended; else it counts as unknown.
        unknown_targets: number of unknown targets, including dropped ones.
        repeats: number of events of the rest whose item was given or occurs earlier in the rest.
    """

    query: Query
    targets: Ragged
    is_known: Bool[np.ndarray, " targets"]
    unknown_targets: int
    repeats: int

    def blocks(self, size: int) -> Iterator[tuple[Query, Ragged]]:
        """Blocks of at most ``size`` requests, with the targets of each request."""
        for block, query in self.query.blocks(size):
            yield query, self.targets.slice(block.start, block.stop)


def measure_continuation(
    rankers: Sequence[Ranker],
    data: Dataset,
    protocol: Protocol,
    block_size: int,
    item_statistics: ItemStatistics | None = None,
) -> list[list[Result]]:
    """Continue every sequence of the part, for each setting of given events.

    Args:
        item_statistics: if given, the beyond-accuracy metrics of the lists are measured too.

    Returns:
        For each setting, one result per ranker. A setting for which no sequence is long
        enough is left out.

    Raises:
        DatasetError: no sequence is long enough for any setting.
    """
    rows = held_out_rows(data, protocol)
    settings = [GivenEvents(m, False) for m in protocol.given]
    settings += [GivenEvents(m, True) for m in protocol.given_random]
    artists = data.items.category_codes("artist")
    results = []
    for given_events in settings:
        instances = _instances(data, protocol, given_events, rows)
        if len(instances.query):
            results.append(
                [
                    _measure(
                        ranker,
                        instances,
                        given_events,
                        protocol,
                        artists,
                        block_size,
                        item_statistics,
                    )
                    for ranker in rankers
                ]
            )
    if not results:
        raise DatasetError(
            f"no sequence of the {protocol.part} part of {data.name} can be continued",
            f"the longest has {data.sequences.lengths[rows].max(initial=0)} events: give fewer",
        )
    return results


def _instances(
    data: Dataset, protocol: Protocol, given_events: GivenEvents, rows: Int64[np.ndarray, " rows"]
) -> _ContinuationInstances:
    """The instances of all sequences that are longer than the number of given events.

    A sequence whose rest contains only given items has no target and is left out.
    """
    instance_rows, given, targets, unknown_targets, repeats = [], [], [], 0, 0
    for row in rows[data.sequences.lengths[rows] > given_events.m].tolist():
        events = data.sequences.row(row)
        given_items, target_items = given_events.split(events, row, protocol.options.seed)
        is_known = data.is_candidate[target_items]
        unknown_targets += int(np.count_nonzero(~is_known))
        repeats += len(events) - given_events.m - len(target_items)
        if protocol.options.unknown_targets == "drop":
            target_items = target_items[is_known]
        if len(target_items):
            instance_rows.append(row)
            given.append(given_items)
            targets.append(target_items)
    all_rows, histories = np.array(instance_rows, np.int64), Ragged.from_rows(given)
    all_targets = Ragged.from_rows(targets)
    query = Query(
        histories,
        seen=histories,
        rows=all_rows,
        k=protocol.list_length,
        sequence_features=stored_features(data.sequences, all_rows),
    )
    return _ContinuationInstances(
        query, all_targets, data.is_candidate[all_targets.values], unknown_targets, repeats
    )


def _measure(
    ranker: Ranker,
    instances: _ContinuationInstances,
    given_events: GivenEvents,
    protocol: Protocol,
    artists: Int32[np.ndarray, " indices"] | None,
    block_size: int,
    item_statistics: ItemStatistics | None,
) -> Result:
    """One ranker's metrics for one setting of given events."""
    block_metrics = []
    ks = [k for k in protocol.ks if k <= protocol.list_length]
    beyond_accuracy = None if item_statistics is None else BeyondAccuracy(item_statistics, ks)
    for query, targets in instances.blocks(block_size):
        items = ranker.top(query).items
        hits = _hits(items, targets, artists)
        block_metrics.append(continuation_metrics(hits))
        if beyond_accuracy is not None:
            beyond_accuracy.add(query, items, hits.is_target)
    metrics = {
        name: np.concatenate([block[name] for block in block_metrics]) for name in block_metrics[0]
    }
    result = make_result(
        ranker.name,
        "continuation",
        given_events.label,
        PerSequence.from_instances(instances.query.rows, metrics),
        TargetStatistics(
            instances.unknown_targets, instances.repeats, _ceiling(instances, protocol)
        ),
        protocol,
    )
    if beyond_accuracy is None:
        return result
    return beyond_accuracy.extend(result, instances.query.rows, protocol)


def _hits(
    items: Int32[np.ndarray, "batch length"],
    targets: Ragged,
    artists: Int32[np.ndarray, " indices"] | None,
) -> ListHits:
    """Mark the positions of lists that contain a target, or an item by the artist of a target.

    Args:
        artists: artist id of each item index, negative for an item without an artist.
    """
    n_targets = np.diff(targets.offsets)
    list_rows = np.arange(len(items))[:, None]
    target_rows = np.repeat(np.arange(len(items)), n_targets)
    is_target = np.isin(_keys(list_rows, items), _keys(target_rows, targets.values))
    if artists is None:
        return ListHits(is_target, None, n_targets)
    target_artists = artists[targets.values]
    target_keys = _keys(target_rows, target_artists)[target_artists >= 0]
    item_keys = _keys(list_rows, artists[items])
    matches = np.flatnonzero(np.isin(item_keys, target_keys) & ~is_target)
    _, first_of_artist = np.unique(item_keys.ravel()[matches], return_index=True)
    is_artist_match = np.zeros(is_target.size, bool)
    is_artist_match[matches[first_of_artist]] = True
    return ListHits(is_target, is_artist_match.reshape(is_target.shape), n_targets)


def _keys(rows: np.ndarray, values: np.ndarray) -> Int64[np.ndarray, "..."]:
    """One integer per pair of row and value, so that all rows can be matched at once."""
    return (rows.astype(np.int64) << 32) + values


def _ceiling(instances: _ContinuationInstances, protocol: Protocol) -> float:
    """Mean R-precision of lists that start with every target that is known."""
    n_targets = np.diff(instances.targets.offsets)
    rows = np.repeat(np.arange(len(n_targets)), n_targets)
    n_known = np.bincount(rows[instances.is_known], minlength=len(n_targets))
    size = np.minimum(n_targets, protocol.list_length)
    return float((np.minimum(n_known, size) / size).mean())

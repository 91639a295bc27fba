"""The people of a held-out part one by one: history, truth, and the rank of what came next.

The targets, histories and candidates are those of ``segue.evaluate``, and so are the ranks.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64

from segue.config import EvaluationConfig
from segue.dataset import Dataset, SplitPart, Targets
from segue.errors import DatasetError
from segue.evaluation.instances import EvaluationInstances, evaluation_instances
from segue.evaluation.next_item import rank_targets
from segue.evaluation.protocol import Protocol, resolve_protocol
from segue.ragged import span_indices
from segue.ranking import Ranker

MAX_PEOPLE = 2_000
MAX_TARGETS = 20_000
"""Of more people or targets a random sample is ranked, which takes bounded time and memory."""
MAX_TARGETS_PER_PERSON = 200
"""Of more targets of one person, those of the end are shown."""
TARGETS_PER_BLOCK = 32
"""Few, so that other computations have their turn between the blocks."""

Watch = Callable[[int], None]
"""Called with the number of targets that are ranked; an exception ends the work."""


class RankedPerson(NamedTuple):
    """A person with the worst rank of a target.

    Attributes:
        row: the sequence, as a row of the dataset.
        n_targets: number of targets.
        worst_rank: from 1; 0 if no target can be recommended.
        target: item index of the target with this rank.
    """

    row: int
    n_targets: int
    worst_rank: int
    target: int


class PersonTargets(NamedTuple):
    """All that is known of one person.

    Attributes:
        history: item indices of the events before the shown target, oldest first.
        targets: item indices of all targets.
        ranks: of each target by the first ranker; 0 if it cannot be recommended.
        shown: the number of the target whose lists are shown: that with the worst rank.
        shown_ranks: the rank of this target by each ranker.
        lists: of each ranker, the item indices of its list for the history.
    """

    history: Int32[np.ndarray, " events"]
    targets: Int32[np.ndarray, " targets"]
    ranks: Int64[np.ndarray, " targets"]
    shown: int
    shown_ranks: list[int]
    lists: list[list[int]]


class HeldOutPeople:
    """The people of the held-out part of a dataset, ranked by one ranker.

    Attributes:
        data: the dataset.
        protocol: the part, and how ``evaluate`` would measure on it.
        rows: the people that ``rank`` ranks, as rows of the dataset, in the order of their ids.
        n_people: number of people in the part.
    """

    def __init__(self, ranker: Ranker, data: Dataset, *, seed: int = 0) -> None:
        """Find the people: those of the test part, or of validation where test has no targets.

        Neither the sample nor the order of equal ranks depends on the order of the dataset, so the
        same people in another order give the same answer.

        Args:
            ranker: ranks the targets.
            data: the dataset.
            seed: of the sample.

        Raises:
            DatasetError: neither part has a target.
        """
        self.data = data
        self._ranker = ranker
        self.protocol, part_rows = _first_part(ranker, data)
        self.n_people = len(part_rows)
        self.rows, self._instances = _sample(data, self.protocol, part_rows, seed)

    @property
    def part(self) -> SplitPart:
        """The part whose events are the targets."""
        return self.protocol.part

    @property
    def n_targets(self) -> int:
        """Number of targets that ``rank`` ranks."""
        return len(self._instances)

    def rank(self, watch: Watch = lambda _: None, *, rests: bool = False) -> list[RankedPerson]:
        """Rank the targets of all people; those with the worst rank come first.

        People none of whose targets can be recommended come last.

        Args:
            watch: called after each block of targets.
            rests: whether to wait after each block for as long as it took, to leave the machine
                to other computations.
        """
        ranks = np.zeros(self.n_targets, np.int64)
        for start in range(0, self.n_targets, TARGETS_PER_BLOCK):
            start_s = time.perf_counter()
            block = slice(start, min(start + TARGETS_PER_BLOCK, self.n_targets))
            ranks[block] = self._ranks(self._block(block))
            watch(block.stop)
            if rests:
                time.sleep(time.perf_counter() - start_s)
        return _worst_first(self._instances, ranks)

    def find(self, person_id: str) -> int | None:
        """The row of a person of the part; None if there is none."""
        row = self.data.sequences.find(person_id)
        if row is None or not len(self._targets_of(row)):
            return None
        return row

    def person(self, row: int, rankers: Sequence[Ranker], k: int) -> PersonTargets:
        """History, targets, ranks and lists of a person.

        Args:
            row: from ``find`` or ``rank``.
            rankers: whose lists are wanted.
            k: length of the lists.
        """
        instances = self._targets_of(row)
        ranks = self._ranks(instances)
        shown = _worst(ranks)
        one = instances.select(np.arange(len(instances)) == shown)
        ((_, block),) = one.blocks(1)
        return PersonTargets(
            block.query.histories.row(0),
            instances.targets,
            ranks,
            shown,
            [int(ranks_of(ranker, one)[0]) for ranker in rankers],
            [_listed(ranker.top(block.query.with_k(k)).items[0]) for ranker in rankers],
        )

    def _ranks(self, instances: EvaluationInstances) -> Int64[np.ndarray, " targets"]:
        return ranks_of(self._ranker, instances)

    def _block(self, block: slice) -> EvaluationInstances:
        every = self._instances
        return EvaluationInstances(
            self.data, self.protocol, every.rows[block], every.positions[block]
        )

    def _targets_of(self, row: int) -> EvaluationInstances:
        rows = np.array([row], np.int64)
        targets = self.data.targets(self.part, self.protocol.targets, rows=rows)
        last = slice(-MAX_TARGETS_PER_PERSON, None)
        return EvaluationInstances(
            self.data, self.protocol, targets.rows[last], targets.positions[last]
        )


def ranks_of(ranker: Ranker, instances: EvaluationInstances) -> Int64[np.ndarray, " targets"]:
    """The rank of each target by a ranker; 0 for one that cannot be recommended."""
    return rank_targets([ranker], instances, TARGETS_PER_BLOCK).ranks[0]


def _listed(items: Int32[np.ndarray, " k"]) -> list[int]:
    return items[items > 0].tolist()


def _first_part(ranker: Ranker, data: Dataset) -> tuple[Protocol, Int64[np.ndarray, " rows"]]:
    """The first part of test and validation that has targets, and its people, ordered by id."""
    parts: tuple[SplitPart, ...] = ("test", "validation")
    for part in parts:
        protocol = resolve_protocol([ranker], data, part, EvaluationConfig())
        try:
            rows = np.unique(evaluation_instances(data, protocol).rows)
        except DatasetError:
            continue
        return protocol, rows[_order_of_ids(data, rows)]
    message = f"neither the test nor the validation part of {data.name} has a target"
    raise DatasetError(message, "prepare it with a split that holds events out")


def _order_of_ids(data: Dataset, rows: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    """The indices that sort rows by the ids of their sequences."""
    ids = data.sequences.ids.take(pa.array(rows))
    return pc.call_function("sort_indices", [ids]).to_numpy().astype(np.int64)


def _sample(
    data: Dataset, protocol: Protocol, part_rows: Int64[np.ndarray, " rows"], seed: int
) -> tuple[Int64[np.ndarray, " people"], EvaluationInstances]:
    """At most ``MAX_PEOPLE`` people with at most ``MAX_TARGETS`` targets, or one person.

    Both are in the order of ``part_rows``.
    """
    drawn = np.random.default_rng(seed).permutation(len(part_rows))[:MAX_PEOPLE]
    n_targets, _ = _targets_by_person(data, protocol, part_rows[drawn])
    n_kept = max(1, int(np.searchsorted(np.cumsum(n_targets), MAX_TARGETS, "right")))
    rows = part_rows[np.sort(drawn[:n_kept])]
    _, targets = _targets_by_person(data, protocol, rows)
    return rows, EvaluationInstances(data, protocol, targets.rows, targets.positions)


def _targets_by_person(
    data: Dataset, protocol: Protocol, rows: Int64[np.ndarray, " people"]
) -> tuple[Int64[np.ndarray, " people"], Targets]:
    """The number of targets of each person, and all targets, in the order of the people."""
    ascending = np.sort(rows)
    targets = data.targets(protocol.part, protocol.targets, rows=ascending)
    starts = np.searchsorted(targets.rows, rows)
    counts = np.searchsorted(targets.rows, rows, "right") - starts
    order = span_indices(starts, counts)
    return counts, Targets(targets.rows[order], targets.positions[order])


def _worst(ranks: Int64[np.ndarray, " targets"]) -> int:
    """The number of the worst rank; targets that cannot be recommended have none."""
    return int(ranks.argmax())


def _worst_first(
    instances: EvaluationInstances, ranks: Int64[np.ndarray, " targets"]
) -> list[RankedPerson]:
    """The people with their worst targets; equal ranks keep the order of the people."""
    people = []
    bounds = np.flatnonzero(np.diff(instances.rows, prepend=-1, append=-1))
    for start, end in itertools.pairwise(bounds.tolist()):
        worst = start + _worst(ranks[start:end])
        person = (instances.rows[worst], end - start, ranks[worst], instances.targets[worst])
        people.append(RankedPerson(*map(int, person)))
    return sorted(people, key=lambda person: -person.worst_rank)

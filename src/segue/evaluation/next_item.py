"""The next-item task: rank each held-out target given the true events before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.evaluation.beyond_accuracy import next_item_beyond_accuracy
from segue.evaluation.instances import EvaluationInstances, evaluation_instances
from segue.evaluation.protocol import Protocol, refuse_list_rankers
from segue.evaluation.results import PerSequence, Result, TargetStatistics, make_result
from segue.metrics import ItemStatistics, next_item_metrics
from segue.ranking import Ranker

COLD_START = "cold-start"
"""Name of the slice of targets whose sequence has no event before the part (``global-time``)."""


@dataclass(frozen=True)
class TargetRanks:
    """The rank of each target, and whether it can be ranked at all.

    Attributes:
        ranks: one row per ranker; 0 for a miss.
        is_known: whether the target may be recommended.
        is_repeat: whether the target occurs earlier in its sequence.
        is_candidate: whether the target may be recommended and is not among the seen items.
    """

    ranks: Int64[np.ndarray, "rankers instances"]
    is_known: Bool[np.ndarray, " instances"]
    is_repeat: Bool[np.ndarray, " instances"]
    is_candidate: Bool[np.ndarray, " instances"]


def measure_next_item(
    rankers: Sequence[Ranker],
    data: Dataset,
    protocol: Protocol,
    block_size: int,
    item_statistics: ItemStatistics | None = None,
) -> list[Result]:
    """Rank every target of the part; returns one result per ranker.

    Args:
        item_statistics: if given, the beyond-accuracy metrics are measured too, over all targets
            but not for their subgroups (``Result.slices``).

    Raises:
        DatasetError: no target of the part is included in the metrics.
        RequestError: a file of lists is to be evaluated on several targets per sequence.
    """
    instances = evaluation_instances(data, protocol)
    if len(np.unique(instances.rows)) < len(instances):
        refuse_list_rankers(rankers, f"some sequences have several of the {len(instances)} targets")
    target_ranks = rank_targets(rankers, instances, block_size)
    is_cold, is_included = instances.is_cold_start, instances.is_included
    if not (is_included & ~is_cold).any():
        raise DatasetError(
            f"every target of the {protocol.part} part of {data.name} is left out",
            "each is outside the catalogue, or in a sequence that starts within the part",
        )
    results = []
    for i, ranker in enumerate(rankers):
        slices = {}
        if (is_included & is_cold).any():
            slices[COLD_START] = _result(ranker, target_ranks, i, instances, is_cold, {})
        result = _result(ranker, target_ranks, i, instances, ~is_cold, slices)
        if item_statistics is not None:
            headline_instances = instances.select(is_included & ~is_cold)
            beyond_accuracy = next_item_beyond_accuracy(
                ranker, headline_instances, item_statistics, block_size
            )
            result = beyond_accuracy.extend(result, headline_instances.rows, protocol)
        results.append(result)
    return results


def rank_targets(
    rankers: Sequence[Ranker], instances: EvaluationInstances, block_size: int
) -> TargetRanks:
    """Rank each target among all candidates, in blocks of ``block_size`` requests."""
    n = len(instances)
    target_ranks = TargetRanks(
        ranks=np.zeros((len(rankers), n), np.int64),
        is_known=instances.is_known,
        is_repeat=np.zeros(n, bool),
        is_candidate=np.zeros(n, bool),
    )
    for covered, block in instances.blocks(block_size):
        target_ranks.is_repeat[covered] = block.is_repeat
        target_ranks.is_candidate[covered] = block.is_candidate
        if not block.is_candidate.any():
            continue
        query = block.query.select(block.is_candidate)
        for i, ranker in enumerate(rankers):
            ranks = ranker.ranks(query, block.targets[block.is_candidate])
            target_ranks.ranks[i, covered][block.is_candidate] = ranks
    return target_ranks


def _result(
    ranker: Ranker,
    target_ranks: TargetRanks,
    ranker_number: int,
    instances: EvaluationInstances,
    in_slice: Bool[np.ndarray, " instances"],
    slices: dict[str, Result],
) -> Result:
    """One ranker's metrics over the instances of a slice."""
    protocol = instances.protocol
    is_counted = instances.is_included & in_slice
    metrics = next_item_metrics(target_ranks.ranks[ranker_number, is_counted], protocol.ks)
    target_statistics = TargetStatistics(
        unknown_targets=int(np.count_nonzero(in_slice & ~target_ranks.is_known)),
        repeats=int(np.count_nonzero(is_counted & target_ranks.is_repeat)),
        ceiling=float(target_ranks.is_candidate[is_counted].mean()),
    )
    per_sequence = PerSequence.from_instances(instances.rows[is_counted], metrics)
    return make_result(
        ranker.name, "next-item", None, per_sequence, target_statistics, protocol, slices
    )

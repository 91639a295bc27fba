"""The task *next item*: each target from the true events before it, by its rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.evaluation.behaviour import next_item_behaviour
from segue.evaluation.protocol import Protocol, refuse_lists
from segue.evaluation.questions import Instances, instances, only_rows
from segue.evaluation.results import PerSequence, Result, Tally, summarise
from segue.metrics import Background, next_item_metrics
from segue.ranking import Ranker

COLD_START = "cold-start"
"""The slice of targets whose sequence has no event before the part (``global-time``)."""


@dataclass(frozen=True)
class _Answers:
    """What became of each instance; ``ranks`` has a row a ranker, 0 for a miss."""

    ranks: Int64[np.ndarray, "rankers instances"]
    known: Bool[np.ndarray, " instances"]
    repeated: Bool[np.ndarray, " instances"]
    reachable: Bool[np.ndarray, " instances"]


def measure_next_item(
    rankers: Sequence[Ranker],
    data: Dataset,
    protocol: Protocol,
    block_size: int | None,
    background: Background | None = None,
) -> list[Result]:
    """Rank every target of the part: one result a ranker.

    Args:
        background: asks for the lists too, and for their behaviour; slices have none.

    Raises:
        DatasetError: the part has no target that counts.
        RequestError: a list from elsewhere is asked several questions a sequence.
    """
    asked = instances(data, protocol)
    if len(np.unique(asked.rows)) < len(asked):
        refuse_lists(rankers, f"{len(asked)} targets are asked of fewer sequences")
    answers = _ask(rankers, asked, block_size)
    cold = asked.cold
    if not (asked.counted & ~cold).any():
        raise DatasetError(
            f"no target of the {protocol.part} part of {data.name} counts",
            "each is outside the catalogue, or of a sequence that begins in the part",
        )
    results = []
    for i, ranker in enumerate(rankers):
        slices = {}
        if (asked.counted & cold).any():
            slices[COLD_START] = _result(ranker, answers, i, asked, cold, {})
        result = _result(ranker, answers, i, asked, ~cold, slices)
        if background is not None:
            counted = asked.only(asked.counted & ~cold)
            behaviour = next_item_behaviour(ranker, counted, background, block_size)
            result = behaviour.join(result, counted.rows, protocol)
        results.append(result)
    return results


def _ask(rankers: Sequence[Ranker], asked: Instances, block_size: int | None) -> _Answers:
    n = len(asked)
    answers = _Answers(
        ranks=np.zeros((len(rankers), n), np.int64),
        known=asked.wanted < asked.data.table_size,
        repeated=np.zeros(n, bool),
        reachable=np.zeros(n, bool),
    )
    for where, block in asked.blocks(block_size):
        answers.repeated[where] = block.repeated
        answers.reachable[where] = block.reachable
        if not block.reachable.any():
            continue
        queries = only_rows(block.queries, block.reachable)
        for i, ranker in enumerate(rankers):
            found = ranker.ranks(queries, block.wanted[block.reachable])
            answers.ranks[i, where][block.reachable] = found
    return answers


def _result(
    ranker: Ranker,
    answers: _Answers,
    i: int,
    asked: Instances,
    within: Bool[np.ndarray, " instances"],
    slices: dict[str, Result],
) -> Result:
    """One ranker's figures over the instances of a slice."""
    protocol = asked.protocol
    counted = asked.counted & within
    metrics = next_item_metrics(answers.ranks[i, counted], protocol.ks)
    tally = Tally(
        unknown_targets=int(np.count_nonzero(within & ~answers.known)),
        repeats=int(np.count_nonzero(counted & answers.repeated)),
        ceiling=float(answers.reachable[counted].mean()),
    )
    scores = PerSequence.of(asked.rows[counted], metrics)
    return summarise(ranker.name, "next-item", None, scores, tally, protocol, slices)

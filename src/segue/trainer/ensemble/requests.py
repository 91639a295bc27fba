"""The validation requests on which the weights of an ensemble are fitted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64

from segue.config import EvaluationConfig
from segue.dataset import Dataset
from segue.evaluation import has_targets
from segue.evaluation.continuation import GivenEvents
from segue.evaluation.instances import evaluation_instances, held_out_rows
from segue.evaluation.protocol import DEFAULT_GIVEN, DEFAULT_GIVEN_RANDOM, resolve_protocol
from segue.features import stored_features
from segue.ragged import Ragged
from segue.ranking import Query

MAX_FITTING_REQUESTS = 4_000
"""Number of requests: enough that the standard error of NDCG@10 is below .005."""
GIVEN = (
    *(GivenEvents(m, is_random=False) for m in DEFAULT_GIVEN),
    *(GivenEvents(m, is_random=True) for m in DEFAULT_GIVEN_RANDOM),
)
"""The events that are given where whole sequences are held out: those of an evaluation. So the
weights suit given events in random order too, where a transformer reads an order by chance."""


class FittingRequests(NamedTuple):
    """Validation requests, each with one target that may be recommended.

    Attributes:
        query: the requests.
        targets: item index of each target.
    """

    query: Query
    targets: Int32[np.ndarray, " batch"]

    def __len__(self) -> int:
        return len(self.targets)

    def select(self, mask: Bool[np.ndarray, " batch"]) -> FittingRequests:
        """The requests where the mask is true."""
        return FittingRequests(self.query.select(mask), self.targets[mask])


def fitting_requests(
    data: Dataset,
    seed: int = 0,
    *,
    continuation: bool = False,
    max_requests: int = MAX_FITTING_REQUESTS,
) -> FittingRequests | None:
    """Draw the validation requests of a dataset.

    Args:
        data: the dataset.
        seed: of the draw.
        continuation: whether they are those of the continuation task, in which some events of a
            held-out sequence are given, ``GIVEN`` in turn, and the target is drawn from the items
            of the rest; else those of the next-item task.
        max_requests: largest number of requests.

    Returns:
        The requests, or None if the dataset has no validation targets.
    """
    if not has_targets(data, "validation", EvaluationConfig()):
        return None
    if continuation:
        requests = _continuations(data, seed, max_requests)
    else:
        requests = _next_items(data, seed, max_requests)
    return requests if requests is not None and len(requests) else None


def _next_items(data: Dataset, seed: int, max_requests: int) -> FittingRequests | None:
    protocol = resolve_protocol([], data, "validation", EvaluationConfig())
    instances = evaluation_instances(data, protocol)
    instances = instances.select(instances.is_known & ~instances.is_cold_start)
    instances = instances.select(_drawn(len(instances), max_requests, seed))
    if not len(instances):
        return None
    [(_, block)] = instances.blocks(max(1, len(instances)))
    return FittingRequests(block.query, block.targets).select(block.is_candidate)


def _continuations(data: Dataset, seed: int, max_requests: int) -> FittingRequests | None:
    options = EvaluationConfig(max_sequences=max_requests, seed=seed)
    protocol = resolve_protocol([], data, "validation", options)
    random = np.random.default_rng(seed)
    rows: list[int] = []
    given: list[np.ndarray] = []
    targets: list[int] = []
    for row in held_out_rows(data, protocol).tolist():
        events = data.sequences.row(row)
        for given_events in GIVEN:
            if len(events) <= given_events.m:
                continue
            given_items, rest = given_events.split(events, row, seed)
            rest = rest[data.is_candidate[rest]]
            if len(rest):
                rows.append(row)
                given.append(given_items)
                targets.append(int(random.choice(rest)))
    if not targets:
        return None
    histories = Ragged.from_rows(given)
    query_rows: Int64[np.ndarray, " batch"] = np.array(rows, np.int64)
    query = Query(
        histories,
        seen=histories,
        rows=query_rows,
        sequence_features=stored_features(data.sequences, query_rows),
    )
    requests = FittingRequests(query, np.array(targets, np.int32))
    return requests.select(_drawn(len(requests), max_requests, seed))


def _drawn(n: int, limit: int, seed: int) -> Bool[np.ndarray, " n"]:
    """A mask of at most ``limit`` of ``n`` requests."""
    mask = np.zeros(n, bool)
    mask[np.random.default_rng(seed).permutation(n)[:limit]] = True
    return mask

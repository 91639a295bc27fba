"""Evaluation results: means with confidence intervals, and the sums per sequence behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from segue.config import Task
from segue.evaluation.protocol import Protocol
from segue.evaluation.statistics import bootstrap_means, interval95


class Estimate(NamedTuple):
    """A mean over instances and its 95 % confidence interval.

    The interval is None if none was requested, and for metrics that are not means but describe
    all lists together.
    """

    mean: float
    ci95: tuple[float, float] | None


class TargetStatistics(NamedTuple):
    """Properties of the targets of a result; the same for every ranker.

    Attributes:
        unknown_targets: number of targets outside the catalogue, whether they count as misses
            or are dropped.
        repeats: number of events to predict whose item occurs earlier in the sequence.
        ceiling: the best value that a ranker can reach: for next items the share of targets
            that are candidates, for continuation the mean R-precision of the best list.
    """

    unknown_targets: int
    repeats: int
    ceiling: float


@dataclass(frozen=True)
class PerSequence:
    """Metrics summed over the instances of each sequence.

    Attributes:
        rows: the sequences, as rows of the dataset, ascending.
        counts: number of instances of each sequence.
        sums: by metric, the sum over the instances of each sequence.
    """

    rows: Int64[np.ndarray, " sequences"]
    counts: Int64[np.ndarray, " sequences"]
    sums: dict[str, Float64[np.ndarray, " sequences"]]

    @classmethod
    def from_instances(
        cls,
        rows: Int64[np.ndarray, " instances"],
        values: Mapping[str, Float64[np.ndarray, " instances"]],
    ) -> PerSequence:
        """Sum the values of each metric by sequence.

        Args:
            rows: the sequence of each instance.
            values: by metric, one value per instance.
        """
        distinct, numbers, counts = np.unique(rows, return_inverse=True, return_counts=True)
        sums = {name: np.bincount(numbers, value, len(distinct)) for name, value in values.items()}
        return cls(distinct, counts, sums)


@dataclass(frozen=True)
class Result:
    """The metrics of one ranker on one task, with one setting of given events.

    Attributes:
        model: name of the ranker.
        task: ``next-item`` or ``continuation``.
        given: for continuation, which events were given, such as ``first-5``.
        target_statistics: properties of the targets.
        metrics: estimates by printed key.
        per_sequence: the sums behind the estimates.
        slices: results on instances that the headline metrics leave out, by name.
        notes: remarks on this ranker for the reader.
    """

    model: str
    task: Task
    given: str | None
    target_statistics: TargetStatistics
    metrics: dict[str, Estimate]
    per_sequence: PerSequence
    slices: dict[str, Result] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of instances."""
        return int(self.per_sequence.counts.sum())

    @property
    def n_sequences(self) -> int:
        """Number of sequences that the instances come from."""
        return len(self.per_sequence.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; keys without a value are left out."""
        values: dict[str, Any] = {"model": self.model, "task": self.task}
        if self.given is not None:
            values["given"] = self.given
        values |= {"n": self.n, "n_sequences": self.n_sequences}
        values |= self.target_statistics._asdict()
        values["metrics"] = {name: _to_json(value) for name, value in self.metrics.items()}
        if self.slices:
            values["slices"] = {name: result.to_dict() for name, result in self.slices.items()}
        if self.notes:
            values["notes"] = list(self.notes)
        return values


@dataclass(frozen=True)
class Evaluation:
    """All results of one call of ``evaluate``, under one protocol.

    Attributes:
        dataset: ``name`` and ``fingerprint``.
        part: ``validation`` or ``test``.
        protocol: every choice that the metrics depend on.
        results: by ranker in the given order, then by task.
        sequence_ids: the ids of all sequences of the dataset, by row.
    """

    dataset: dict[str, str]
    part: str
    protocol: dict[str, Any]
    results: list[Result]
    sequence_ids: pa.Array

    def to_dict(self) -> dict[str, Any]:
        """The object that ``segue evaluate --json`` prints."""
        return {
            "dataset": self.dataset,
            "part": self.part,
            "protocol": self.protocol,
            "results": [result.to_dict() for result in self.results],
        }


def make_result(
    model: str,
    task: Task,
    given: str | None,
    per_sequence: PerSequence,
    target_statistics: TargetStatistics,
    protocol: Protocol,
    slices: dict[str, Result] | None = None,
) -> Result:
    """Build a result whose metrics are means over instances with bootstrap intervals."""
    metrics = estimate_means(per_sequence, protocol)
    return Result(model, task, given, target_statistics, metrics, per_sequence, slices or {})


def estimate_means(per_sequence: PerSequence, protocol: Protocol) -> dict[str, Estimate]:
    """Turn sums per sequence into means over instances with bootstrap intervals."""
    options = protocol.options
    sums = np.stack(list(per_sequence.sums.values()), axis=1)
    means = (sums.sum(axis=0) / per_sequence.counts.sum()).tolist()
    intervals: list[tuple[float, float] | None] = [None] * len(means)
    if options.resamples:
        resampled = bootstrap_means(sums, per_sequence.counts, options.resamples, options.seed)
        intervals = list(zip(*interval95(resampled).tolist(), strict=True))
    return dict(zip(per_sequence.sums, map(Estimate, means, intervals), strict=True))


def _to_json(estimate: Estimate) -> dict[str, Any]:
    interval = None if estimate.ci95 is None else list(estimate.ci95)
    return {"mean": estimate.mean, "ci95": interval}

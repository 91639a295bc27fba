"""Evaluation results: means with confidence intervals, and the sums per sequence behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from segue.config import Task
from segue.evaluation.protocol import Protocol
from segue.evaluation.statistics import bootstrap_means, interval95
from segue.tables import pandas_of

_RESULT_COLUMNS = [("model", pa.string()), ("task", pa.string()), ("given", pa.string())]

ESTIMATE_SCHEMA = pa.schema(
    [
        *_RESULT_COLUMNS,
        ("metric", pa.string()),
        ("mean", pa.float64()),
        ("ci95_low", pa.float64()),
        ("ci95_high", pa.float64()),
        ("n", pa.int64()),
        ("n_sequences", pa.int64()),
    ]
)
"""Columns of ``Evaluation.to_arrow``."""

SEQUENCE_SCHEMA = pa.schema([*_RESULT_COLUMNS, ("sequence_id", pa.string()), ("n", pa.int64())])
"""Columns of ``Evaluation.per_sequence``, without the metrics."""

METADATA_KEY = b"segue.evaluation"
"""Key of the metadata of ``Evaluation.per_sequence``."""


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
        return {**self._header(), "results": [result.to_dict() for result in self.results]}

    def to_arrow(self) -> pa.Table:
        """The means as a table: one row per model, task, given events and metric.

        Returns:
            ``model``, ``task``, ``given`` (null for next items), ``metric``, ``mean``,
            ``ci95_low`` and ``ci95_high`` (null without an interval), ``n`` instances and
            ``n_sequences``. Slices are left out.
        """
        rows = [row for result in self.results for row in _estimate_rows(result)]
        return pa.Table.from_pylist(rows, ESTIMATE_SCHEMA)

    def to_pandas(self) -> Any:
        """The means as a pandas data frame with the columns of ``to_arrow``.

        Raises:
            RequestError: pandas is not installed.
        """
        return pandas_of(self.to_arrow())

    def per_sequence(self) -> pa.Table:
        """The results of each sequence: one row per model, task, given events and sequence.

        Returns:
            ``model``, ``task``, ``given`` (null for next items), ``sequence_id``, ``n``
            instances, and the mean of each metric over them, null for metrics of other tasks.
            Slices are left out. The metadata contain the dataset, the part and the protocol, so
            that ``compare`` accepts the table as a Parquet file.
        """
        names = dict.fromkeys(name for result in self.results for name in result.per_sequence.sums)
        metadata = {METADATA_KEY: json.dumps(self._header()).encode()}
        metrics = [pa.field(name, pa.float64()) for name in names]
        schema = pa.schema([*SEQUENCE_SCHEMA, *metrics], metadata)
        tables = [_sequence_rows(result, self.sequence_ids, list(names)) for result in self.results]
        return pa.concat_tables([table.cast(schema) for table in tables])

    def _header(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "part": self.part, "protocol": self.protocol}


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


def _estimate_rows(result: Result) -> list[dict[str, Any]]:
    """The rows of ``Evaluation.to_arrow`` of one result."""
    rows = []
    for metric, estimate in result.metrics.items():
        low, high = estimate.ci95 or (None, None)
        rows.append(
            {
                "model": result.model,
                "task": result.task,
                "given": result.given,
                "metric": metric,
                "mean": estimate.mean,
                "ci95_low": low,
                "ci95_high": high,
                "n": result.n,
                "n_sequences": result.n_sequences,
            }
        )
    return rows


def _sequence_rows(result: Result, sequence_ids: pa.Array, metrics: Sequence[str]) -> pa.Table:
    """The rows of ``Evaluation.per_sequence`` of one result."""
    per_sequence, n = result.per_sequence, result.n_sequences
    columns: dict[str, pa.Array] = {
        "model": pa.repeat(result.model, n),
        "task": pa.repeat(result.task, n),
        "given": pa.repeat(pa.scalar(result.given, pa.string()), n),
        "sequence_id": pc.take(sequence_ids, pa.array(per_sequence.rows)),
        "n": pa.array(per_sequence.counts),
    }
    for name in metrics:
        sums = per_sequence.sums.get(name)
        means = None if sums is None else sums / per_sequence.counts
        columns[name] = pa.nulls(n, pa.float64()) if means is None else pa.array(means)
    return pa.table(columns)

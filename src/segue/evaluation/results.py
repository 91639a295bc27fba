"""What an evaluation found: figures with intervals, and the sums behind them by sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from segue.config import Task
from segue.evaluation.protocol import Protocol
from segue.resampling import bootstrap_means, interval95


class Estimate(NamedTuple):
    """A mean over instances and its 95 % interval.

    The interval is None where none was asked for, and for what is no mean but a property
    of all lists together.
    """

    mean: float
    ci95: tuple[float, float] | None


class Tally(NamedTuple):
    """What the targets themselves allow, whoever ranks.

    Attributes:
        unknown_targets: targets outside the catalogue, whether they miss or are dropped.
        repeats: events to be predicted that occur before in their sequence.
        ceiling: what a perfect ranker reaches: the share of next items that are
            candidates, or the mean R-precision of the best possible list.
    """

    unknown_targets: int
    repeats: int
    ceiling: float


@dataclass(frozen=True)
class PerSequence:
    """Metrics summed over the instances of each sequence.

    Attributes:
        rows: the sequences, as rows of the dataset, ascending.
        counts: instances of each.
        sums: each metric, summed over them.
    """

    rows: Int64[np.ndarray, " sequences"]
    counts: Int64[np.ndarray, " sequences"]
    sums: dict[str, Float64[np.ndarray, " sequences"]]

    @classmethod
    def of(
        cls,
        rows: Int64[np.ndarray, " instances"],
        values: Mapping[str, Float64[np.ndarray, " instances"]],
    ) -> PerSequence:
        """Sum one value an instance by the sequence of each."""
        distinct, of, counts = np.unique(rows, return_inverse=True, return_counts=True)
        sums = {name: np.bincount(of, value, len(distinct)) for name, value in values.items()}
        return cls(distinct, counts, sums)


@dataclass(frozen=True)
class Result:
    """One ranker on one kind of question.

    Attributes:
        model: the ranker's name.
        task: ``next-item`` or ``continuation``.
        given: which events were given in a continuation, such as ``first-5``.
        tally: what the targets allow.
        metrics: estimates by printed key.
        scores: the sums behind them.
        slices: results over instances that the headline leaves out.
        notes: what a reader has to know about this ranker.
    """

    model: str
    task: Task
    given: str | None
    tally: Tally
    metrics: dict[str, Estimate]
    scores: PerSequence
    slices: dict[str, Result] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Instances."""
        return int(self.scores.counts.sum())

    @property
    def n_sequences(self) -> int:
        """Sequences that the instances come from."""
        return len(self.scores.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain values; keys without a value are left out."""
        values: dict[str, Any] = {"model": self.model, "task": self.task}
        if self.given is not None:
            values["given"] = self.given
        values |= {"n": self.n, "n_sequences": self.n_sequences} | self.tally._asdict()
        values["metrics"] = {name: _plain(found) for name, found in self.metrics.items()}
        if self.slices:
            values["slices"] = {name: part.to_json() for name, part in self.slices.items()}
        if self.notes:
            values["notes"] = list(self.notes)
        return values


@dataclass(frozen=True)
class Evaluation:
    """All results of a call, under one protocol.

    Attributes:
        dataset: ``name`` and ``fingerprint``.
        part: ``validation`` or ``test``.
        protocol: every choice that the figures depend on.
        results: by ranker in the order given, then by task.
        sequence_ids: the dataset's, by row.
    """

    dataset: dict[str, str]
    part: str
    protocol: dict[str, Any]
    results: list[Result]
    sequence_ids: pa.Array

    def to_json(self) -> dict[str, Any]:
        """What ``segue evaluate --json`` prints."""
        return {
            "dataset": self.dataset,
            "part": self.part,
            "protocol": self.protocol,
            "results": [result.to_json() for result in self.results],
        }


def summarise(
    model: str,
    task: Task,
    given: str | None,
    scores: PerSequence,
    tally: Tally,
    protocol: Protocol,
    slices: dict[str, Result] | None = None,
) -> Result:
    """A result whose metrics are means over instances."""
    return Result(model, task, given, tally, estimates(scores, protocol), scores, slices or {})


def estimates(scores: PerSequence, protocol: Protocol) -> dict[str, Estimate]:
    """Turn sums by sequence into means over instances with bootstrap intervals."""
    options = protocol.options
    sums = np.stack(list(scores.sums.values()), axis=1)
    means = (sums.sum(axis=0) / scores.counts.sum()).tolist()
    intervals: list[tuple[float, float] | None] = [None] * len(means)
    if options.resamples:
        drawn = bootstrap_means(sums, scores.counts, options.resamples, options.seed)
        intervals = list(zip(*interval95(drawn).tolist(), strict=True))
    return dict(zip(scores.sums, map(Estimate, means, intervals), strict=True))


def _plain(estimate: Estimate) -> dict[str, Any]:
    ends = None if estimate.ci95 is None else list(estimate.ci95)
    return {"mean": estimate.mean, "ci95": ends}

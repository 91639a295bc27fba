"""Is one model better than another? A paired test over the same sequences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from segue.config import nearest
from segue.errors import RequestError
from segue.evaluation.per_sequence import KEYS, header, per_sequence_table, read_per_sequence
from segue.evaluation.results import Evaluation
from segue.resampling import bootstrap_means, interval95, permutation_test

Scores = str | Path | Evaluation

POOLED = "pooled"
"""In place of a way of giving: all of them, each sequence with all its continuations."""

MUST_AGREE = (
    "dataset",
    "part",
    "split",
    "seen",
    "catalogue",
    "candidates",
    "unknown_targets",
    "targets",
    "list_length",
    "seed",
    "fit",
)
"""What two protocols must share before their figures may be compared."""

MAY_BE_UNSAID = ("list_length", "fit")
"""What a protocol may leave open: next items have no list, lists from elsewhere no fit."""


@dataclass(frozen=True)
class Difference:
    """The second model against the first, over the questions that both were asked.

    Attributes:
        task: ``next-item`` or ``continuation``.
        given: one way of giving, ``pooled`` for all of a continuation's, None elsewhere.
        n: instances.
        n_sequences: sequences, which the interval and the test draw or flip whole.
        means: each model's mean over the instances.
        difference: the second mean minus the first.
        ci95: its 95 % interval, by a paired bootstrap.
        p_value: two-sided, by a paired permutation test.
    """

    task: str
    given: str | None
    n: int
    n_sequences: int
    means: tuple[float, float]
    difference: float
    ci95: tuple[float, float]
    p_value: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        lists = {"means": list(self.means), "ci95": list(self.ci95)}
        return {**vars(self), **lists}


@dataclass(frozen=True)
class Comparison:
    """Two models by one metric: a difference for each kind of question, then pooled ones."""

    metric: str
    models: tuple[str, str]
    permutations: int
    differences: list[Difference]

    def to_json(self) -> dict[str, Any]:
        """What ``segue compare --json`` prints."""
        return {
            "metric": self.metric,
            "models": list(self.models),
            "permutations": self.permutations,
            "differences": [found.to_json() for found in self.differences],
        }


class _Draws(NamedTuple):
    """How much chance is drawn, and from which seed."""

    permutations: int
    resamples: int
    seed: int


@dataclass(frozen=True)
class _Pairs:
    """Both models on the same questions, one row a sequence and way of giving.

    Attributes:
        task: of each row.
        given: of each row; None for next items.
        sequences: a number for the sequence of each row.
        counts: instances of each row.
        sums: each model's metric, summed over them.
    """

    task: np.ndarray
    given: np.ndarray
    sequences: Int64[np.ndarray, " rows"]
    counts: Int64[np.ndarray, " rows"]
    sums: Float64[np.ndarray, "rows 2"]


def compare(
    first: Scores,
    second: Scores | None = None,
    metric: str = "ndcg@10",
    *,
    models: tuple[str | None, str | None] = (None, None),
    permutations: int = 10_000,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two models, sequence by sequence.

    Args:
        first: a file of ``write_per_sequence``, or an evaluation, with the first model.
        second: likewise with the second model; the same as ``first`` when absent.
        metric: a printed key, such as ``ndcg@10`` or ``r_precision``.
        models: which model of each; may be left out where it holds one only, or where both
            come from one file that holds two.
        permutations: random sign flips behind the p-value, at least 1.
        resamples: bootstrap samples behind the interval, at least 1.

    Raises:
        SourceError: a file cannot be read.
        RequestError: a model or metric is unknown, or the two were not asked the same
            questions.
    """
    if permutations < 1 or resamples < 1:
        raise RequestError(
            f"got {permutations} permutations and {resamples} resamples", "give at least 1 of each"
        )
    tables = (_table(first), _table(first if second is None else second))
    _check_protocols(header(tables[0]), header(tables[1]))
    names = _choose(tables, models, one_file=second is None)
    pairs = _join(_of(tables[0], names[0], metric), _of(tables[1], names[1], metric), names)
    ways = list(dict.fromkeys(zip(pairs.task, pairs.given, strict=True)))
    for task in dict.fromkeys(pairs.task):
        if sum(way[0] == task for way in ways) > 1:
            ways.append((task, POOLED))
    draws = _Draws(permutations, resamples, seed)
    differences = [_difference(pairs, task, given, draws) for task, given in ways]
    return Comparison(metric, names, permutations, differences)


def _table(scores: Scores) -> pa.Table:
    if isinstance(scores, Evaluation):
        return per_sequence_table(scores)
    return read_per_sequence(scores)


def _check_protocols(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Refuse to compare figures that mean different things."""
    stated = [
        {"dataset": each["dataset"]["fingerprint"], "part": each["part"], **each["protocol"]}
        for each in (first, second)
    ]
    for key in MUST_AGREE:
        got = [each.get(key) for each in stated]
        if got[0] != got[1] and not (key in MAY_BE_UNSAID and None in got):
            raise RequestError(
                f"the two were measured under different protocols: {key} {got[0]} and {got[1]}",
                "evaluate both in the same way",
            )


def _choose(
    tables: tuple[pa.Table, pa.Table], models: tuple[str | None, str | None], *, one_file: bool
) -> tuple[str, str]:
    """Which model of each table; a single file with two models needs no names."""
    held = [table.column("model").unique().to_pylist() for table in tables]
    if one_file and models == (None, None) and len(held[0]) == 2:
        return held[0][0], held[0][1]
    first, second = (_one(names, model) for names, model in zip(held, models, strict=True))
    return first, second


def _one(held: list[str], model: str | None) -> str:
    if model is None and len(held) == 1:
        return held[0]
    if model is None:
        raise RequestError(
            f"{len(held)} models are in the results, and none was named",
            f"name one of {', '.join(held)}",
        )
    if model not in held:
        raise RequestError(f"no results of a model {model!r}", nearest(model, held))
    return model


def _of(table: pa.Table, model: str, metric: str) -> pa.Table:
    """The rows of one model that have the metric, as ``value``."""
    metrics = [name for name in table.column_names if name not in KEYS.names]
    if metric not in metrics:
        raise RequestError(f"the results have no metric {metric!r}", nearest(metric, metrics))
    mine = table.filter((pc.field("model") == model) & pc.field(metric).is_valid())
    return mine.select([*KEYS.names[1:], metric]).rename_columns([*KEYS.names[1:], "value"])


def _join(first: pa.Table, second: pa.Table, names: tuple[str, str]) -> _Pairs:
    """Pair the rows of the same task, way of giving and sequence."""
    keys = [_keys(table) for table in (first, second)]
    differ = len(set(keys[0]) ^ set(keys[1]))
    place = {key: row for row, key in enumerate(keys[1])}
    if not differ:
        second = second.take(pa.array([place[key] for key in keys[0]], pa.int64()))
        counts = [table.column("n").to_numpy() for table in (first, second)]
        differ = int(np.count_nonzero(counts[0] != counts[1]))
    if differ or not keys[0]:
        raise RequestError(
            f"{names[0]} and {names[1]} were not asked the same questions: "
            f"{differ} of their sequences differ",
            "evaluate both with the same options",
        )
    task, given, sequence_ids = (np.array(column, object) for column in zip(*keys[0], strict=True))
    counts = first.column("n").to_numpy()
    means = [table.column("value").to_numpy() for table in (first, second)]
    return _Pairs(
        task=task,
        given=given,
        sequences=np.unique(sequence_ids, return_inverse=True)[1],
        counts=counts,
        sums=np.stack(means, axis=1) * counts[:, None],
    )


def _keys(table: pa.Table) -> list[tuple[str, str | None, str]]:
    columns = (table.column(name).to_pylist() for name in ("task", "given", "sequence_id"))
    return list(zip(*columns, strict=True))


def _difference(pairs: _Pairs, task: str, given: str | None, draws: _Draws) -> Difference:
    """Test one kind of question, or all of a task pooled by sequence."""
    mine = pairs.task == task
    if given != POOLED:
        mine &= pairs.given == given
    _, of = np.unique(pairs.sequences[mine], return_inverse=True)
    counts = np.bincount(of, pairs.counts[mine]).astype(np.int64)
    sums = np.stack([np.bincount(of, model) for model in pairs.sums[mine].T], axis=1)
    differences = sums[:, 1] - sums[:, 0]
    drawn = bootstrap_means(differences[:, None], counts, draws.resamples, draws.seed)
    low, high = interval95(drawn)[:, 0].tolist()
    n = int(counts.sum())
    first, second = (sums.sum(axis=0) / n).tolist()
    return Difference(
        task=task,
        given=given,
        n=n,
        n_sequences=len(counts),
        means=(first, second),
        difference=second - first,
        ci95=(low, high),
        p_value=permutation_test(differences, draws.permutations, draws.seed),
    )

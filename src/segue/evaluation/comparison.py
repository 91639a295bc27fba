"""``compare``: paired comparison of two models on the same sequences."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from segue.config import nearest_hint
from segue.errors import RequestError
from segue.evaluation.per_sequence import header, read_per_sequence
from segue.evaluation.results import SEQUENCE_SCHEMA, Evaluation
from segue.evaluation.statistics import bootstrap_means, interval95, permutation_test

ResultsSource = Evaluation | str | os.PathLike[str]
"""An evaluation, or a Parquet file of its results per sequence."""

POOLED = "pooled"
"""The value of ``given`` for all settings of given events together."""

MAX_DRAWS = 1_000_000
"""Largest number of permutations and of bootstrap samples."""

KEYS_THAT_MUST_AGREE = (
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
"""Keys of the protocol that must be equal for a comparison to be fair."""

OPTIONAL_KEYS = ("list_length", "fit")
"""Keys that may be absent from one protocol: ``list_length`` exists for continuation only, and
``fit`` not for external lists."""


@dataclass(frozen=True)
class Difference:
    """The difference of a metric between two models, over the same instances.

    Attributes:
        task: ``next-item`` or ``continuation``.
        given: for continuation the given events, such as ``first-5``, or ``pooled`` for all
            settings together; None for next items.
        n: number of instances.
        n_sequences: number of sequences, the units of the bootstrap and of the test.
        means: each model's mean over the instances.
        difference: the second mean minus the first.
        ci95: 95 % confidence interval of the difference, by a paired bootstrap.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        lists = {"means": list(self.means), "ci95": list(self.ci95)}
        return {**vars(self), **lists}


@dataclass(frozen=True)
class Comparison:
    """The differences of one metric between two models.

    Attributes:
        metric: printed key.
        models: names of the first and the second model.
        permutations: random sign flips behind each p-value.
        differences: one per task and setting of given events, then the pooled ones.
    """

    metric: str
    models: tuple[str, str]
    permutations: int
    differences: list[Difference]

    def to_dict(self) -> dict[str, Any]:
        """The object that ``segue compare --json`` prints."""
        return {
            "metric": self.metric,
            "models": list(self.models),
            "permutations": self.permutations,
            "differences": [difference.to_dict() for difference in self.differences],
        }


class _Resampling(NamedTuple):
    """Numbers of random draws, and their seed."""

    permutations: int
    resamples: int
    seed: int


@dataclass(frozen=True)
class _PairedResults:
    """Both models on the same instances: one row per sequence, task and given events.

    Attributes:
        task: task of each row.
        given: given events of each row; None for next items.
        sequences: number of the sequence of each row, from 0.
        counts: number of instances of each row.
        sums: each model's metric, summed over the instances.
    """

    task: np.ndarray
    given: np.ndarray
    sequences: Int64[np.ndarray, " rows"]
    counts: Int64[np.ndarray, " rows"]
    sums: Float64[np.ndarray, "rows 2"]


def compare(
    first: ResultsSource,
    second: ResultsSource | None = None,
    *,
    metric: str = "ndcg@10",
    models: Sequence[str | None] = (None, None),
    permutations: int = 10_000,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the same sequences, with a paired permutation test.

    Args:
        first: the results of the first model: an evaluation, or a file that ``segue evaluate
            --per-sequence`` wrote.
        second: the results of the second model; by default the same as ``first``.
        metric: a printed key, such as ``ndcg@10`` or ``r_precision``.
        models: two names, of the model in each source. A name may be None for a source with a
            single model, and both for one source with two models.
        permutations: random sign flips behind the p-value, at least 1.
        resamples: bootstrap samples behind the interval, at least 1.
        seed: seed of the sign flips and of the bootstrap.

    Raises:
        SourceError: a file cannot be read.
        RequestError: a model or metric is unknown, or the models were not evaluated on the
            same instances under the same protocol.
    """
    if len(models) != 2:
        raise RequestError(f"models has {len(models)} names, expected 2", "name one per source")
    if not (1 <= permutations <= MAX_DRAWS and 1 <= resamples <= MAX_DRAWS):
        raise RequestError(
            f"got {permutations} permutations and {resamples} resamples",
            f"give 1 to {MAX_DRAWS:,} of each",
        )
    tables = (_table(first), _table(first if second is None else second))
    _check_protocols(header(tables[0]), header(tables[1]))
    names = _choose_models(tables, (models[0], models[1]), one_source=second is None)
    values = [_model_rows(table, name, metric) for table, name in zip(tables, names, strict=True)]
    pairs = _pair(values[0], values[1], names)
    groups = list(dict.fromkeys(zip(pairs.task, pairs.given, strict=True)))
    for task in dict.fromkeys(pairs.task):
        if sum(group[0] == task for group in groups) > 1:
            groups.append((task, POOLED))
    resampling = _Resampling(permutations, resamples, seed)
    differences = [_difference(pairs, task, given, resampling) for task, given in groups]
    return Comparison(metric, names, permutations, differences)


def _table(source: ResultsSource) -> pa.Table:
    if isinstance(source, Evaluation):
        return source.per_sequence()
    return read_per_sequence(source)


def _check_protocols(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Raise ``RequestError`` if the protocols of two results differ."""
    protocols = [
        {
            "dataset": metadata["dataset"]["fingerprint"],
            "part": metadata["part"],
            **metadata["protocol"],
        }
        for metadata in (first, second)
    ]
    for key in KEYS_THAT_MUST_AGREE:
        values = [protocol.get(key) for protocol in protocols]
        if values[0] != values[1] and not (key in OPTIONAL_KEYS and None in values):
            raise RequestError(
                f"the models were evaluated under different protocols: "
                f"{key} is {values[0]} for the first and {values[1]} for the second",
                "evaluate both with the same options",
            )


def _choose_models(
    tables: tuple[pa.Table, pa.Table], models: tuple[str | None, str | None], *, one_source: bool
) -> tuple[str, str]:
    """The model of each table; a single source with two models needs no names."""
    available = [table.column("model").unique().to_pylist() for table in tables]
    if one_source and models == (None, None) and len(available[0]) == 2:
        return available[0][0], available[0][1]
    first, second = (
        _choose_model(names, model) for names, model in zip(available, models, strict=True)
    )
    return first, second


def _choose_model(available: list[str], model: str | None) -> str:
    if model is None and len(available) == 1:
        return available[0]
    if model is None:
        raise RequestError(
            f"the results have {len(available)} models, and none was named",
            f"name one of {', '.join(available)}",
        )
    if model not in available:
        raise RequestError(f"the results have no model {model!r}", nearest_hint(model, available))
    return model


def _model_rows(table: pa.Table, model: str, metric: str) -> pa.Table:
    """The rows of one model that have the metric, with the metric as ``value``."""
    keys = SEQUENCE_SCHEMA.names
    metrics = [name for name in table.column_names if name not in keys]
    if metric not in metrics:
        raise RequestError(f"the results have no metric {metric!r}", nearest_hint(metric, metrics))
    rows = table.filter((pc.field("model") == model) & pc.field(metric).is_valid())
    return rows.select([*keys[1:], metric]).rename_columns([*keys[1:], "value"])


def _pair(first: pa.Table, second: pa.Table, names: tuple[str, str]) -> _PairedResults:
    """Pair the rows of the same task, given events and sequence."""
    keys = [_row_keys(table) for table in (first, second)]
    n_different = len(set(keys[0]) ^ set(keys[1]))
    row_of_key = {key: row for row, key in enumerate(keys[1])}
    if not n_different:
        second = second.take(pa.array([row_of_key[key] for key in keys[0]], pa.int64()))
        counts = [table.column("n").to_numpy() for table in (first, second)]
        n_different = int(np.count_nonzero(counts[0] != counts[1]))
    if n_different or not keys[0]:
        raise RequestError(
            f"{names[0]} and {names[1]} were not evaluated on the same instances: "
            f"{n_different} of their sequences differ in their targets",
            "evaluate both on the same dataset with the same options",
        )
    task, given, sequence_ids = (np.array(column, object) for column in zip(*keys[0], strict=True))
    counts = first.column("n").to_numpy()
    means = [table.column("value").to_numpy() for table in (first, second)]
    return _PairedResults(
        task=task,
        given=given,
        sequences=np.unique(sequence_ids, return_inverse=True)[1],
        counts=counts,
        sums=np.stack(means, axis=1) * counts[:, None],
    )


def _row_keys(table: pa.Table) -> list[tuple[str, str | None, str]]:
    columns = (table.column(name).to_pylist() for name in ("task", "given", "sequence_id"))
    return list(zip(*columns, strict=True))


def _difference(
    pairs: _PairedResults, task: str, given: str | None, resampling: _Resampling
) -> Difference:
    """Test one setting of given events, or all settings of a task pooled by sequence."""
    in_group = pairs.task == task
    if given != POOLED:
        in_group &= pairs.given == given
    _, numbers = np.unique(pairs.sequences[in_group], return_inverse=True)
    counts = np.bincount(numbers, pairs.counts[in_group]).astype(np.int64)
    sums = np.stack([np.bincount(numbers, model) for model in pairs.sums[in_group].T], axis=1)
    differences = sums[:, 1] - sums[:, 0]
    resampled = bootstrap_means(differences[:, None], counts, resampling.resamples, resampling.seed)
    low, high = interval95(resampled)[:, 0].tolist()
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
        p_value=permutation_test(differences, resampling.permutations, resampling.seed),
    )

"""``evaluate``: measure models, baselines and lists on the held-out events of a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Unpack

from segue.baselines import ListRanker
from segue.config import EvaluationConfig, EvaluationOptions, evaluation_config
from segue.dataset import Dataset
from segue.dataset.targets import SplitPart
from segue.errors import RequestError, quantity
from segue.evaluation.beyond_accuracy import item_statistics
from segue.evaluation.continuation import measure_continuation
from segue.evaluation.next_item import measure_next_item
from segue.evaluation.protocol import resolve_protocol
from segue.evaluation.rankers import Evaluable, open_rankers
from segue.evaluation.results import Evaluation, Result
from segue.ranking import Ranker
from segue.recommender.shapes import REQUESTS_PER_CALL


def evaluate(  # noqa: PLR0913 - one parameter per option
    models: Evaluable | Iterable[Evaluable],
    data: Dataset | str | os.PathLike[str],
    *,
    part: SplitPart = "test",
    baselines: str | Sequence[str] | None = "default",
    fit_on_validation: bool = False,
    use_sequence_features: bool = True,
    tune: bool = False,
    without_ensemble: bool = False,
    members: bool = False,
    block_size: int = REQUESTS_PER_CALL,
    config: EvaluationConfig | None = None,
    **options: Unpack[EvaluationOptions],
) -> Evaluation:
    """Measure models on held-out events, ranking the whole catalogue.

    Candidates are never sampled.

    Args:
        models: what to evaluate, or several of these: a run or its folder, a ``Recommender``, the
            name of a baseline, a file of ranked lists (.parquet or .csv), or a ``Ranker``.
        data: the prepared dataset whose held-out events are the targets, or its folder. It may
            differ from the one a model was trained on; items are then joined by their ids.
        part: ``test`` or ``validation``.
        baselines: the baselines to add after the models: ``default`` for those of the dataset,
            if ``models`` has anything but baselines; names; or None.
        fit_on_validation: whether baselines are fitted on the validation events too.
        use_sequence_features: whether models get the sequence features that they were trained
            with.
        tune: whether the parameters of the baselines are first chosen on the validation part; a
            note of each result says them.
        without_ensemble: whether runs, given by path, are evaluated without their ensembles. Their
            names in the results then end with "(without ensemble)".
        members: whether each member of a model's ensemble is also evaluated alone, after the model.
        block_size: requests passed to a ranker at a time. It does not change the results.
        config: all options in one object; an option that is also given by name takes precedence.
        options: the options of ``segue evaluate``. What is predicted: ``task``, ``targets``,
            ``unknown_targets``, ``max_sequences``, ``given``, ``given_random``. From which
            candidates: ``seen``. What is measured: ``ks``, ``list_length``, ``beyond_accuracy``,
            ``resamples``. And ``seed``.

    Returns:
        Means over instances with 95 % confidence intervals, by model (in the given order) and
        task, and the protocol.

    Raises:
        ConfigError: an option is unknown or has an impossible value.
        RequestError: a model is unknown, or the options contradict the dataset or the models.
        RunError: a run is not complete.
        DatasetError: the dataset cannot be opened, or the part has no target.
    """
    if block_size < 1:
        raise RequestError(f"block_size is {block_size}, expected 1 or more", "leave it out")
    data = data if isinstance(data, Dataset) else Dataset.open(data)
    config = evaluation_config(config, options)
    rankers = open_rankers(
        models,
        data,
        baselines=baselines,
        fit_on_validation=fit_on_validation,
        use_sequence_features=use_sequence_features,
        tune=tune,
        without_ensemble=without_ensemble,
        members=members,
    )
    return _measure(rankers, data, part, config, block_size)


def _measure(
    rankers: Sequence[Ranker],
    data: Dataset,
    part: SplitPart,
    config: EvaluationConfig,
    block_size: int,
) -> Evaluation:
    """Measure rankers on held-out events; see ``evaluate``."""
    protocol = resolve_protocol(rankers, data, part, config)
    statistics = item_statistics(data) if protocol.options.beyond_accuracy else None
    similarity = {} if statistics is None else {"similarity": statistics.similarity}
    results_by_setting: list[list[Result]] = []
    if "next-item" in protocol.tasks:
        results_by_setting.append(
            measure_next_item(rankers, data, protocol, block_size, statistics)
        )
    if "continuation" in protocol.tasks:
        results_by_setting += measure_continuation(rankers, data, protocol, block_size, statistics)
    results = [
        replace(setting_results[i], notes=_notes(ranker, data, setting_results[i]))
        for i, ranker in enumerate(rankers)
        for setting_results in results_by_setting
    ]
    return Evaluation(
        dataset={"name": data.name, "fingerprint": data.fingerprint},
        part=part,
        protocol=protocol.to_dict() | similarity,
        results=results,
        sequence_ids=data.sequences.ids,
    )


def _notes(ranker: Ranker, data: Dataset, result: Result) -> tuple[str, ...]:
    notes = list(ranker.notes)
    for name, slice_result in result.slices.items():
        n_targets = quantity(slice_result.n, f"{name} target is", f"{name} targets are")
        notes.append(f"{n_targets} reported as a separate slice, not in this mean")
    if ranker.data_fingerprint not in (None, data.fingerprint):
        notes.append(f"fitted on another dataset, with fingerprint {ranker.data_fingerprint}")
    if isinstance(ranker, ListRanker):
        missing = int((~ranker.covers(result.per_sequence.rows)).sum())
        if missing:
            notes.append(f"{missing} of the sequences have no list and count as misses")
        if ranker.n_dropped:
            entries = quantity(ranker.n_dropped, "entry", "entries")
            notes.append(f"ignored {entries} outside the catalogue")
        notes.append("ranked lists read from a file, named after the file")
    return tuple(notes)

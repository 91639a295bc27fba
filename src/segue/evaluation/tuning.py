"""``tune``: the parameters of a baseline by a search on the validation part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segue import baselines
from segue.baselines.item_item import HistoryRanker, HistoryWeights
from segue.baselines.search_spaces import Changes, fit_seconds, search_space
from segue.config import EvaluationConfig, nearest_hint
from segue.dataset import Dataset
from segue.errors import DatasetError, RequestError, quantity
from segue.evaluation.continuation import measure_continuation
from segue.evaluation.instances import evaluation_instances
from segue.evaluation.protocol import resolve_protocol
from segue.metrics.next_item import ndcg
from segue.ranking import Ranker, ScoringRanker
from segue.recommender.shapes import REQUESTS_PER_CALL

TRIALS = 60
"""Sets of parameters that ``tune`` measures by default."""
MAX_TUNING_REQUESTS = 3_000
"""Validation targets that a set of parameters is measured on."""
FIT_SECONDS = 60.0
"""Estimated core-seconds of all fits of a search together."""
SCORES_PER_TRIAL = 50_000_000
"""Most scores that a trial computes: fewer requests for a larger catalogue."""
MIN_REQUESTS = 200
CONTINUATIONS = 8
"""Numbers of given events of the continuation task."""
METRICS = ("ndcg@10", "r_precision")
Objective = Callable[[Ranker], float]
HISTORY_PREFIX = "history."


@dataclass(frozen=True)
class Trial:
    """One set of parameters and its value.

    Attributes:
        params: the parameters that differ from the defaults, by dotted name.
        value: the metric on the validation sample.
    """

    params: dict[str, Any]
    value: float


@dataclass(frozen=True)
class Tuned:
    """The result of ``tune``.

    Attributes:
        ranker: the baseline with the best parameters.
        params: those that differ from the defaults, by dotted name, for ``baselines.fit``.
        value: the metric of ``ranker`` on the validation sample.
        trials: all sets of parameters that were measured, the defaults first.
    """

    ranker: ScoringRanker
    params: dict[str, Any]
    value: float
    trials: tuple[Trial, ...]


def tune(
    name: str,
    dataset: Dataset,
    *,
    trials: int = TRIALS,
    seed: int = 0,
    max_requests: int = MAX_TUNING_REQUESTS,
    max_fit_s: float = FIT_SECONDS,
    request_times: bool = True,
    metric: str = "ndcg@10",
) -> Tuned:
    """Search the parameters of a baseline that are best on the validation part.

    One parameter is changed at a time, starting from the defaults; the best value is kept. The
    number of trials and an estimate of the work bound the search, never the clock: the same call
    gives the same result on any machine.

    Args:
        name: one of ``baselines.NAMES``.
        dataset: the prepared dataset.
        trials: most sets of parameters that are measured, the defaults included.
        seed: of the sample of the validation part.
        max_requests: most validation targets in the sample; fewer for a large catalogue.
        max_fit_s: estimated core-seconds of all fits together; one is always made.
        request_times: whether a decay of the history by time may be chosen, for which the times of
            the history must be known in every request.
        metric: ``ndcg@10`` of the next item; or, for the split ``holdout``, ``r_precision`` of
            the continuation task, pooled over all numbers of given events.

    Raises:
        RequestError: an argument is unknown or impossible.
        DatasetError: the dataset has no validation target, or lacks what the baseline needs.
    """
    if trials < 1 or max_requests < 1:
        raise RequestError(
            f"trials is {trials} and max_requests {max_requests}, expected 1 or more",
            "leave them out for the defaults",
        )
    requests = min(max_requests, max(MIN_REQUESTS, SCORES_PER_TRIAL // dataset.vocabulary_size))
    if metric == "r_precision":  # each sequence is continued after several numbers of events
        requests = max(1, requests // CONTINUATIONS)
    measure = _objective(dataset, metric, seed, requests)
    max_fits = max(1, int(max_fit_s / max(fit_seconds(name, dataset), 1e-9)))
    search = _Search(name, dataset, measure, trials, max_fits)
    for step in search_space(name, dataset, request_times=request_times):
        for changes in step:
            search.consider(changes)
    return search.result()


def fit_tuned(name: str, dataset: Dataset, fit_on_validation: bool = False) -> ScoringRanker:
    """A baseline with the parameters that ``tune`` finds, which are in its notes.

    Args:
        name: one of ``baselines.NAMES``; one without a search space is fitted as it is.
        dataset: the prepared dataset.
        fit_on_validation: whether to fit on validation events too, once the parameters are chosen.

    Raises:
        DatasetError: as for ``tune``.
    """
    if not search_space(name, dataset):
        return baselines.fit(name, dataset, fit_on_validation)
    tuned = tune(name, dataset)
    ranker = tuned.ranker
    if fit_on_validation:
        ranker = baselines.fit(name, dataset, fit_on_validation, tuned.params)
    chosen = ", ".join(f"{key} = {value}" for key, value in tuned.params.items())
    tried = quantity(len(tuned.trials), "trial")
    note = f"tuned on the validation part in {tried}: {chosen or 'the defaults'}"
    ranker.notes = (*ranker.notes, note)
    return ranker


class _Search:
    """The best parameters so far, and what may still be spent."""

    def __init__(
        self, name: str, dataset: Dataset, objective: Objective, max_trials: int, max_fits: int
    ) -> None:
        """Measure the defaults."""
        self._name = name
        self._dataset = dataset
        self._objective = objective
        self._max_trials = max_trials
        self._fits_left = max_fits - 1
        self._defaults = flat(baselines.default_params(name))
        self._params = self._defaults
        self._ranker = baselines.fit(name, dataset)
        self._value = objective(self._ranker)
        self._trials = [Trial({}, self._value)]

    def consider(self, changes: Changes) -> None:
        """Measure the best parameters with some changes, and keep them if they are better."""
        params = self._params | changes
        different = {key: value for key, value in params.items() if value != self._defaults[key]}
        is_measured = any(trial.params == different for trial in self._trials)
        if is_measured or len(self._trials) >= self._max_trials:
            return
        if _fit_params(params) == _fit_params(self._params):
            assert isinstance(self._ranker, HistoryRanker)
            ranker = self._ranker.with_history(history_of(params))
        elif self._fits_left > 0:
            self._fits_left -= 1
            ranker = baselines.fit(self._name, self._dataset, params=different)
        else:
            return
        value = self._objective(ranker)
        self._trials.append(Trial(different, value))
        if value > self._value:
            self._params, self._ranker, self._value = params, ranker, value

    def result(self) -> Tuned:
        """The best of all trials."""
        best = max(self._trials, key=lambda trial: trial.value)  # the first one if several tie
        return Tuned(self._ranker, best.params, self._value, tuple(self._trials))


def _fit_params(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if not key.startswith(HISTORY_PREFIX)}


def history_of(params: Mapping[str, Any]) -> HistoryWeights:
    """The weights of the history from the parameters by dotted name."""
    n = len(HISTORY_PREFIX)
    return HistoryWeights(
        **{key[n:]: value for key, value in params.items() if key.startswith(HISTORY_PREFIX)}
    )


def flat(sections: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values in nested sections by dotted name."""
    values: dict[str, Any] = {}
    for key, value in sections.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


def _objective(data: Dataset, metric: str, seed: int, max_requests: int) -> Objective:
    """The metric of a ranker on a seeded sample of the validation part.

    Raises:
        RequestError: the metric does not suit the split.
        DatasetError: the part has no target.
    """
    if metric == "r_precision":
        options = EvaluationConfig(
            task="continuation", max_sequences=max_requests, resamples=0, seed=seed
        )
        return _pooled_r_precision(data, options)
    if metric != "ndcg@10":
        message = f"unknown metric {metric!r} for tuning"
        raise RequestError(message, nearest_hint(metric, list(METRICS)))
    options = EvaluationConfig(task="next-item", resamples=0, seed=seed)
    return _mean_ndcg(data, options, max_requests)


def _mean_ndcg(data: Dataset, options: EvaluationConfig, max_requests: int) -> Objective:
    """Mean NDCG@10 of the next item; histories are read once for all rankers."""
    instances = evaluation_instances(data, resolve_protocol([], data, "validation", options))
    instances = instances.select(instances.is_included & ~instances.is_cold_start)
    if len(instances) > max_requests:
        rng = np.random.default_rng(options.seed)
        is_drawn = np.zeros(len(instances), bool)
        is_drawn[rng.choice(len(instances), max_requests, replace=False)] = True
        instances = instances.select(is_drawn)
    n_targets = len(instances)
    if not n_targets:
        raise DatasetError(
            f"the validation part of {data.name} has no target to tune on",
            "prepare it with a validation part, or leave the tuning out",
        )
    blocks = [
        (block.query.select(block.is_candidate), block.targets[block.is_candidate])
        for _, block in instances.blocks(REQUESTS_PER_CALL)
    ]

    def mean_ndcg(ranker: Ranker) -> float:
        ranks = np.concatenate([ranker.ranks(query, targets) for query, targets in blocks])
        return float(ndcg(ranks, 10).sum() / n_targets)

    return mean_ndcg


def _pooled_r_precision(data: Dataset, options: EvaluationConfig) -> Objective:
    """Mean R-precision of the continuation task over the instances of all given events."""

    def mean_r_precision(ranker: Ranker) -> float:
        protocol = resolve_protocol([ranker], data, "validation", options)
        settings = measure_continuation([ranker], data, protocol, REQUESTS_PER_CALL)
        per_sequence = [results[0].per_sequence for results in settings]
        total = sum(values.sums["r_precision"].sum() for values in per_sequence)
        return float(total / sum(values.counts.sum() for values in per_sequence))

    return mean_r_precision

"""Tuning of baselines: the search against full evaluations, its bounds, and its errors."""

from __future__ import annotations

import pytest

from segue import baselines, evaluate
from segue.baselines.search_spaces import SPACES, fit_seconds, search_space
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.evaluation import tuning
from segue.evaluation.tuning import tune
from small_datasets import dataset_of, random_log


def cyclic_log() -> dict[str, list[str]]:
    """Each item follows the one two before it, so that direct successors mislead."""
    cycles = [[f"{name}{i % 6}" for i in range(20)] for name in "abc"]
    return {
        f"s{i}": [
            item
            for pair in zip(cycles[i % 3][i % 5 :], cycles[(i + 1) % 3][i % 4 :], strict=False)
            for item in pair
        ][: 9 + i % 6]
        for i in range(60)
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="leave-one-out")
    starts = {f"s{i}": i * 100 for i in range(60)}
    return dataset_of(tmp_path_factory.mktemp("log"), cyclic_log(), split, starts=starts)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = random_log(60, 25, seed=4)
    return dataset_of(tmp_path_factory.mktemp("holdout"), log, SplitConfig(kind="holdout"))


def validation_ndcg(ranker, data: Dataset) -> float:
    results = evaluate(ranker, data, part="validation", task="next-item", resamples=0)
    return results.results[0].metrics["ndcg@10"].mean


@pytest.mark.parametrize("name", ["recent-popularity", "co-occurrence", "ease"])
def test_values_are_those_of_an_evaluation(name: str, data: Dataset) -> None:
    tuned = tune(name, data, trials=12)
    default = validation_ndcg(baselines.fit(name, data), data)
    assert tuned.trials[0].params == {}
    assert tuned.trials[0].value == pytest.approx(default)
    assert tuned.value == max(trial.value for trial in tuned.trials) >= default
    assert validation_ndcg(tuned.ranker, data) == pytest.approx(tuned.value)
    again = baselines.fit(name, data, params=tuned.params)
    assert validation_ndcg(again, data) == pytest.approx(tuned.value)


def test_a_better_parameter_is_found(data: Dataset) -> None:
    tuned = tune("last-item", data)
    assert tuned.value == tuned.trials[0].value, "its space has nothing to gain here"
    assert tune("co-occurrence", data).value > validation_ndcg(
        baselines.fit("co-occurrence", data), data
    )


def test_tuning_twice_gives_the_same(data: Dataset) -> None:
    first, second = (tune("item-knn", data, trials=15, max_requests=20) for _ in range(2))
    assert (first.params, first.value, first.trials) == (second.params, second.value, second.trials)


def test_trials_bound_the_search(data: Dataset) -> None:
    assert len(tune("co-occurrence", data, trials=4).trials) == 4
    assert tune("popularity", data).trials[0].params == {}
    assert len(tune("popularity", data).trials) == 1


def test_a_long_fit_is_not_repeated(data: Dataset) -> None:
    tuned = tune("co-occurrence", data, max_fit_s=1e-12)
    assert len(tuned.trials) > 5
    for trial in tuned.trials:
        assert all(name.startswith("history.") for name in trial.params)


def test_a_sample_of_the_targets(held_out: Dataset) -> None:
    sampled = [tune("popularity", held_out, max_requests=10, seed=seed).value for seed in (1, 1, 2)]
    assert sampled[0] == sampled[1] != sampled[2]


def test_continuation_is_pooled(held_out: Dataset) -> None:
    tuned = tune("co-occurrence", held_out, trials=3, metric="r_precision")
    results = evaluate(
        baselines.fit("co-occurrence", held_out),
        held_out,
        part="validation",
        task="continuation",
        resamples=0,
    ).results
    total = sum(r.metrics["r_precision"].mean * r.per_sequence.counts.sum() for r in results)
    expected = total / sum(r.per_sequence.counts.sum() for r in results)
    assert tuned.trials[0].value == pytest.approx(expected)


def test_every_alternative_of_the_spaces_is_valid(data: Dataset, held_out: Dataset) -> None:
    for name, steps in SPACES.items():
        assert search_space(name, data) == steps, "the log has times"
        defaults = tuning.flat(baselines.default_params(name))
        for changes in (changes for step in steps for changes in step):
            assert set(changes) <= set(defaults)
        assert fit_seconds(name, data) > 0
    untimed = [name for step in search_space("tale", held_out) for name in step[0]]
    assert "decay" in untimed
    assert not {"decay_s", "history.half_life_s"} & set(untimed)
    steps = search_space("tale", data, request_times=False)
    served = {name for step in steps for name in step[0]}
    assert "decay_s" in served
    assert "history.half_life_s" not in served


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"metric": "ndcg@11"}, RequestError, "unknown metric 'ndcg@11'.*did you mean 'ndcg@10'"),
        ({"metric": "r_precision"}, RequestError, "continuation needs whole held-out sequences"),
        ({"trials": 0}, RequestError, "trials is 0"),
        ({"max_requests": 0}, RequestError, "max_requests 0"),
    ],
)
def test_errors(arguments: dict, error: type[Exception], message: str, data: Dataset) -> None:
    with pytest.raises(error, match=message):
        tune("popularity", data, **arguments)


def test_evaluate_can_tune_its_baselines(data: Dataset) -> None:
    names = ["popularity", "co-occurrence"]
    popularity, tuned = evaluate(names, data, tune=True, resamples=0).results
    assert popularity.notes == ()
    best = tune("co-occurrence", data)
    assert best.params
    (note,) = tuned.notes
    assert note.startswith(f"tuned on the validation part in {len(best.trials)} trials: ")
    assert all(f"{name} = {value}" in note for name, value in best.params.items())
    expected = evaluate(best.ranker, data, baselines=None, resamples=0).results[0]
    assert tuned.metrics == expected.metrics


def test_a_tuned_baseline_can_be_fitted_on_validation_too(data: Dataset) -> None:
    results = evaluate("co-occurrence", data, tune=True, fit_on_validation=True, resamples=0)
    params = tune("co-occurrence", data).params
    ranker = baselines.fit("co-occurrence", data, fit_on_validation=True, params=params)
    expected = evaluate(ranker, data, baselines=None, resamples=0)
    assert results.protocol["fit"] == "train+validation"
    assert results.results[0].metrics == expected.results[0].metrics

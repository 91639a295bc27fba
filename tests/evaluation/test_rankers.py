"""What ``evaluate`` accepts as models, and the baselines that it adds."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segue import baselines
from segue.config.options import EVALUATE_ARGUMENTS
from segue.dataset import Dataset
from segue.errors import DatasetError, RequestError
from segue.evaluation import Evaluation, evaluate
from segue.recommender import Recommender, Run
from small_datasets import ArbitraryRanker
from small_ensembles import mixed_copy

DEFAULTS = ["popularity", "recent-popularity", "last-item", "co-occurrence"]


def evaluated(models: Any, data: Any, **options: Any) -> list[str]:
    """The names of the evaluated rankers in order."""
    evaluation = evaluate(models, data, resamples=0, **options)
    return [result.model for result in evaluation.results]


def metrics(evaluation: Evaluation, model: str) -> dict[str, float]:
    (result,) = (result for result in evaluation.results if result.model == model)
    return {name: estimate.mean for name, estimate in result.metrics.items()}


@pytest.fixture(scope="module")
def lists(cycles: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the same list for each sequence."""
    rows = [
        {"sequence_id": sequence, "item_id": item, "rank": rank}
        for sequence in cycles.sequences.ids.to_pylist()
        for rank, item in enumerate(cycles.items.ids, start=1)
    ]
    file = tmp_path_factory.mktemp("lists") / "theirs.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def test_misspelt_arguments_are_suggested() -> None:
    assert set(EVALUATE_ARGUMENTS) < set(inspect.signature(evaluate).parameters)


def test_a_run_is_evaluated_in_every_form_alike(cycles: Dataset, cycle_run: Path) -> None:
    model = Recommender.load(cycle_run)
    expected = evaluate(model, cycles, baselines=None, resamples=0).to_dict()
    for form in (cycle_run, str(cycle_run), Run(cycle_run), [Run(cycle_run)], model.ranker(cycles)):
        for data in (cycles, cycles.path):
            evaluation = evaluate(form, data, baselines=None, resamples=0)
            assert evaluation.to_dict() == expected


def test_members_rank_as_the_baselines_that_they_are(
    cycles: Dataset, cycle_run: Path, tmp_path: Path
) -> None:
    run = mixed_copy(cycle_run, cycles, tmp_path / "mixed")
    names = ["popularity", "co-occurrence", "item-knn"]
    for model in (run, Recommender.load(run)):
        evaluation = evaluate(model, cycles, baselines=names, members=True, resamples=0)
        expected = metrics(evaluate(cycle_run, cycles, baselines=None, resamples=0), "cycles")
        assert metrics(evaluation, "mixed: transformer") == expected
        for name in names:
            assert metrics(evaluation, f"mixed: {name}") == pytest.approx(metrics(evaluation, name))


def test_ensembles_are_left_out_of_runs_only(
    cycles: Dataset, cycle_run: Path, tmp_path: Path
) -> None:
    run = mixed_copy(cycle_run, cycles, tmp_path / "mixed")
    options = {"baselines": None, "without_ensemble": True}
    names = evaluated([run, "popularity", cycle_run], cycles, **options)
    assert names == ["mixed (without ensemble)", "popularity", "cycles (without ensemble)"]
    for model in (Recommender.load(run), Recommender.load(run).ranker(cycles)):
        with pytest.raises(RequestError, match="ensembles can only be left out of runs"):
            evaluate(model, cycles, **options)
    with pytest.raises(RequestError, match="ensembles can only be left out of runs, but there is"):
        evaluate("popularity", cycles, **options)
    for model, more in ((cycle_run, {}), ("popularity", {}), (run, options)):
        with pytest.raises(RequestError, match="no model has an ensemble"):
            evaluate(model, cycles, members=True, **more)


def test_models_come_first_and_the_default_baselines_follow(
    cycles: Dataset, cycle_run: Path, lists: Path
) -> None:
    assert evaluated(cycle_run, cycles) == ["cycles", *DEFAULTS]
    assert evaluated([lists, Run(cycle_run)], cycles) == ["theirs", "cycles", *DEFAULTS]
    assert evaluated(ArbitraryRanker(cycles), cycles) == ["arbitrary", *DEFAULTS]
    added = [name for name in DEFAULTS if name != "last-item"]
    assert evaluated(["last-item", cycle_run], cycles) == ["last-item", "cycles", *added]


def test_baselines_alone_are_not_joined_by_others(cycles: Dataset) -> None:
    assert evaluated("popularity", cycles) == ["popularity"]
    assert evaluated(("ease", "popularity"), cycles) == ["ease", "popularity"]
    fitted = baselines.fit("popularity", cycles)
    assert evaluated(iter([fitted, "ease"]), cycles) == ["popularity", "ease"]


def test_the_baselines_can_be_chosen(cycles: Dataset, cycle_run: Path) -> None:
    assert evaluated(cycle_run, cycles, baselines=None) == ["cycles"]
    assert evaluated(cycle_run, cycles, baselines=()) == ["cycles"]
    assert evaluated(cycle_run, cycles, baselines="ease") == ["cycles", "ease"]
    assert evaluated(cycle_run, cycles, baselines=["ease", "popularity"])[1:] == [
        "ease",
        "popularity",
    ]
    assert evaluated("popularity", cycles, baselines=["popularity", "ease"]) == [
        "popularity",
        "ease",
    ]
    with pytest.raises(RequestError, match="unknown baseline 'eese'"):
        evaluated(cycle_run, cycles, baselines=["eese"])


def test_a_run_that_is_called_like_a_baseline_is_not_taken_for_it(
    cycles: Dataset, cycle_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "popularity").symlink_to(cycle_run)
    monkeypatch.chdir(tmp_path)
    assert evaluated("popularity", cycles, baselines="ease") == ["popularity", "ease"]
    by_name = evaluate("popularity", cycles, resamples=0)
    by_path = evaluate(Path("popularity"), cycles, baselines="ease", resamples=0)
    assert metrics(by_path, "popularity") != metrics(by_name, "popularity")
    with pytest.raises(RequestError, match="two rankers are called 'popularity'"):
        evaluated(Path("popularity"), cycles)


def test_added_baselines_are_fitted_like_those_given(cycles: Dataset) -> None:
    evaluation = evaluate(
        "popularity", cycles, baselines=["ease"], fit_on_validation=True, resamples=0
    )
    assert evaluation.protocol["fit"] == "train+validation"


def test_sequence_features_can_be_withheld_from_runs(
    genres: Dataset, genre_run: Path, lists: Path
) -> None:
    hidden, shown = (
        evaluate([genre_run, "popularity"], genres, baselines=None, use_sequence_features=use)
        for use in (False, True)
    )
    assert metrics(hidden, "genres") != metrics(shown, "genres")
    assert metrics(hidden, "popularity") == metrics(shown, "popularity")
    assert "sequence features were not used" in hidden.results[0].notes
    model = Recommender.load(genre_run)
    again = evaluate(model, genres, baselines=None, use_sequence_features=False)
    assert metrics(again, "genres") == metrics(hidden, "genres")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit_on_validation": True}, "baselines given by name, but arbitrary is not one"),
        ({"use_sequence_features": False}, "there is none in arbitrary, popularity"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(
    cycles: Dataset, options: dict[str, bool], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        evaluate([ArbitraryRanker(cycles), "popularity"], cycles, **options)


def test_unknown_models_are_refused(cycles: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="'popularty' is not a baseline, a run") as caught:
        evaluate("popularty", cycles)
    assert caught.value.hint == "did you mean 'popularity'?"
    with pytest.raises(RequestError, match="is not a baseline, a run, or a file of lists"):
        evaluate(tmp_path, cycles)
    with pytest.raises(RequestError, match="there is nothing to evaluate"):
        evaluate([], cycles)
    with pytest.raises(DatasetError, match="there is no folder"):
        evaluate("popularity", tmp_path / "none")

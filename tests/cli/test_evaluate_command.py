"""``segue evaluate`` and ``segue compare``: models, baselines and files of ranked lists."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import segue

from segue import baselines
from segue.dataset import Dataset
from segue.evaluation import evaluate

QUICK = ("--max-sequences", 10)


def models(evaluation: dict) -> list[str]:
    """The models of an evaluation in order."""
    return list(dict.fromkeys(result["model"] for result in evaluation["results"]))


def test_the_model_comes_first_and_the_baselines_follow(run: Path, world: Path) -> None:
    evaluation = segue("evaluate", run, "--data", world, "--json", *QUICK).json
    assert models(evaluation) == [run.name, *baselines.defaults_for(Dataset.open(world))]
    assert {result["task"] for result in evaluation["results"]} == {"next-item", "continuation"}
    assert evaluation["part"] == "test"


def test_a_model_alone(run: Path, world: Path) -> None:
    options = ("--no-baselines", "--task", "next-item", "--part", "validation")
    evaluation = segue("evaluate", run, "--data", world, *options, *QUICK, "--json").json
    assert models(evaluation) == [run.name]
    assert evaluation["part"] == "validation"


def test_hidden_sequence_features_are_noted(run: Path, world: Path) -> None:
    options = ("--no-baselines", "--task", "next-item", "--no-sequence-features", *QUICK, "--json")
    (result,) = segue("evaluate", run, "--data", world, *options).json["results"]
    assert "sequence features were not used" in result["notes"]


def test_members_are_evaluated_after_their_model(mixed_run: Path, world: Path) -> None:
    arguments = ("evaluate", mixed_run, "--data", world, "--no-baselines", "--resamples", 0)
    results = segue(*arguments, "--task", "next-item", "--members", "--json").json["results"]
    assert [result["model"] for result in results] == [
        "mixed",
        "mixed: transformer",
        "mixed: popularity",
        "mixed: co-occurrence",
        "mixed: item-knn",
    ]
    [alone] = segue(*arguments, "--task", "next-item", "--without-ensemble", "--json").json[
        "results"
    ]
    assert alone["model"] == "mixed (without ensemble)"
    assert alone["metrics"] == results[1]["metrics"] != results[0]["metrics"]


def test_only_the_named_baselines_are_evaluated(world: Path) -> None:
    options = ("--data", world, "--task", "next-item", *QUICK, "--json")
    assert models(segue("evaluate", "last-item", "popularity", *options).json) == [
        "last-item",
        "popularity",
    ]


def test_baselines_are_tuned_on_request(world: Path) -> None:
    options = ("--data", world, "--task", "next-item", *QUICK, "--json", "--tune")
    result, untuned = segue("evaluate", "last-item", "popularity", *options).json["results"]
    assert result["notes"][0].startswith("tuned on the validation part in 3 trials: ")
    assert "notes" not in untuned


def test_given_options_select_the_continuations(world: Path) -> None:
    options = ("--data", world, "--task", "continuation", *QUICK, "--json")
    evaluation = segue("evaluate", "popularity", *options, "--given", "2,5").json
    assert [result["given"] for result in evaluation["results"]] == ["first-2", "first-5"]
    evaluation = segue("evaluate", "popularity", *options, "--given-random", "3").json
    assert [result["given"] for result in evaluation["results"]] == ["random-3"]
    evaluation = segue("evaluate", "popularity", *options, "--given", "0").json
    assert [result["given"] for result in evaluation["results"]] == ["first-0"]


def test_the_command_does_what_the_function_does(world: Path) -> None:
    options = ("--task", "next-item", "--seen", "include", "--unknown-targets", "drop")
    options += ("--ks", "3,7", "--fit-on-validation", "--seed", 4, *QUICK)
    evaluation = segue("evaluate", "popularity", "--data", world, *options, "--json").json
    data = Dataset.open(world)
    expected = evaluate(
        baselines.fit("popularity", data, fit_on_validation=True),
        data,
        task="next-item",
        seen="include",
        unknown_targets="drop",
        ks=[3, 7],
        seed=4,
        max_sequences=10,
    )
    assert evaluation["protocol"] == expected.protocol
    metrics = expected.results[0].metrics
    assert set(evaluation["results"][0]["metrics"]) == set(metrics)
    assert evaluation["results"][0]["metrics"]["ndcg@7"]["mean"] == metrics["ndcg@7"].mean


def test_the_table_has_the_protocol(world: Path) -> None:
    printed = segue("evaluate", "popularity", "--data", world, *QUICK).out
    for word in (
        "next-item, test part of world",
        "popularity",
        "ndcg@10",
        "r_precision",
        "first-5",
    ):
        assert word in printed
    protocol = printed[printed.index("split holdout") :].replace("\n", " ")
    candidates = f"catalogue train ({Dataset.open(world).n_catalogue} candidates)"
    for word in (candidates, "seen exclude", "fit train", "n "):
        assert word in protocol


def test_the_table_has_the_chosen_cutoffs(world: Path) -> None:
    options = ("--task", "next-item", "--ks", "3,7", *QUICK)
    printed = segue("evaluate", "popularity", "--data", world, *options).out
    assert all(name in printed for name in ("hr@3", "ndcg@3", "hr@7", "ndcg@7", "mrr"))
    assert "@10" not in printed


def write_lists(world: Path, path: Path) -> None:
    """Write the same list for each sequence: the catalogue by popularity."""
    data = Dataset.open(world)
    rows = [
        (sequence, item, rank)
        for sequence in data.sequences.ids.to_pylist()
        for rank, item in enumerate(data.items.ids, start=1)
    ]
    columns = dict(zip(("sequence_id", "item_id", "rank"), zip(*rows, strict=True), strict=True))
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), path)


def test_a_file_of_lists_is_evaluated_as_a_model(log: Path) -> None:
    data, lists = log.parent / "data", log.parent / "theirs.parquet"
    assert segue("prepare", log, "-o", data).code == 0
    write_lists(data, lists)
    evaluation = segue(
        "evaluate", lists, "popularity", "--data", data, "--no-baselines", "--json"
    ).json
    of_lists, of_popularity = evaluation["results"]
    assert of_lists["model"] == "theirs"
    assert of_lists["metrics"]["hr@5"] == of_popularity["metrics"]["hr@5"]


@pytest.fixture(scope="module")
def per_sequence_file(world: Path, workspace: Path) -> Path:
    file = workspace / "by-sequence.parquet"
    arguments = ("last-item", "popularity", "--data", world, "--task", "next-item", *QUICK)
    assert segue("evaluate", *arguments, "--per-sequence", file).code == 0
    return file


def test_compare_one_file_of_two_models(per_sequence_file: Path) -> None:
    comparison = segue("compare", per_sequence_file, "--metric", "hr@10", "--json").json
    assert comparison["metric"] == "hr@10"
    assert comparison["models"] == ["last-item", "popularity"]
    (difference,) = comparison["differences"]
    assert difference["difference"] == pytest.approx(
        -(difference["means"][0] - difference["means"][1])
    )


def test_compare_two_files_and_named_models(per_sequence_file: Path) -> None:
    names = ("--models", "popularity,popularity")
    comparison = segue("compare", per_sequence_file, per_sequence_file, *names, "--json").json
    assert comparison["differences"][0]["difference"] == 0
    assert comparison["differences"][0]["p_value"] == 1
    printed = segue("compare", per_sequence_file, *names).out
    assert "95 % interval" in printed
    assert "+0.0000" in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["popularty", "--data", "{world}"], "did you mean 'popularity'?"),
        (["popularity", "popularity", "--data", "{world}"], "two rankers are called"),
        (["popularity", "--data", "{run}"], "not a prepared dataset"),
        (["popularity", "--data", "{world}", "--ks", "500"], "500 exceeds the catalogue"),
        (["popularity", "--data", "{world}", "--given", "2,2"], "contain a number twice"),
        (["popularity", "--data", "{world}", "--given-random", "0"], "integers of at least 1"),
        (["top-rated", "--data", "{world}"], "needs ratings"),
        (["popularity", "--data", "{world}", "--seen", "exclude-context"], "windows"),
        (["recent-popularity", "--data", "{world}"], "time"),
        (
            ["{run}", "--data", "{world}", "--fit-on-validation"],
            "fitting on the validation events is for baselines given by name",
        ),
        (
            ["popularity", "--data", "{world}", "--no-sequence-features"],
            "there is none in popularity",
        ),
        (["popularity", "--data", "{world}", "--targets", "first"], "split 'global-time'"),
        (
            ["popularity", "--data", "{world}", "--given", "1", "--task", "next-item"],
            "given 1 requires the task 'continuation'",
        ),
        (["popularity", "--data", "{world}", "--seed", "5000000000"], "--seed"),
        (["popularity", "--data", "{world}", "--per-sequence", "{world}"], "it is a folder"),
        (["nothing.parquet", "--data", "{world}"], "there is no file nothing.parquet"),
        (
            ["popularity", "--data", "{world}", "--part", "validation", "--fit-on-validation"],
            "test",
        ),
    ],
)
def test_invalid_evaluations_are_errors(
    arguments: list[str], expected: str, world: Path, run: Path
) -> None:
    filled = [word.format(world=world, run=run) for word in arguments]
    assert expected in segue("evaluate", *filled).error


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--metric", "ndgc@10"], "did you mean 'ndcg@10'?"),
        (["--models", "popularity"], "expected 2"),
        (["--models", "popularity,oracle"], "the results have no model 'oracle'"),
    ],
)
def test_invalid_comparisons_are_errors(
    options: list[str], expected: str, per_sequence_file: Path
) -> None:
    assert expected in segue("compare", per_sequence_file, *options).error


def test_a_file_in_a_missing_folder_is_an_error_before_the_evaluation(tmp_path: Path) -> None:
    file = tmp_path / "no-such-folder" / "results.parquet"
    missing = tmp_path / "no-dataset"
    outcome = segue("evaluate", "popularity", "--data", missing, "--per-sequence", file)
    assert "cannot write" in outcome.error
    assert list(tmp_path.iterdir()) == []


def test_results_are_printed_even_if_the_file_cannot_be_written(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full_disk)
    arguments = ("popularity", "--data", world, "--task", "next-item", *QUICK)
    outcome = segue("evaluate", *arguments, "--per-sequence", tmp_path / "results.parquet")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "cannot write" in outcome.err
    assert "ndcg@10" in outcome.out
    assert list(tmp_path.iterdir()) == []

"""``segue evaluate`` and ``segue compare``: models, baselines and lists from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import segue

from segue import baselines
from segue.config import EvaluationConfig
from segue.dataset import Dataset
from segue.evaluation import evaluate

QUICK = ("--max-sequences", 10)


def models(found: dict) -> list[str]:
    return list(dict.fromkeys(result["model"] for result in found["results"]))


def test_the_model_comes_first_and_the_baselines_follow(run: Path, world: Path) -> None:
    found = segue("evaluate", run, "--data", world, "--json", *QUICK).json
    assert models(found) == [run.name, *baselines.defaults_for(Dataset.open(world))]
    assert {result["task"] for result in found["results"]} == {"next-item", "continuation"}
    assert found["part"] == "test"


def test_a_model_alone(run: Path, world: Path) -> None:
    options = ("--no-baselines", "--task", "next-item", "--on", "validation")
    found = segue("evaluate", run, "--data", world, *options, *QUICK, "--json").json
    assert models(found) == [run.name]
    assert found["part"] == "validation"


def test_a_model_untold_says_so(run: Path, world: Path) -> None:
    options = ("--no-baselines", "--task", "next-item", "--untold", *QUICK, "--json")
    (result,) = segue("evaluate", run, "--data", world, *options).json["results"]
    assert "told nothing of the sequences but their events" in result["notes"]


def test_baselines_alone_are_those_that_were_named(world: Path) -> None:
    options = ("--data", world, "--task", "next-item", *QUICK, "--json")
    assert models(segue("evaluate", "last-item", "popularity", *options).json) == [
        "last-item",
        "popularity",
    ]


def test_naming_given_events_asks_for_those_alone(world: Path) -> None:
    options = ("--data", world, "--task", "continuation", *QUICK, "--json")
    found = segue("evaluate", "popularity", *options, "--given", "2,5").json
    assert [result["given"] for result in found["results"]] == ["first-2", "first-5"]
    found = segue("evaluate", "popularity", *options, "--given-random", "3").json
    assert [result["given"] for result in found["results"]] == ["random-3"]
    found = segue("evaluate", "popularity", *options, "--given", "0").json
    assert [result["given"] for result in found["results"]] == ["first-0"]


def test_the_command_does_what_the_function_does(world: Path) -> None:
    options = ("--task", "next-item", "--seen", "include", "--unknown-targets", "drop")
    options += ("--at", "3,7", "--refit", "--seed", 4, *QUICK)
    found = segue("evaluate", "popularity", "--data", world, *options, "--json").json
    data = Dataset.open(world)
    config = EvaluationConfig(
        task="next-item", seen="include", unknown_targets="drop", ks=(3, 7), seed=4,
        max_sequences=10,
    )  # fmt: skip
    expected = evaluate(baselines.fit("popularity", data, refit=True), data, config=config)
    assert found["protocol"] == expected.protocol
    metrics = expected.results[0].metrics
    assert set(found["results"][0]["metrics"]) == set(metrics)
    assert found["results"][0]["metrics"]["ndcg@7"]["mean"] == metrics["ndcg@7"].mean


def test_the_table_names_the_protocol(world: Path) -> None:
    shown = segue("evaluate", "popularity", "--data", world, *QUICK).out
    for word in (
        "next-item, test part of world",
        "popularity",
        "ndcg@10",
        "r_precision",
        "first-5",
    ):
        assert word in shown
    protocol = shown[shown.index("split holdout") :].replace("\n", " ")
    candidates = f"catalogue train ({Dataset.open(world).n_catalogue} candidates)"
    for word in (candidates, "seen exclude", "fit train", "n "):
        assert word in protocol


def test_the_table_has_the_cutoffs_that_were_asked_for(world: Path) -> None:
    options = ("--task", "next-item", "--at", "3,7", *QUICK)
    shown = segue("evaluate", "popularity", "--data", world, *options).out
    assert all(name in shown for name in ("hr@3", "ndcg@3", "hr@7", "ndcg@7", "mrr"))
    assert "@10" not in shown


def write_lists(world: Path, path: Path) -> None:
    """For each sequence the same list: the catalogue by popularity."""
    data = Dataset.open(world)
    rows = [
        (sequence, item, rank)
        for sequence in data.sequences.ids.to_pylist()
        for rank, item in enumerate(data.items.ids, start=1)
    ]
    columns = dict(zip(("sequence_id", "item_id", "rank"), zip(*rows, strict=True), strict=True))
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), path)


def test_lists_from_elsewhere_stand_in_a_models_place(log: Path) -> None:
    data, lists = log.parent / "data", log.parent / "theirs.parquet"
    assert segue("prepare", log, "-o", data).code == 0
    write_lists(data, lists)
    found = segue("evaluate", lists, "popularity", "--data", data, "--no-baselines", "--json").json
    theirs, ours = found["results"]
    assert theirs["model"] == "theirs"
    assert theirs["metrics"]["hr@5"] == ours["metrics"]["hr@5"]


@pytest.fixture(scope="module")
def by_sequence(world: Path, work: Path) -> Path:
    file = work / "by-sequence.parquet"
    arguments = ("last-item", "popularity", "--data", world, "--task", "next-item", *QUICK)
    assert segue("evaluate", *arguments, "--per-sequence", file).code == 0
    return file


def test_compare_one_file_of_two_models(by_sequence: Path) -> None:
    found = segue("compare", by_sequence, "--metric", "hr@10", "--json").json
    assert found["metric"] == "hr@10"
    assert found["models"] == ["last-item", "popularity"]
    (difference,) = found["differences"]
    assert difference["difference"] == pytest.approx(
        -(difference["means"][0] - difference["means"][1])
    )


def test_compare_two_files_and_named_models(by_sequence: Path) -> None:
    names = ("--models", "popularity,popularity")
    found = segue("compare", by_sequence, by_sequence, *names, "--json").json
    assert found["differences"][0]["difference"] == 0
    assert found["differences"][0]["p_value"] == 1
    shown = segue("compare", by_sequence, *names).out
    assert "95 % interval" in shown
    assert "+0.0000" in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["popularty", "--data", "{world}"], "did you mean 'popularity'?"),
        (["popularity", "popularity", "--data", "{world}"], "two rankers are called"),
        (["popularity", "--data", "{run}"], "not a prepared dataset"),
        (["popularity", "--data", "{world}", "--at", "500"], "500 exceeds the catalogue"),
        (["popularity", "--data", "{world}", "--given", "2,2"], "hold a number twice"),
        (["popularity", "--data", "{world}", "--given-random", "0"], "from 1 on"),
        (["top-rated", "--data", "{world}"], "needs ratings"),
        (["popularity", "--data", "{world}", "--seen", "exclude-context"], "windows"),
        (["recent-popularity", "--data", "{world}"], "time"),
        (["{run}", "--data", "{world}", "--refit"], "--refit fits baselines again"),
        (["popularity", "--data", "{world}", "--untold"], "none is among popularity"),
        (["popularity", "--data", "{world}", "--targets", "first"], "split 'global-time'"),
        (
            ["popularity", "--data", "{world}", "--given", "1", "--task", "next-item"],
            "given 1 belongs to the task 'continuation'",
        ),
        (["popularity", "--data", "{world}", "--seed", "5000000000"], "--seed"),
        (["popularity", "--data", "{world}", "--per-sequence", "{world}"], "it is a folder"),
        (["nothing.parquet", "--data", "{world}"], "there is no file nothing.parquet"),
        (["popularity", "--data", "{world}", "--on", "validation", "--refit"], "test"),
    ],
)
def test_what_cannot_be_evaluated(
    arguments: list[str], expected: str, world: Path, run: Path
) -> None:
    filled = [word.format(world=world, run=run) for word in arguments]
    assert expected in segue("evaluate", *filled).error


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--metric", "ndgc@10"], "did you mean 'ndcg@10'?"),
        (["--models", "popularity"], "expected 2"),
        (["--models", "popularity,oracle"], "no results of a model 'oracle'"),
    ],
)
def test_what_cannot_be_compared(options: list[str], expected: str, by_sequence: Path) -> None:
    assert expected in segue("compare", by_sequence, *options).error


def test_a_place_without_a_folder_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    file, nothing = tmp_path / "no-such-folder" / "results.parquet", tmp_path / "no-dataset"
    outcome = segue("evaluate", "popularity", "--data", nothing, "--per-sequence", file)
    assert "cannot write" in outcome.error
    assert list(tmp_path.iterdir()) == []


def test_results_that_cannot_be_written_are_shown_all_the_same(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    arguments = ("popularity", "--data", world, "--task", "next-item", *QUICK)
    outcome = segue("evaluate", *arguments, "--per-sequence", tmp_path / "results.parquet")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "cannot write" in outcome.err
    assert "ndcg@10" in outcome.out
    assert list(tmp_path.iterdir()) == []

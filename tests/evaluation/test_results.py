"""Evaluation results: JSON, the Parquet file, notes, and requests that are refused."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from segue import baselines
from segue.baselines import ListRanker
from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import Dataset
from segue.errors import RequestError, SourceError, StorageError
from segue.evaluation import evaluate, read_per_sequence, write_per_sequence
from segue.ranking import Ranker
from small_datasets import ArbitraryRanker, UnusedRanker, dataset_of, random_log

DEFAULTS = EvaluationConfig(resamples=50, seen="exclude")
BOTH_TASKS = EvaluationConfig(resamples=50, given=(1, 5), given_random=(2,))


@pytest.fixture(scope="module")
def playlists(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="holdout", test_share=0.4)
    return dataset_of(tmp_path_factory.mktemp("p"), random_log(40, 60, seed=6), split)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="leave-one-out", catalogue="all")
    return dataset_of(tmp_path_factory.mktemp("u"), random_log(30, 40, seed=7), split)


def test_json_of_an_evaluation(users: Dataset) -> None:
    content = evaluate(ArbitraryRanker(users), users, baselines=None, config=DEFAULTS).to_dict()
    assert list(content) == ["dataset", "part", "protocol", "results"]
    assert content["dataset"] == {"name": users.name, "fingerprint": users.fingerprint}
    assert content["part"] == "test"
    assert content["protocol"] == {
        "split": "leave-one-out",
        "seen": "exclude",
        "catalogue": "all",
        "candidates": users.n_catalogue,
        "unknown_targets": "miss",
        "targets": "every",
        "fit": "train",
        "max_sequences": None,
        "resamples": 50,
        "seed": 0,
    }
    (result,) = content["results"]
    keys = ["model", "task", "n", "n_sequences", "unknown_targets", "repeats", "ceiling", "metrics"]
    assert list(result) == keys
    estimate = result["metrics"]["ndcg@10"]
    low, high = estimate["ci95"]
    assert low <= estimate["mean"] <= high
    assert json.loads(json.dumps(content)) == content


def test_held_out_sequences_are_evaluated_on_both_tasks(playlists: Dataset) -> None:
    rankers = [baselines.fit("popularity", playlists), ArbitraryRanker(playlists)]
    evaluation = evaluate(rankers, playlists, baselines=None, config=BOTH_TASKS)
    continuations = [("continuation", given) for given in ("first-1", "first-5", "random-2")]
    settings = [("next-item", None), *continuations]
    results = [(result.model, result.task, result.given) for result in evaluation.results]
    assert results == [(ranker.name, *setting) for ranker in rankers for setting in settings]
    assert "given" not in evaluation.to_dict()["results"][0]
    assert evaluation.to_dict()["results"][1]["given"] == "first-1"


def test_the_means_as_a_table(playlists: Dataset) -> None:
    rankers = [baselines.fit("popularity", playlists), ArbitraryRanker(playlists)]
    evaluation = evaluate(rankers, playlists, baselines=None, config=BOTH_TASKS)
    table = evaluation.to_arrow()
    assert table.num_rows == sum(len(result.metrics) for result in evaluation.results)
    rows = iter(table.to_pylist())
    for result in evaluation.results:
        for metric, estimate in result.metrics.items():
            row = next(rows)
            keys = [row[name] for name in ("model", "task", "given", "metric")]
            assert keys == [result.model, result.task, result.given, metric]
            assert (row["mean"], (row["ci95_low"], row["ci95_high"])) == estimate
            assert (row["n"], row["n_sequences"]) == (result.n, result.n_sequences)


def test_a_mean_without_an_interval_has_nulls(users: Dataset) -> None:
    table = evaluate("popularity", users, ks=[3], resamples=0).to_arrow()
    assert table.column("given").null_count == table.num_rows
    assert table.column("ci95_low").null_count == table.num_rows
    assert table.column("ci95_high").null_count == table.num_rows


def test_the_mean_is_over_instances_not_over_sequences(playlists: Dataset) -> None:
    (result, *_) = evaluate(
        ArbitraryRanker(playlists), playlists, baselines=None, config=BOTH_TASKS
    ).results
    sums, counts = result.per_sequence.sums["mrr"], result.per_sequence.counts
    mean = result.metrics["mrr"].mean
    assert mean == pytest.approx(sums.sum() / counts.sum())
    assert mean != pytest.approx((sums / counts).mean())


def test_the_rows_of_the_parquet_file_give_the_means(playlists: Dataset, tmp_path: Path) -> None:
    rankers = [baselines.fit("popularity", playlists), ArbitraryRanker(playlists)]
    evaluation = evaluate(rankers, playlists, baselines=None, config=BOTH_TASKS)
    write_per_sequence(evaluation, tmp_path / "results.parquet")
    table = read_per_sequence(tmp_path / "results.parquet").to_pylist()
    assert set(table[0]) >= {"model", "task", "given", "sequence_id", "n", "ndcg@10", "clicks"}
    for result in evaluation.results:
        rows = [
            row
            for row in table
            if (row["model"], row["task"], row["given"])
            == (result.model, result.task, result.given)
        ]
        ids = playlists.sequences.ids.to_pylist()
        assert [row["sequence_id"] for row in rows] == [ids[i] for i in result.per_sequence.rows]
        for name, estimate in result.metrics.items():
            total = sum(row[name] * row["n"] for row in rows)
            assert total / sum(row["n"] for row in rows) == pytest.approx(estimate.mean)
        absent = {"ndcg@10", "clicks"} - set(result.metrics)
        assert all(row[name] is None for row in rows for name in absent)
    assert not list(tmp_path.glob("*.partial"))


def test_a_failed_write_leaves_no_file(users: Dataset, tmp_path: Path) -> None:
    evaluation = evaluate(ArbitraryRanker(users), users, baselines=None, config=DEFAULTS)
    with pytest.raises(StorageError, match="cannot write"):
        write_per_sequence(evaluation, tmp_path / "no" / "such" / "folder.parquet")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(StorageError, match="cannot write"):
            write_per_sequence(evaluation, tmp_path / "full.parquet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_files_of_another_kind_are_refused(tmp_path: Path, users: Dataset) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        read_per_sequence(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(SourceError, match="cannot read"):
        read_per_sequence(tmp_path / "text.parquet")
    pq.write_table(users.items.table, tmp_path / "items.parquet")
    with pytest.raises(SourceError, match="does not contain results per sequence"):
        read_per_sequence(tmp_path / "items.parquet")


class ModelStub:
    """A model that makes an ``ArbitraryRanker`` for a dataset."""

    name = "stub"

    def __init__(self, fingerprint: str | None) -> None:
        self._fingerprint = fingerprint

    def ranker(self, data: Dataset, *, use_sequence_features: bool = True) -> Ranker:
        ranker = ArbitraryRanker(data, name=self.name)
        ranker.data_fingerprint = self._fingerprint
        return ranker


def test_a_model_makes_its_ranker_and_a_note_names_another_dataset(users: Dataset) -> None:
    (result,) = evaluate(
        ModelStub(users.fingerprint), users, baselines=None, config=DEFAULTS
    ).results
    assert (result.model, result.notes) == ("stub", ())
    (result,) = evaluate(ModelStub("abc"), users, baselines=None, config=DEFAULTS).results
    assert result.notes == ("fitted on another dataset, with fingerprint abc",)
    assert "abc" in result.to_dict()["notes"][0]


def test_the_notes_of_a_ranker_are_in_its_results(users: Dataset) -> None:
    ranker = ArbitraryRanker(users)
    ranker.notes = ("the model has 3 of the 40 candidates",)
    (result,) = evaluate(ranker, users, baselines=None, config=DEFAULTS).results
    assert result.notes == ranker.notes
    assert result.to_dict()["notes"] == ["the model has 3 of the 40 candidates"]


def write_lists(folder: Path, data: Dataset, rows: range) -> Path:
    ids = data.sequences.ids.to_pylist()
    lines = ["sequence_id,item_id,rank"]
    for row in rows:
        lines += [f"{ids[row]},i{item},{item + 1}" for item in range(10)]
    (folder / "peer.csv").write_text("\n".join([*lines, f"{ids[0]},no such item,99"]) + "\n")
    return folder / "peer.csv"


def test_a_file_of_lists_is_evaluated_like_a_model(users: Dataset, tmp_path: Path) -> None:
    peer = ListRanker.read(write_lists(tmp_path, users, range(20)), users)
    arbitrary, lists = evaluate(
        [ArbitraryRanker(users), peer], users, baselines=None, config=DEFAULTS
    ).results
    assert arbitrary.per_sequence.rows.tolist() == lists.per_sequence.rows.tolist()
    assert lists.notes == (
        "10 of the sequences have no list and count as misses",
        "ignored 1 entry outside the catalogue",
        "ranked lists read from a file, named after the file",
    )
    expected = []
    for row in lists.per_sequence.rows.tolist():
        *before, target = users.sequences.row(row).tolist()
        ranked = [i for i in users.items.find([f"i{n}" for n in range(10)]) if i not in before]
        expected.append(row < 20 and target in ranked[:5])
    assert lists.metrics["hr@5"].mean == pytest.approx(np.mean(expected))


def test_a_list_ranker_supports_one_query_per_sequence(playlists: Dataset, tmp_path: Path) -> None:
    peer = ListRanker.read(
        write_lists(tmp_path, playlists, range(len(playlists.sequences))), playlists
    )
    message = "peer has one list per sequence, but the evaluation has 4 queries per sequence"
    with pytest.raises(RequestError, match=message):
        evaluate(peer, playlists, baselines=None, config=BOTH_TASKS)
    with pytest.raises(RequestError, match=r"some sequences have several of the \d+ targets"):
        evaluate(peer, playlists, baselines=None, config=EvaluationConfig(task="next-item"))
    options = EvaluationConfig(task="continuation", given=(5,), given_random=(), resamples=0)
    evaluation = evaluate(peer, playlists, baselines=None, config=options)
    (result,) = evaluation.results
    assert result.metrics["r_precision"].mean > 0
    assert evaluation.protocol["fit"] is None


def test_rankers_fitted_on_different_parts_are_refused(users: Dataset) -> None:
    rankers = [
        baselines.fit("popularity", users),
        baselines.fit("last-item", users, fit_on_validation=True),
    ]
    with pytest.raises(RequestError, match="others on train\\+validation"):
        evaluate(rankers, users, baselines=None)
    assert (
        evaluate(rankers[1], users, baselines=None, config=DEFAULTS).protocol["fit"]
        == "train+validation"
    )
    with pytest.raises(RequestError, match="fitted on the validation events too"):
        evaluate(rankers[1], users, baselines=None, part="validation")


def test_invalid_evaluations_are_refused(users: Dataset) -> None:
    ranker = ArbitraryRanker(users)
    with pytest.raises(RequestError, match="nothing to evaluate"):
        evaluate([], users, baselines=None)
    with pytest.raises(RequestError, match="two rankers are called 'arbitrary'"):
        evaluate([ranker, ArbitraryRanker(users)], users, baselines=None)
    with pytest.raises(RequestError, match="exclude-context requires the split 'windows'"):
        evaluate(ranker, users, baselines=None, config=EvaluationConfig(seen="exclude-context"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"targets": "first"}, "targets 'first' requires the split 'global-time'"),
        ({"targets": "last"}, "but the split is 'leave-one-out'"),
        ({"given": (1, 5)}, "given 1,5 requires the task 'continuation'"),
        ({"given_random": (5,)}, "given_random 5 requires the task 'continuation'"),
        ({"list_length": 7}, "list_length 7 requires the task 'continuation'"),
    ],
)
def test_options_of_other_splits_and_tasks_are_refused(users: Dataset, options, expected) -> None:
    config = EvaluationConfig(task="next-item", **options)
    with pytest.raises(RequestError, match=expected) as caught:
        evaluate(UnusedRanker(), users, baselines=None, config=config)
    assert caught.value.hint.startswith("leave it out")


def test_options_without_effect_are_accepted(users: Dataset) -> None:
    config = EvaluationConfig(targets="every", given=(), given_random=(), resamples=0)
    evaluation = evaluate(ArbitraryRanker(users), users, baselines=None, config=config)
    assert evaluation.protocol["targets"] == "every"


def test_the_validation_part_is_evaluated_separately(users: Dataset) -> None:
    evaluation = evaluate(
        ArbitraryRanker(users), users, baselines=None, part="validation", config=DEFAULTS
    )
    assert evaluation.part == "validation"
    assert evaluation.results[0].n == np.count_nonzero(
        users.sequences.train_end < users.sequences.valid_end
    )

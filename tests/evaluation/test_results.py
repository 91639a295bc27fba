"""The JSON, the Parquet file, the notes, and what is refused before anything is asked."""

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
from small_datasets import ArbitraryRanker, NeverAsked, dataset_of, random_log

FEW = EvaluationConfig(resamples=50)
CONTINUED = EvaluationConfig(resamples=50, given=(1, 5), given_random=(2,))


@pytest.fixture(scope="module")
def playlists(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="holdout", test_share=0.4)
    return dataset_of(tmp_path_factory.mktemp("p"), random_log(40, 60, seed=6), split)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="leave-one-out", catalogue="all")
    return dataset_of(tmp_path_factory.mktemp("u"), random_log(30, 40, seed=7), split)


def test_json_has_the_documented_shape(users: Dataset) -> None:
    found = evaluate(ArbitraryRanker(users), users, config=FEW).to_json()
    assert list(found) == ["dataset", "part", "protocol", "results"]
    assert found["dataset"] == {"name": users.name, "fingerprint": users.fingerprint}
    assert found["part"] == "test"
    assert found["protocol"] == {
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
    (result,) = found["results"]
    keys = ["model", "task", "n", "n_sequences", "unknown_targets", "repeats", "ceiling", "metrics"]
    assert list(result) == keys
    estimate = result["metrics"]["ndcg@10"]
    low, high = estimate["ci95"]
    assert low <= estimate["mean"] <= high
    assert json.loads(json.dumps(found)) == found


def test_held_out_sequences_are_evaluated_in_both_ways(playlists: Dataset) -> None:
    rankers = [baselines.fit("popularity", playlists), ArbitraryRanker(playlists)]
    found = evaluate(rankers, playlists, config=CONTINUED)
    ways = [("next-item", None)] + [("continuation", w) for w in ("first-1", "first-5", "random-2")]
    got = [(each.model, each.task, each.given) for each in found.results]
    assert got == [(ranker.name, *way) for ranker in rankers for way in ways]
    assert "given" not in found.to_json()["results"][0]
    assert found.to_json()["results"][1]["given"] == "first-1"


def test_intervals_narrow_around_the_mean_over_instances(playlists: Dataset) -> None:
    (found, *_) = evaluate(ArbitraryRanker(playlists), playlists, config=CONTINUED).results
    scores, mean = found.scores, found.metrics["mrr"].mean
    assert mean == pytest.approx(scores.sums["mrr"].sum() / scores.counts.sum())
    assert mean != pytest.approx((scores.sums["mrr"] / scores.counts).mean())


def test_rows_of_the_parquet_file_lead_back_to_the_means(
    playlists: Dataset, tmp_path: Path
) -> None:
    rankers = [baselines.fit("popularity", playlists), ArbitraryRanker(playlists)]
    found = evaluate(rankers, playlists, config=CONTINUED)
    write_per_sequence(found, tmp_path / "scores.parquet")
    table = read_per_sequence(tmp_path / "scores.parquet").to_pylist()
    assert set(table[0]) >= {"model", "task", "given", "sequence_id", "n", "ndcg@10", "clicks"}
    for result in found.results:
        mine = [
            row
            for row in table
            if (row["model"], row["task"], row["given"])
            == (result.model, result.task, result.given)
        ]
        ids = playlists.sequences.ids.to_pylist()
        assert [row["sequence_id"] for row in mine] == [ids[i] for i in result.scores.rows]
        for name, estimate in result.metrics.items():
            total = sum(row[name] * row["n"] for row in mine)
            assert total / sum(row["n"] for row in mine) == pytest.approx(estimate.mean)
        others = {"ndcg@10", "clicks"} - set(result.metrics)
        assert all(row[name] is None for row in mine for name in others)
    assert not list(tmp_path.glob("*.partial"))


def test_a_file_that_cannot_be_written_leaves_nothing(users: Dataset, tmp_path: Path) -> None:
    found = evaluate(ArbitraryRanker(users), users, config=FEW)
    with pytest.raises(StorageError, match="cannot write"):
        write_per_sequence(found, tmp_path / "no" / "such" / "folder.parquet")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(StorageError, match="cannot write"):
            write_per_sequence(found, tmp_path / "full.parquet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path: Path, users: Dataset) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        read_per_sequence(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(SourceError, match="cannot read"):
        read_per_sequence(tmp_path / "text.parquet")
    pq.write_table(users.items.table, tmp_path / "items.parquet")
    with pytest.raises(SourceError, match="does not hold results by sequence"):
        read_per_sequence(tmp_path / "items.parquet")


class Owner:
    """Stands for a model, which makes a ranker for the dataset that it is asked about."""

    def __init__(self, fingerprint: str | None) -> None:
        self._fingerprint = fingerprint

    def ranker(self, data: Dataset) -> Ranker:
        ranker = ArbitraryRanker(data, name="owner's")
        ranker.data_fingerprint = self._fingerprint
        return ranker


def test_a_model_makes_its_own_ranker_and_another_dataset_is_said(users: Dataset) -> None:
    (same,) = evaluate(Owner(users.fingerprint), users, config=FEW).results
    assert (same.model, same.notes) == ("owner's", ())
    (other,) = evaluate(Owner("abc"), users, config=FEW).results
    assert "another dataset" in other.notes[0]
    assert "abc" in other.to_json()["notes"][0]


def test_what_a_ranker_says_of_itself_stands_in_its_results(users: Dataset) -> None:
    ranker = ArbitraryRanker(users)
    ranker.notes = ("it knows 3 of the 40 candidates",)
    (found,) = evaluate(ranker, users, config=FEW).results
    assert found.notes == ranker.notes
    assert found.to_json()["notes"] == ["it knows 3 of the 40 candidates"]


def write_lists(folder: Path, data: Dataset, rows: range) -> Path:
    ids = data.sequences.ids.to_pylist()
    lines = ["sequence_id,item_id,rank"]
    for row in rows:
        lines += [f"{ids[row]},i{item},{item + 1}" for item in range(10)]
    (folder / "peer.csv").write_text("\n".join([*lines, f"{ids[0]},unheard of,99"]) + "\n")
    return folder / "peer.csv"


def test_a_list_stands_in_a_models_place(users: Dataset, tmp_path: Path) -> None:
    peer = ListRanker.read(write_lists(tmp_path, users, range(20)), users)
    found = evaluate([ArbitraryRanker(users), peer], users, config=FEW)
    mine, theirs = found.results
    assert mine.scores.rows.tolist() == theirs.scores.rows.tolist()
    assert theirs.notes[0] == "10 of the sequences have no list, and count as misses"
    assert theirs.notes[1] == "left out: 1 entry outside the catalogue"
    expected = []
    for row in theirs.scores.rows.tolist():
        *before, target = users.sequences.row(row).tolist()
        listed = [i for i in users.items.find([f"i{n}" for n in range(10)]) if i not in before]
        expected.append(row < 20 and target in listed[:5])
    assert theirs.metrics["hr@5"].mean == pytest.approx(np.mean(expected))


def test_lists_answer_one_question_a_sequence(playlists: Dataset, tmp_path: Path) -> None:
    peer = ListRanker.read(
        write_lists(tmp_path, playlists, range(len(playlists.sequences))), playlists
    )
    with pytest.raises(RequestError, match="peer holds one list a sequence, but 4 questions"):
        evaluate(peer, playlists, config=CONTINUED)
    with pytest.raises(RequestError, match="targets are asked of fewer sequences"):
        evaluate(peer, playlists, config=EvaluationConfig(task="next-item"))
    one = EvaluationConfig(task="continuation", given=(5,), given_random=(), resamples=0)
    (found,) = evaluate(peer, playlists, config=one).results
    assert found.metrics["r_precision"].mean > 0
    assert evaluate(peer, playlists, config=one).protocol["fit"] is None


def test_rankers_of_different_fits_never_share_a_table(users: Dataset) -> None:
    rankers = [baselines.fit("popularity", users), baselines.fit("last-item", users, refit=True)]
    with pytest.raises(RequestError, match="others on train\\+validation"):
        evaluate(rankers, users)
    assert evaluate(rankers[1], users, config=FEW).protocol["fit"] == "train+validation"
    with pytest.raises(RequestError, match="fitted on the validation events too"):
        evaluate(rankers[1], users, on="validation")


def test_impossible_requests_are_refused(users: Dataset) -> None:
    ranker = ArbitraryRanker(users)
    with pytest.raises(RequestError, match="nothing to evaluate"):
        evaluate([], users)
    with pytest.raises(RequestError, match="two rankers are called 'arbitrary'"):
        evaluate([ranker, ArbitraryRanker(users)], users)
    with pytest.raises(RequestError, match="exclude-context belongs to the split 'windows'"):
        evaluate(ranker, users, config=EvaluationConfig(seen="exclude-context"))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"targets": "first"}, "targets 'first' belongs to the split 'global-time'"),
        ({"targets": "last"}, "but the split is 'leave-one-out'"),
        ({"given": (1, 5)}, "given 1,5 belongs to the task 'continuation'"),
        ({"given_random": (5,)}, "given_random 5 belongs to the task 'continuation'"),
        ({"list_length": 7}, "list_length 7 belongs to the task 'continuation'"),
    ],
)
def test_an_option_of_other_splits_and_tasks_is_refused(users: Dataset, asked, expected) -> None:
    config = EvaluationConfig(task="next-item", **asked)
    with pytest.raises(RequestError, match=expected) as caught:
        evaluate(NeverAsked(), users, config=config)
    assert caught.value.hint.startswith("leave it out")


def test_an_option_that_says_what_holds_anyway_is_none_too_many(users: Dataset) -> None:
    config = EvaluationConfig(targets="every", given=(), given_random=(), resamples=0)
    found = evaluate(ArbitraryRanker(users), users, config=config)
    assert found.protocol["targets"] == "every"


def test_validation_is_a_part_of_its_own(users: Dataset) -> None:
    found = evaluate(ArbitraryRanker(users), users, on="validation", config=FEW)
    assert found.part == "validation"
    assert found.results[0].n == np.count_nonzero(
        users.sequences.train_end < users.sequences.valid_end
    )

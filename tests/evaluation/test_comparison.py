"""Paired comparisons: from files and evaluations, pooled, and refused where unfair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.evaluation import Evaluation, compare, evaluate, write_per_sequence
from segue.resampling import permutation_test
from small_datasets import ArbitraryRanker, dataset_of, random_log

NEXT_ITEM = EvaluationConfig(task="next-item", resamples=0)
CONTINUED = EvaluationConfig(task="continuation", given=(1, 5), given_random=(2,), resamples=0)


@pytest.fixture(scope="module")
def playlists(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="holdout", test_share=0.5)
    return dataset_of(tmp_path_factory.mktemp("p"), random_log(60, 60, seed=6), split)


@pytest.fixture(scope="module")
def both(playlists: Dataset) -> Evaluation:
    rankers = [ArbitraryRanker(playlists), baselines.fit("popularity", playlists)]
    return evaluate(rankers, playlists, config=NEXT_ITEM)


@pytest.fixture(scope="module")
def continued(playlists: Dataset) -> Evaluation:
    rankers = [ArbitraryRanker(playlists), baselines.fit("popularity", playlists)]
    return evaluate(rankers, playlists, config=CONTINUED)


def test_the_better_of_two_is_found(both: Evaluation) -> None:
    found = compare(both, metric="mrr")
    assert found.models == ("arbitrary", "popularity")
    (difference,) = found.differences
    first, second = (each.metrics["mrr"].mean for each in both.results)
    assert difference.means == pytest.approx((first, second))
    assert difference.difference == pytest.approx(second - first)
    assert difference.ci95[0] < difference.difference < difference.ci95[1]
    assert difference.ci95[0] > 0
    assert difference.p_value < 0.001
    assert (difference.n, difference.n_sequences) == (
        both.results[0].n,
        both.results[0].n_sequences,
    )


def test_the_p_value_is_that_of_the_sums_by_sequence(both: Evaluation) -> None:
    sums = [each.scores.sums["hr@5"] for each in both.results]
    expected = permutation_test(sums[1] - sums[0], 500, seed=3)
    (found,) = compare(both, metric="hr@5", permutations=500, seed=3).differences
    assert found.p_value == pytest.approx(expected, abs=0.01)


def test_one_file_two_files_and_evaluations_agree(playlists, both, tmp_path: Path) -> None:
    write_per_sequence(both, tmp_path / "both.parquet")
    for name, ranker in (
        ("a", ArbitraryRanker(playlists)),
        ("b", baselines.fit("popularity", playlists)),
    ):
        alone = evaluate(ranker, playlists, config=NEXT_ITEM)
        write_per_sequence(alone, tmp_path / f"{name}.parquet")
    whole = compare(both, metric="mrr")
    assert compare(tmp_path / "both.parquet", metric="mrr") == whole
    assert compare(str(tmp_path / "a.parquet"), tmp_path / "b.parquet", "mrr") == whole
    turned = compare(both, metric="mrr", models=("popularity", "arbitrary")).differences[0]
    assert turned.difference == pytest.approx(-whole.differences[0].difference)


def test_continuations_are_compared_one_by_one_and_pooled(continued: Evaluation) -> None:
    found = compare(continued, metric="r_precision").differences
    assert [each.given for each in found] == ["first-1", "first-5", "random-2", "pooled"]
    *each, pooled = found
    assert pooled.n == sum(one.n for one in each)
    assert pooled.n_sequences == max(one.n_sequences for one in each)
    weighted = np.average([one.difference for one in each], weights=[one.n for one in each])
    assert pooled.difference == pytest.approx(weighted)


def test_a_model_equals_itself(both: Evaluation) -> None:
    (found,) = compare(both, both, "mrr", models=("arbitrary", "arbitrary")).differences
    assert (found.difference, found.p_value, found.ci95) == (0, 1, (0, 0))


def test_json_is_plain(continued: Evaluation) -> None:
    found = compare(continued, metric="clicks", permutations=100).to_json()
    assert list(found) == ["metric", "models", "permutations", "differences"]
    assert set(found["differences"][0]) == {
        "task",
        "given",
        "n",
        "n_sequences",
        "means",
        "difference",
        "ci95",
        "p_value",
    }


def test_rows_of_other_order_are_joined_by_sequence(playlists, both, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_per_sequence(both, tmp_path / "both.parquet")
    table = pq.read_table(tmp_path / "both.parquet")
    pq.write_table(table.take(np.arange(len(table))[::-1]), tmp_path / "turned.parquet")
    names = ("arbitrary", "popularity")
    turned = compare(tmp_path / "both.parquet", tmp_path / "turned.parquet", "mrr", models=names)
    assert turned == compare(both, metric="mrr")


def test_different_sequences_are_counted_and_refused(playlists: Dataset, both) -> None:
    sample = evaluate(
        ArbitraryRanker(playlists, "sampled"),
        playlists,
        config=NEXT_ITEM.model_copy(update={"max_sequences": 10}),
    )
    missing = both.results[0].n_sequences - 10
    with pytest.raises(RequestError, match=f"{missing} of their sequences differ"):
        compare(both, sample, "mrr", models=("arbitrary", None))


def test_different_questions_of_the_same_sequences_are_refused(both, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_per_sequence(both, tmp_path / "both.parquet")
    table = pq.read_table(tmp_path / "both.parquet")
    counts = pa.array(table.column("n").to_numpy() + 1)
    place = table.column_names.index("n")
    pq.write_table(table.set_column(place, "n", counts), tmp_path / "other.parquet")
    names = ("arbitrary", "popularity")
    with pytest.raises(RequestError, match="were not asked the same questions"):
        compare(tmp_path / "both.parquet", tmp_path / "other.parquet", "mrr", models=names)


def test_different_protocols_are_refused(playlists: Dataset, both: Evaluation) -> None:
    included = evaluate(
        ArbitraryRanker(playlists, "other"),
        playlists,
        config=NEXT_ITEM.model_copy(update={"seen": "include"}),
    )
    with pytest.raises(RequestError, match="different protocols: seen exclude and include"):
        compare(both, included, "mrr", models=("arbitrary", None))


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"list_length": 7}, r"list_length \d+ and 7"), ({"seed": 1}, "seed 0 and 1")],
)
def test_other_lists_and_other_draws_are_refused(
    playlists: Dataset, continued: Evaluation, changed, message: str
) -> None:
    options = CONTINUED.model_copy(update=changed)
    other = evaluate(ArbitraryRanker(playlists, "other"), playlists, config=options)
    with pytest.raises(RequestError, match=message):
        compare(continued, other, "r_precision", models=("arbitrary", None))


def test_next_items_are_compared_whether_or_not_lists_were_asked_for_too(
    playlists: Dataset, both: Evaluation
) -> None:
    options = CONTINUED.model_copy(update={"task": None})
    other = evaluate(ArbitraryRanker(playlists, "other"), playlists, config=options)
    assert compare(both, other, "mrr", models=("popularity", None)).differences[0].given is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "ndgc@10"}, "did you mean 'ndcg@10'"),
        ({"models": ("arbitary", "popularity")}, "did you mean 'arbitrary'"),
        ({"models": ("arbitrary", None)}, "2 models are in the results, and none was named"),
        ({"permutations": 0}, "got 0 permutations"),
        ({"metric": "n"}, "no metric 'n'"),
    ],
)
def test_impossible_requests_are_refused(both: Evaluation, options, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        compare(both, **options)

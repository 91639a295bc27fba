"""Paired comparisons of two models: from files and evaluations, pooled, and refused if unfair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segue import baselines
from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.evaluation import Evaluation, compare, evaluate, write_per_sequence
from segue.evaluation.statistics import permutation_test
from small_datasets import ArbitraryRanker, dataset_of, random_log

NEXT_ITEM = EvaluationConfig(task="next-item", seen="exclude", resamples=0)
CONTINUATION = EvaluationConfig(task="continuation", given=(1, 5), given_random=(2,), resamples=0)


@pytest.fixture(scope="module")
def playlists(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="holdout", test_share=0.5)
    return dataset_of(tmp_path_factory.mktemp("p"), random_log(60, 60, seed=6), split)


@pytest.fixture(scope="module")
def next_item(playlists: Dataset) -> Evaluation:
    rankers = [ArbitraryRanker(playlists), baselines.fit("popularity", playlists)]
    return evaluate(rankers, playlists, baselines=None, config=NEXT_ITEM)


@pytest.fixture(scope="module")
def continuation(playlists: Dataset) -> Evaluation:
    rankers = [ArbitraryRanker(playlists), baselines.fit("popularity", playlists)]
    return evaluate(rankers, playlists, baselines=None, config=CONTINUATION)


def test_the_better_model_has_a_significant_difference(next_item: Evaluation) -> None:
    comparison = compare(next_item, metric="mrr")
    assert comparison.models == ("arbitrary", "popularity")
    (difference,) = comparison.differences
    first, second = (result.metrics["mrr"].mean for result in next_item.results)
    assert difference.means == pytest.approx((first, second))
    assert difference.difference == pytest.approx(second - first)
    assert difference.ci95[0] < difference.difference < difference.ci95[1]
    assert difference.ci95[0] > 0
    assert difference.p_value < 0.001
    assert (difference.n, difference.n_sequences) == (
        next_item.results[0].n,
        next_item.results[0].n_sequences,
    )


def test_the_p_value_is_that_of_the_sums_per_sequence(next_item: Evaluation) -> None:
    sums = [result.per_sequence.sums["hr@5"] for result in next_item.results]
    expected = permutation_test(sums[1] - sums[0], 500, seed=3)
    (difference,) = compare(next_item, metric="hr@5", permutations=500, seed=3).differences
    assert difference.p_value == pytest.approx(expected, abs=0.01)


def test_one_file_two_files_and_evaluations_give_the_same(
    playlists, next_item, tmp_path: Path
) -> None:
    write_per_sequence(next_item, tmp_path / "both.parquet")
    for name, ranker in (
        ("a", ArbitraryRanker(playlists)),
        ("b", baselines.fit("popularity", playlists)),
    ):
        single = evaluate(ranker, playlists, baselines=None, config=NEXT_ITEM)
        write_per_sequence(single, tmp_path / f"{name}.parquet")
    expected = compare(next_item, metric="mrr")
    assert compare(tmp_path / "both.parquet", metric="mrr") == expected
    assert compare(str(tmp_path / "a.parquet"), tmp_path / "b.parquet", metric="mrr") == expected
    models = ("popularity", "arbitrary")
    (reversed_difference,) = compare(next_item, metric="mrr", models=models).differences
    expected_difference = -expected.differences[0].difference
    assert reversed_difference.difference == pytest.approx(expected_difference)


def test_continuations_are_compared_separately_and_pooled(continuation: Evaluation) -> None:
    differences = compare(continuation, metric="r_precision").differences
    given = [difference.given for difference in differences]
    assert given == ["first-1", "first-5", "random-2", "pooled"]
    *separate, pooled = differences
    assert pooled.n == sum(difference.n for difference in separate)
    assert pooled.n_sequences == max(difference.n_sequences for difference in separate)
    weighted = np.average(
        [difference.difference for difference in separate],
        weights=[difference.n for difference in separate],
    )
    assert pooled.difference == pytest.approx(weighted)


def test_a_model_does_not_differ_from_itself(next_item: Evaluation) -> None:
    models = ("arbitrary", "arbitrary")
    (difference,) = compare(next_item, next_item, metric="mrr", models=models).differences
    assert (difference.difference, difference.p_value, difference.ci95) == (0, 1, (0, 0))


def test_json_of_a_comparison(continuation: Evaluation) -> None:
    content = compare(continuation, metric="clicks", permutations=100).to_dict()
    assert list(content) == ["metric", "models", "permutations", "differences"]
    assert set(content["differences"][0]) == {
        "task",
        "given",
        "n",
        "n_sequences",
        "means",
        "difference",
        "ci95",
        "p_value",
    }


def test_rows_in_different_order_are_joined_by_sequence(next_item, tmp_path: Path) -> None:
    write_per_sequence(next_item, tmp_path / "both.parquet")
    table = pq.read_table(tmp_path / "both.parquet")
    pq.write_table(table.take(np.arange(len(table))[::-1]), tmp_path / "reversed.parquet")
    models = ("arbitrary", "popularity")
    files = tmp_path / "both.parquet", tmp_path / "reversed.parquet"
    assert compare(*files, metric="mrr", models=models) == compare(next_item, metric="mrr")


def test_different_sequences_are_counted_and_refused(playlists: Dataset, next_item) -> None:
    sample = evaluate(
        ArbitraryRanker(playlists, "sampled"),
        playlists,
        baselines=None,
        config=NEXT_ITEM.model_copy(update={"max_sequences": 10}),
    )
    missing = next_item.results[0].n_sequences - 10
    with pytest.raises(RequestError, match=f"{missing} of their sequences differ"):
        compare(next_item, sample, metric="mrr", models=("arbitrary", None))


def test_different_instances_of_the_same_sequences_are_refused(next_item, tmp_path: Path) -> None:
    write_per_sequence(next_item, tmp_path / "both.parquet")
    table = pq.read_table(tmp_path / "both.parquet")
    counts = pa.array(table.column("n").to_numpy() + 1)
    column = table.column_names.index("n")
    pq.write_table(table.set_column(column, "n", counts), tmp_path / "changed.parquet")
    models = ("arbitrary", "popularity")
    with pytest.raises(RequestError, match="were not evaluated on the same instances"):
        compare(
            tmp_path / "both.parquet", tmp_path / "changed.parquet", metric="mrr", models=models
        )


def test_different_protocols_are_refused(playlists: Dataset, next_item: Evaluation) -> None:
    with_seen = evaluate(
        ArbitraryRanker(playlists, "with-seen"),
        playlists,
        baselines=None,
        config=NEXT_ITEM.model_copy(update={"seen": "include"}),
    )
    with pytest.raises(
        RequestError,
        match="different protocols: seen is exclude for the first and include for the second",
    ):
        compare(next_item, with_seen, metric="mrr", models=("arbitrary", None))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"list_length": 7}, r"list_length is \d+ for the first and 7 for the second"),
        ({"seed": 1}, "seed is 0 for the first and 1 for the second"),
    ],
)
def test_different_list_lengths_and_seeds_are_refused(
    playlists: Dataset, continuation: Evaluation, changed, message: str
) -> None:
    options = CONTINUATION.model_copy(update=changed)
    second = evaluate(
        ArbitraryRanker(playlists, "second"), playlists, baselines=None, config=options
    )
    with pytest.raises(RequestError, match=message):
        compare(continuation, second, metric="r_precision", models=("arbitrary", None))


def test_next_items_can_be_compared_if_only_one_evaluation_has_continuations(
    playlists: Dataset, next_item: Evaluation
) -> None:
    options = CONTINUATION.model_copy(update={"task": None, "seen": "exclude"})
    second = evaluate(
        ArbitraryRanker(playlists, "second"), playlists, baselines=None, config=options
    )
    comparison = compare(next_item, second, metric="mrr", models=("popularity", None))
    assert comparison.differences[0].given is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "ndgc@10"}, "did you mean 'ndcg@10'"),
        ({"models": ("arbitary", "popularity")}, "did you mean 'arbitrary'"),
        ({"models": ("arbitrary", None)}, "the results have 2 models, and none was named"),
        ({"permutations": 0}, "got 0 permutations"),
        ({"resamples": 10**12}, "give 1 to 1,000,000 of each"),
        ({"metric": "n"}, "no metric 'n'"),
    ],
)
def test_invalid_comparisons_are_refused(next_item: Evaluation, options, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        compare(next_item, **options)

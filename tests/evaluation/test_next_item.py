"""Next items against a slow reference that asks one question at a time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.axes import N_SPECIALS, Ragged
from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import VALID_TARGET, Dataset, targets
from segue.errors import DatasetError, RequestError
from segue.evaluation import evaluate
from segue.ranking import Queries, ScoringRanker
from small_datasets import ArbitraryRanker, NeverAsked, dataset_of, random_log

SPLITS = [
    SplitConfig(kind="holdout", seed=1, validation_share=0.2, test_share=0.3),
    SplitConfig(kind="leave-one-out"),
    SplitConfig(kind="leave-one-out", catalogue="all"),
    SplitConfig(kind="global-time", test_share=0.3, validation_share=0.2),
    SplitConfig(kind="windows"),
]


@pytest.fixture(scope="module", params=SPLITS, ids=lambda split: f"{split.kind}-{split.catalogue}")
def dataset(request, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = random_log(30, 40, seed=5)
    starts = {sequence_id: 7 * i for i, sequence_id in enumerate(log)}
    return dataset_of(tmp_path_factory.mktemp("log"), log, request.param, starts=starts)


def options(**values) -> EvaluationConfig:
    return EvaluationConfig(**{"task": "next-item", "resamples": 20} | values)


def slow_rank(ranker: ScoringRanker, data: Dataset, row: int, position: int, seen: str) -> int:
    """The definition, word for word, for one target."""
    events = data.sequences.row(row)
    target, before = events[position], events[:position]
    given = before[-5:] if data.manifest.split.kind == "windows" else before
    excluded = {"exclude": before, "exclude-context": given, "include": before[:0]}[seen]
    if target >= data.table_size or target in excluded:
        return 0
    query = Queries(Ragged.of([given]), Ragged.of([[]]), np.array([row]))
    scores = ranker.scores(query)[0]
    others = [i for i in range(N_SPECIALS, data.table_size) if i not in set(excluded.tolist())]
    higher = sum(scores[i] > scores[target] for i in others)
    tied = sum(scores[i] == scores[target] for i in others)
    return math.ceil(sum(range(higher + 1, higher + tied + 1)) / tied)


@pytest.mark.parametrize("option", ["exclude", "include", None])
def test_metrics_agree_with_the_slow_reference(dataset: Dataset, option) -> None:
    ranker = ArbitraryRanker(dataset)
    evaluation = evaluate(ranker, dataset, config=options(seen=option))
    (found,), seen = evaluation.results, evaluation.protocol["seen"]
    asked = targets(dataset.sequences, dataset.manifest.split, "test")
    pairs = list(zip(asked.rows.tolist(), asked.positions.tolist(), strict=True))
    if dataset.manifest.split.kind == "global-time":
        pairs = [pair for pair in pairs if dataset.sequences.valid_end[pair[0]] > 0]
    ranks = [slow_rank(ranker, dataset, row, position, seen) for row, position in pairs]
    assert found.n == len(ranks)
    assert found.n_sequences == len({row for row, _ in pairs})
    expected = np.mean([1 / math.log2(rank + 1) if 0 < rank <= 10 else 0 for rank in ranks])
    assert found.metrics["ndcg@10"].mean == pytest.approx(expected)
    assert found.metrics["hr@5"].mean == pytest.approx(np.mean([0 < rank <= 5 for rank in ranks]))
    assert found.metrics["mrr"].mean == pytest.approx(
        np.mean([rank and 1 / rank for rank in ranks])
    )
    wanted = [dataset.sequences.row(row)[position] for row, position in pairs]
    assert found.tally.unknown_targets == sum(item >= dataset.table_size for item in wanted)
    assert found.tally.repeats == sum(
        dataset.sequences.row(row)[position] in dataset.sequences.row(row)[:position]
        for row, position in pairs
    )
    assert found.tally.ceiling == pytest.approx(np.mean([rank > 0 for rank in ranks]))


@pytest.mark.parametrize("block_size", [1, 7, 64])
def test_results_do_not_depend_on_the_block_size(dataset: Dataset, block_size: int) -> None:
    rankers = [ArbitraryRanker(dataset), baselines.fit("co-occurrence", dataset)]
    whole = evaluate(rankers, dataset, config=options())
    blocked = evaluate(rankers, dataset, config=options(), block_size=block_size)
    assert blocked.to_json() == whole.to_json()


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three sequences that go on after the cut, two that begin after it."""
    log = {name: ["a", "b", "c", "d", "e", "f"] for name in ("x", "y", "z")}
    log |= {"new1": ["a", "b", "c"], "new2": ["b"]}
    starts = {"x": 0, "y": 1, "z": 2, "new1": 100, "new2": 101}
    split = SplitConfig(kind="global-time", test_share=0.3, validation_share=0.1, catalogue="all")
    return dataset_of(tmp_path_factory.mktemp("cold"), log, split, starts=starts)


def test_sequences_that_begin_in_the_part_are_a_slice_of_their_own(cold: Dataset) -> None:
    (found,) = evaluate(ArbitraryRanker(cold), cold, config=options(ks=(1, 5))).results
    ends, lengths = cold.sequences.valid_end, cold.sequences.lengths
    assert found.n == np.count_nonzero((ends > 0) & (ends < lengths))
    assert found.slices["cold-start"].n == 2
    shown = found.to_json()["slices"]["cold-start"]
    assert shown["n_sequences"] == 2
    assert "hr@5" in shown["metrics"]


@pytest.mark.parametrize(("which", "n"), [("last", 2), ("first", 2), ("random", 2), ("every", 4)])
def test_global_time_targets_are_chosen_by_the_option(cold: Dataset, which, n: int) -> None:
    found = evaluate(ArbitraryRanker(cold), cold, config=options(targets=which, ks=(1,)))
    assert found.results[0].slices["cold-start"].n == n
    assert found.protocol["targets"] == which


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Leave-one-out targets: known, outside the catalogue, a repeat."""
    log = {
        "known": ["a", "b", "c", "d"],
        "unknown": ["d", "a", "b", "never"],
        "repeat": ["b", "c", "d", "b"],
    }
    folder = tmp_path_factory.mktemp("unknown")
    return dataset_of(folder, log, SplitConfig(kind="leave-one-out"))


def test_unknown_targets_and_repeats_miss_and_are_counted(unknown: Dataset) -> None:
    ranker = baselines.fit("popularity", unknown)
    (found,) = evaluate(ranker, unknown, config=options(ks=(4,))).results
    assert (found.n, found.tally) == (3, (1, 1, pytest.approx(1 / 3)))
    assert found.metrics["hr@4"].mean == pytest.approx(1 / 3)


def test_unknown_targets_can_be_dropped_and_are_still_counted(unknown: Dataset) -> None:
    ranker = baselines.fit("popularity", unknown)
    config = options(ks=(4,), unknown_targets="drop")
    (found,) = evaluate(ranker, unknown, config=config).results
    assert (found.n, found.tally.unknown_targets) == (2, 1)
    assert found.metrics["hr@4"].mean == pytest.approx(1 / 2)


def test_repeats_can_be_hit_where_the_seen_is_included(unknown: Dataset) -> None:
    ranker = baselines.fit("popularity", unknown)
    (found,) = evaluate(ranker, unknown, config=options(ks=(4,), seen="include")).results
    assert found.metrics["hr@4"].mean == pytest.approx(2 / 3)
    assert found.tally.repeats == 1


def test_a_ranker_is_not_asked_what_nothing_can_answer(tmp_path: Path) -> None:
    log = {"x": ["a", "b", "c", "a"], "y": ["b", "a", "c", "b"]}
    dataset = dataset_of(tmp_path, log, SplitConfig(kind="leave-one-out"))
    (found,) = evaluate(NeverAsked(), dataset, config=options(ks=(1,))).results
    assert found.metrics["hr@1"].mean == 0


def test_windows_are_given_five_events_and_said_to_leak(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, random_log(20, 30, seed=3), SplitConfig(kind="windows"))
    lengths: list[int] = []

    class Watching(ArbitraryRanker):
        def scores(self, queries: Queries) -> np.ndarray:
            lengths.extend(np.diff(queries.histories.offsets).tolist())
            return super().scores(queries)

    found = evaluate(Watching(dataset), dataset)
    assert set(lengths) <= {3, 4, 5}
    assert max(lengths) == 5
    assert found.protocol["seen"] == "exclude-context"
    assert found.protocol["warning"].startswith("leaky: ")


def test_windows_are_validated_on_targets_of_their_own(tmp_path: Path) -> None:
    split = SplitConfig(kind="windows", validation_share=0.2)
    dataset = dataset_of(tmp_path, random_log(20, 30, seed=3), split)
    found = evaluate(ArbitraryRanker(dataset), dataset, on="validation")
    parts = dataset.sequences.target_parts
    assert parts is not None
    assert found.results[0].n == np.count_nonzero(parts == VALID_TARGET)
    assert found.protocol["warning"].startswith("leaky: ")


def test_a_split_without_a_validation_part_says_so(tmp_path: Path) -> None:
    split = SplitConfig(kind="windows", validation_share=0.0)
    dataset = dataset_of(tmp_path, random_log(20, 30, seed=3), split)
    with pytest.raises(DatasetError, match=r"validation part .* no target to predict"):
        evaluate(ArbitraryRanker(dataset), dataset, on="validation")


def test_the_validation_event_is_history_for_the_test_target(unknown: Dataset) -> None:
    asked: list[list[int]] = []

    class Watching(ArbitraryRanker):
        def scores(self, queries: Queries) -> np.ndarray:
            rows = range(len(queries))
            asked.extend(queries.histories.row(i).tolist() for i in rows)
            return super().scores(queries)

    evaluate(Watching(unknown), unknown, config=options(ks=(1,)))
    assert asked == [unknown.items.find(["a", "b", "c"]).tolist()]


def n_sequences(dataset: Dataset) -> int:
    asked = targets(dataset.sequences, dataset.manifest.split, "test")
    return len(np.unique(asked.rows))


def test_a_seeded_draw_of_sequences(dataset: Dataset) -> None:
    ranker = ArbitraryRanker(dataset)
    draws = [
        evaluate(ranker, dataset, config=options(max_sequences=9, seed=seed)).results[0]
        for seed in (1, 1, 2, 3, 4)
    ]
    assert all(0 < found.n_sequences <= 9 for found in draws)
    assert draws[0].to_json() == draws[1].to_json()
    if n_sequences(dataset) > 9:
        assert len({tuple(found.scores.rows.tolist()) for found in draws}) > 1


def test_only_targets_of_new_sequences_is_an_error(tmp_path: Path) -> None:
    log = {"old": ["a", "b", "c", "d"] * 5, "new": ["a"]}
    starts = {"old": 0, "new": 1000}
    split = SplitConfig(kind="global-time", test_share=0.06, validation_share=0.3)
    dataset = dataset_of(tmp_path, log, split, starts=starts)
    with pytest.raises(DatasetError, match=r"no target of the test part .* counts"):
        evaluate(ArbitraryRanker(dataset), dataset)


def test_k_beyond_the_catalogue(unknown: Dataset) -> None:
    ranker = ArbitraryRanker(unknown)
    with pytest.raises(RequestError, match="K 10 exceeds the catalogue of 4 items"):
        evaluate(ranker, unknown, config=options(ks=(1, 10)))
    found = evaluate(ranker, unknown, config=options()).results[0]
    assert set(found.metrics) >= {"hr@1", "mrr"}
    assert "hr@5" not in found.metrics


def test_a_baseline_may_be_named(dataset: Dataset) -> None:
    fitted = baselines.fit("popularity", dataset)
    by_name = evaluate("popularity", dataset, config=options())
    assert by_name.to_json() == evaluate([fitted], dataset, config=options()).to_json()

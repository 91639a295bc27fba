"""The next-item task against a slow reference that ranks one target at a time."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import VALID_TARGET, Dataset
from segue.errors import DatasetError, RequestError
from segue.evaluation import evaluate
from segue.ragged import Ragged
from segue.ranking import Query, ScoringRanker
from segue.tokens import N_SPECIALS
from small_datasets import ArbitraryRanker, UnusedRanker, dataset_of, random_log

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
    """The definition of the rank, applied to one target."""
    events = data.sequences.row(row)
    target, before = events[position], events[:position]
    given = before[-5:] if data.manifest.split.kind == "windows" else before
    excluded = {"exclude": before, "exclude-context": given, "include": before[:0]}[seen]
    if target >= data.vocabulary_size or target in excluded:
        return 0
    query = Query(Ragged.from_rows([given]), Ragged.from_rows([[]]), np.array([row]))
    scores = ranker.scores(query)[0]
    candidates = set(range(N_SPECIALS, data.vocabulary_size)) - set(excluded.tolist())
    higher = sum(scores[i] > scores[target] for i in candidates)
    tied = sum(scores[i] == scores[target] for i in candidates)
    return math.ceil(sum(range(higher + 1, higher + tied + 1)) / tied)


@pytest.mark.parametrize("option", ["exclude", "include", None])
def test_metrics_match_the_slow_reference(dataset: Dataset, option) -> None:
    ranker = ArbitraryRanker(dataset)
    evaluation = evaluate(ranker, dataset, baselines=None, config=options(seen=option))
    (result,), seen = evaluation.results, evaluation.protocol["seen"]
    targets = dataset.targets("test")
    pairs = list(zip(targets.rows.tolist(), targets.positions.tolist(), strict=True))
    if dataset.manifest.split.kind == "global-time":
        pairs = [pair for pair in pairs if dataset.sequences.valid_end[pair[0]] > 0]
    ranks = [slow_rank(ranker, dataset, row, position, seen) for row, position in pairs]
    assert result.n == len(ranks)
    assert result.n_sequences == len({row for row, _ in pairs})
    expected = np.mean([1 / math.log2(rank + 1) if 0 < rank <= 10 else 0 for rank in ranks])
    assert result.metrics["ndcg@10"].mean == pytest.approx(expected)
    assert result.metrics["hr@5"].mean == pytest.approx(np.mean([0 < rank <= 5 for rank in ranks]))
    assert result.metrics["mrr"].mean == pytest.approx(
        np.mean([rank and 1 / rank for rank in ranks])
    )
    items = [dataset.sequences.row(row)[position] for row, position in pairs]
    statistics = result.target_statistics
    assert statistics.unknown_targets == sum(item >= dataset.vocabulary_size for item in items)
    assert statistics.repeats == sum(
        dataset.sequences.row(row)[position] in dataset.sequences.row(row)[:position]
        for row, position in pairs
    )
    assert statistics.ceiling == pytest.approx(np.mean([rank > 0 for rank in ranks]))


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("block_size", [1, 7, 64])
def test_next_item_results_do_not_depend_on_the_block_size(
    dataset: Dataset, block_size: int
) -> None:
    rankers = [ArbitraryRanker(dataset), baselines.fit("co-occurrence", dataset)]
    expected = evaluate(rankers, dataset, baselines=None, config=options())
    blocked = evaluate(rankers, dataset, baselines=None, config=options(), block_size=block_size)
    assert blocked.to_dict() == expected.to_dict()


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three sequences that continue after the cut, two that start after it."""
    log = {name: ["a", "b", "c", "d", "e", "f"] for name in ("x", "y", "z")}
    log |= {"new1": ["a", "b", "c"], "new2": ["b"]}
    starts = {"x": 0, "y": 1, "z": 2, "new1": 100, "new2": 101}
    split = SplitConfig(kind="global-time", test_share=0.3, validation_share=0.1, catalogue="all")
    return dataset_of(tmp_path_factory.mktemp("cold"), log, split, starts=starts)


def test_sequences_that_start_in_the_part_are_a_separate_slice(cold: Dataset) -> None:
    (result,) = evaluate(
        ArbitraryRanker(cold), cold, baselines=None, config=options(ks=(1, 5))
    ).results
    ends, lengths = cold.sequences.valid_end, cold.sequences.lengths
    assert result.n == np.count_nonzero((ends > 0) & (ends < lengths))
    assert result.slices["cold-start"].n == 2
    content = result.to_dict()["slices"]["cold-start"]
    assert content["n_sequences"] == 2
    assert "hr@5" in content["metrics"]
    assert result.notes == (
        "2 cold-start targets are reported as a separate slice, not in this mean",
    )


@pytest.mark.parametrize(("choice", "n"), [("last", 2), ("first", 2), ("random", 2), ("every", 4)])
def test_the_option_targets_selects_the_targets_of_global_time(
    cold: Dataset, choice, n: int
) -> None:
    evaluation = evaluate(
        ArbitraryRanker(cold), cold, baselines=None, config=options(targets=choice, ks=(1,))
    )
    assert evaluation.results[0].slices["cold-start"].n == n
    assert evaluation.protocol["targets"] == choice


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Leave-one-out targets: one in the catalogue, one outside it, one repeat."""
    log = {
        "known": ["a", "b", "c", "d"],
        "unknown": ["d", "a", "b", "never"],
        "repeat": ["b", "c", "d", "b"],
    }
    folder = tmp_path_factory.mktemp("unknown")
    return dataset_of(folder, log, SplitConfig(kind="leave-one-out"))


def test_unknown_targets_and_repeats_miss_and_are_counted(unknown: Dataset) -> None:
    ranker = baselines.fit("popularity", unknown)
    config = options(ks=(4,), seen="exclude")
    (result,) = evaluate(ranker, unknown, baselines=None, config=config).results
    assert (result.n, result.target_statistics) == (3, (1, 1, pytest.approx(1 / 3)))
    assert result.metrics["hr@4"].mean == pytest.approx(1 / 3)


def test_unknown_targets_can_be_dropped_and_are_still_counted(unknown: Dataset) -> None:
    ranker = baselines.fit("popularity", unknown)
    config = options(ks=(4,), unknown_targets="drop", seen="exclude")
    (result,) = evaluate(ranker, unknown, baselines=None, config=config).results
    assert (result.n, result.target_statistics.unknown_targets) == (2, 1)
    assert result.metrics["hr@4"].mean == pytest.approx(1 / 2)


def test_repeats_can_be_hit_if_seen_items_are_included(unknown: Dataset) -> None:
    ranker = baselines.fit("popularity", unknown)
    (result,) = evaluate(
        ranker, unknown, baselines=None, config=options(ks=(4,), seen="include")
    ).results
    assert result.metrics["hr@4"].mean == pytest.approx(2 / 3)
    assert result.target_statistics.repeats == 1


def test_a_ranker_is_not_called_if_no_target_is_a_candidate(tmp_path: Path) -> None:
    log = {"x": ["a", "b", "c", "a"], "y": ["b", "a", "c", "b"]}
    dataset = dataset_of(tmp_path, log, SplitConfig(kind="leave-one-out"))
    config = options(ks=(1,), seen="exclude")
    (result,) = evaluate(UnusedRanker(), dataset, baselines=None, config=config).results
    assert result.metrics["hr@1"].mean == 0


def test_windows_have_histories_of_at_most_five_events_and_a_warning(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, random_log(20, 30, seed=3), SplitConfig(kind="windows"))
    lengths: list[int] = []

    class LengthRecorder(ArbitraryRanker):
        def scores(self, query: Query) -> np.ndarray:
            lengths.extend(np.diff(query.histories.offsets).tolist())
            return super().scores(query)

    evaluation = evaluate(LengthRecorder(dataset), dataset, baselines=None)
    assert set(lengths) <= {3, 4, 5}
    assert max(lengths) == 5
    assert evaluation.protocol["warning"].startswith("leaky: ")


@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "windows"])
@pytest.mark.parametrize("repeats", [False, True])
def test_without_an_option_the_audit_decides_about_seen_items(
    tmp_path: Path, kind, repeats: bool
) -> None:
    rng = np.random.default_rng(0)
    log = {f"s{i}": [f"i{item}" for item in rng.permutation(20)] for i in range(20)}
    if repeats:
        log = {sequence: items + items[:2] for sequence, items in log.items()}
    split = SplitConfig(kind=kind, validation_share=0.2, test_share=0.2)
    dataset = dataset_of(tmp_path, log, split)
    without_repeats = {"windows": "exclude-context"}.get(kind, "exclude")
    for part in ("validation", "test"):
        evaluation = evaluate(ArbitraryRanker(dataset), dataset, part=part, baselines=None)
        assert evaluation.protocol["seen"] == ("include" if repeats else without_repeats)
        chosen = evaluate(
            ArbitraryRanker(dataset), dataset, part=part, baselines=None, seen="exclude"
        )
        assert chosen.protocol["seen"] == "exclude"


def test_the_validation_part_of_windows_has_its_own_targets(tmp_path: Path) -> None:
    split = SplitConfig(kind="windows", validation_share=0.2)
    dataset = dataset_of(tmp_path, random_log(20, 30, seed=3), split)
    evaluation = evaluate(ArbitraryRanker(dataset), dataset, baselines=None, part="validation")
    parts = dataset.sequences.target_parts
    assert parts is not None
    assert evaluation.results[0].n == np.count_nonzero(parts == VALID_TARGET)
    assert evaluation.protocol["warning"].startswith("leaky: ")


def test_a_split_without_a_validation_part_is_an_error(tmp_path: Path) -> None:
    split = SplitConfig(kind="windows", validation_share=0.0)
    dataset = dataset_of(tmp_path, random_log(20, 30, seed=3), split)
    with pytest.raises(DatasetError, match=r"validation part .* no target to predict"):
        evaluate(ArbitraryRanker(dataset), dataset, baselines=None, part="validation")


def test_the_validation_event_is_history_for_the_test_target(unknown: Dataset) -> None:
    histories: list[list[int]] = []

    class HistoryRecorder(ArbitraryRanker):
        def scores(self, query: Query) -> np.ndarray:
            rows = range(len(query))
            histories.extend(query.histories.row(i).tolist() for i in rows)
            return super().scores(query)

    config = options(ks=(1,), seen="exclude")
    evaluate(HistoryRecorder(unknown), unknown, baselines=None, config=config)
    assert histories == [unknown.items.find(["a", "b", "c"]).tolist()]


def n_target_sequences(dataset: Dataset) -> int:
    return len(np.unique(dataset.targets("test").rows))


def test_the_draw_of_sequences_is_seeded(dataset: Dataset) -> None:
    ranker = ArbitraryRanker(dataset)
    draws = [
        evaluate(
            ranker, dataset, baselines=None, config=options(max_sequences=9, seed=seed)
        ).results[0]
        for seed in (1, 1, 2, 3, 4)
    ]
    assert all(0 < result.n_sequences <= 9 for result in draws)
    assert draws[0].to_dict() == draws[1].to_dict()
    if n_target_sequences(dataset) > 9:
        assert len({tuple(result.per_sequence.rows.tolist()) for result in draws}) > 1


def test_targets_of_new_sequences_only_are_an_error(tmp_path: Path) -> None:
    log = {"old": ["a", "b", "c", "d"] * 5, "new": ["a"]}
    starts = {"old": 0, "new": 1000}
    split = SplitConfig(kind="global-time", test_share=0.06, validation_share=0.3)
    dataset = dataset_of(tmp_path, log, split, starts=starts)
    with pytest.raises(DatasetError, match=r"every target of the test part .* is left out"):
        evaluate(ArbitraryRanker(dataset), dataset, baselines=None)


def test_k_beyond_the_catalogue_is_refused(unknown: Dataset) -> None:
    ranker = ArbitraryRanker(unknown)
    with pytest.raises(RequestError, match="K 10 exceeds the catalogue of 4 items"):
        evaluate(ranker, unknown, baselines=None, config=options(ks=(1, 10)))
    (result,) = evaluate(ranker, unknown, baselines=None, config=options()).results
    assert set(result.metrics) >= {"hr@1", "mrr"}
    assert "hr@5" not in result.metrics


def test_a_baseline_can_be_given_by_name(dataset: Dataset) -> None:
    fitted = baselines.fit("popularity", dataset)
    by_name = evaluate("popularity", dataset, config=options())
    assert (
        by_name.to_dict() == evaluate([fitted], dataset, baselines=None, config=options()).to_dict()
    )

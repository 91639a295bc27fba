"""Scores with ties in order of popularity, against exact references in integers and fractions."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from segue import baselines
from segue.baselines.tie_breaking import break_ties, tie_breakers
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.ranking import Query, ScoringRanker
from segue.tokens import N_SPECIALS
from small_datasets import dataset_of, random_log

SCORES = st.sampled_from([0.0, 1.0, 3.0]) | st.floats(
    allow_nan=False, allow_infinity=False, allow_subnormal=False, width=32
)


@given(st.lists(st.tuples(SCORES, st.integers(0, 2**62)), min_size=1, max_size=30))
def test_the_order_is_that_of_the_pairs(pairs: list[tuple[float, int]]) -> None:
    scores = np.array([score for score, _ in pairs], np.float32)
    neighbours = np.nextafter(scores, np.float32(np.inf), dtype=np.float32)  # or the largest
    counts = np.array([0] * N_SPECIALS + [count for _, count in pairs] * 2, np.int64)
    scores = np.concatenate([scores, np.minimum(neighbours, np.finfo(np.float32).max)])
    combined = break_ties(scores, tie_breakers(counts)[N_SPECIALS:])
    keys = list(zip(scores.tolist(), counts[N_SPECIALS:].tolist(), strict=True))
    ranks = [sorted(set(keys)).index(key) for key in keys]
    np.testing.assert_array_equal(np.unique(combined, return_inverse=True)[1], ranks)
    np.testing.assert_array_equal(combined.astype(np.float32), scores)


@given(st.integers(2**22, 2**23 - 2), st.integers(1, 10**6))
def test_large_counts_divided_by_one_number_keep_their_order(count: int, divisor: int) -> None:
    shares = np.array([count, count + 1, count]) / divisor
    first, second, third = break_ties(shares, tie_breakers(np.array([0, 0, 0, 0, 9, 1, 2]))[4:])
    assert second > first > third


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = random_log(80, 25, seed=11, longest=40)
    return dataset_of(tmp_path_factory.mktemp("l"), log, SplitConfig(kind="leave-one-out"))


def exact_scores(data: Dataset, history: list[int], window: int, last: int, shrinkage: int):
    """(score, training count) per item of the vocabulary, without rounding."""
    counts, pairs = [0] * data.vocabulary_size, {}
    for row in range(len(data.sequences)):
        items = data.sequences.row(row)[: data.sequences.train_end[row]].tolist()
        for position, item in enumerate(items):
            counts[item] += 1
            for distance, after in enumerate(items[position + 1 :][:window], start=1):
                weight = Fraction(1, distance)
                pairs[item, after] = pairs.get((item, after), 0) + weight
    scores = [Fraction(0)] * data.vocabulary_size
    for age, item in enumerate(reversed(history[-last:]), start=1):
        for after in range(data.vocabulary_size):
            divisor = age * max(counts[item] + shrinkage, 1)
            scores[after] += Fraction(pairs.get((item, after), 0)) / divisor
    return list(zip(scores, counts, strict=True))


@pytest.mark.parametrize(
    ("name", "window", "last", "shrinkage"),
    [("last-item", 1, 1, 0), ("co-occurrence", 5, 10, 10)],
)
def test_ranks_are_those_of_exact_scores(dataset: Dataset, name, window, last, shrinkage) -> None:
    ranker = baselines.fit(name, dataset)
    assert isinstance(ranker, ScoringRanker)
    nothing = Ragged.from_rows([[]] * dataset.n_catalogue)
    items = range(N_SPECIALS, dataset.vocabulary_size)
    for row in range(0, 80, 9):
        history = dataset.sequences.row(row).tolist()
        history = [item for item in history if item < dataset.vocabulary_size][:17]
        exact = exact_scores(dataset, history, window, last, shrinkage)
        query = Query(
            Ragged.from_rows([history] * len(items)), nothing, np.zeros(len(items), np.int64)
        )
        ranks = ranker.ranks(query, np.array(items, np.int32))
        for item, rank in zip(items, ranks.tolist(), strict=True):
            higher = sum(exact[i] > exact[item] for i in items)
            tied = sum(exact[i] == exact[item] for i in items)
            assert rank == higher + (tied + 2) // 2


def test_recent_popularity_orders_large_ties_by_all_events(tmp_path: Path) -> None:
    # "a" and "b" are equally frequent among the recent events, "b" one event ahead among all.
    log = {"early": ["b", *(["x"] * 900)], "late": ["a", "b"] * 50 + ["x", "x"]}
    starts = {"early": 0, "late": 10_000}
    data = dataset_of(
        tmp_path, log, SplitConfig(kind="leave-one-out", catalogue="all"), starts=starts
    )
    empty = Ragged.from_rows([[]])
    ranker = baselines.fit("recent-popularity", data)
    a, b = data.items.find(["a", "b"])
    ranks = [
        ranker.ranks(Query(empty, empty, np.zeros(1, np.int64)), np.array([item], np.int32))[0]
        for item in (b, a)
    ]
    assert ranks == [1, 2]

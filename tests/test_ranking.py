"""Ranks and top-k lists from scores: ties, excluded items, blocks of queries and NaN scores."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue import ranking
from segue.controls import NO_CONTROLS
from segue.errors import RequestError
from segue.ragged import Ragged
from segue.ranking import Query, ScoringRanker, mask_items, ranks_from_scores, top_from_scores
from segue.tokens import N_SPECIALS, PAD


def candidates(rows: list[list[float]]) -> np.ndarray:
    """Scores with special tokens set to -inf already."""
    specials = np.full((len(rows), N_SPECIALS), -np.inf)
    return np.concatenate([specials, np.array(rows, float)], axis=1).astype(np.float32)


def indices(*items: int) -> np.ndarray:
    return np.array([N_SPECIALS + item for item in items], np.int32)


class FixedScores(ScoringRanker):
    """Returns fixed scores by dataset row, and records the sizes of the query blocks."""

    name = "fixed"

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores
        self.vocabulary_size = scores.shape[1]
        self.block_sizes: list[int] = []

    def scores(self, query: Query) -> np.ndarray:
        self.block_sizes.append(len(query))
        return self._scores[query.rows].copy()


def queries(n: int, excluded: list[list[int]] | None = None) -> Query:
    empty: list[list[int]] = [[] for _ in range(n)]
    return Query(Ragged.from_rows(empty), Ragged.from_rows(excluded or empty), np.arange(n))


@pytest.mark.parametrize(
    ("scores", "target", "rank"),
    [
        ([3, 2, 1], 0, 1),
        ([3, 2, 1], 2, 3),
        ([2, 2, 1], 0, 2),  # ranks 1 and 2: 1.5, rounded up
        ([2, 2, 2], 1, 2),  # ranks 1 to 3
        ([9, 2, 2, 2, 2], 1, 4),  # ranks 2 to 5: 3.5, rounded up
        ([-math.inf, 5, -1], 2, 2),
    ],
)
def test_rank_of_a_tie_is_the_mean_rank_rounded_up(scores, target, rank) -> None:
    assert ranks_from_scores(candidates([scores]), indices(target)).tolist() == [rank]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.data())
def test_ranks_agree_with_a_slow_computation(scores: list[int], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(scores) - 1))
    higher = sum(score > scores[target] for score in scores)
    tied_ranks = range(higher + 1, higher + scores.count(scores[target]) + 1)
    expected = math.ceil(sum(tied_ranks) / len(tied_ranks))
    assert ranks_from_scores(candidates([scores]), indices(target)) == expected


def test_nan_scores_rank_last_as_targets_and_first_as_candidates() -> None:
    scores = candidates([[math.nan, 1, 2], [math.nan, 1, 2], [math.nan, math.nan, math.nan]])
    ranks = ranks_from_scores(scores, indices(0, 2, 1))
    assert ranks[0] > 3
    assert ranks[1] == 2
    assert ranks[2] > 3


def test_special_tokens_are_masked_and_indices_beyond_the_scores_are_ignored() -> None:
    scores = np.ones((2, N_SPECIALS + 3), np.float32)
    mask_items(scores, Ragged.from_rows([[4, 4, 99], []]))
    assert np.isneginf(scores[:, :N_SPECIALS]).all()
    assert np.isneginf(scores[:, N_SPECIALS:]).tolist() == [[True, False, False], [False] * 3]


@given(st.data())
def test_top_is_a_stable_sort(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 60))
    values = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, -math.inf, math.nan])
    row = data.draw(st.lists(values, min_size=n, max_size=n))
    k = data.draw(st.integers(1, n + N_SPECIALS + 3))
    ranked = top_from_scores(candidates([row]), k)
    best = sorted((-score, i) for i, score in enumerate(row) if score > -math.inf)[:k]
    padding = [PAD] * (k - len(best))
    assert ranked.items[0].tolist() == [N_SPECIALS + i for _, i in best] + padding
    assert ranked.scores[0].tolist() == [-score for score, _ in best] + [-math.inf] * len(padding)


@given(st.data())
def test_ties_go_by_the_given_order(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 20))
    row = data.draw(
        st.lists(st.sampled_from([0.0, 1.0, -math.inf, math.nan]), min_size=n, max_size=n)
    )
    tie_order = np.array(data.draw(st.permutations(range(N_SPECIALS + n))))
    k = data.draw(st.integers(1, n + 3))
    ranked = top_from_scores(candidates([row]), k, tie_order)
    positions = np.argsort(tie_order)[N_SPECIALS:].tolist()
    is_item = [score > -math.inf for score in row]
    best = sorted(np.flatnonzero(is_item).tolist(), key=lambda i: (-row[i], positions[i]))[:k]
    assert ranked.items[0].tolist() == [N_SPECIALS + i for i in best] + [PAD] * (k - len(best))
    assert ranked.scores[0, : len(best)].tolist() == [row[i] for i in best]


def test_items_that_are_left_out_are_never_ranked() -> None:
    ranker = FixedScores(np.array([[9, 9, 9, 9, 3, 5, 4, 1]], np.float32))
    ranker.left_out = np.array([5])
    query = queries(1, [[]])
    assert ranker.top(query.with_k(4)).items.tolist() == [[6, 4, 7, PAD]]
    assert ranker.ranks(query, np.array([4], np.int32)).tolist() == [2]


@pytest.mark.parametrize("shape", ["falling", "ties", "random"])
def test_top_of_a_large_table_is_a_stable_sort(shape: str) -> None:
    n, k = 20_000, 50
    rng = np.random.default_rng(1)
    row = {
        "falling": np.arange(n, 0, -1.0),
        "ties": (rng.random(n) < 0.001).astype(float),
        "random": rng.random(n),
    }[shape]
    ranked = top_from_scores(candidates([row.tolist()]), k)
    expected = np.argsort(-row.astype(np.float32), kind="stable")[:k] + N_SPECIALS
    np.testing.assert_array_equal(ranked.items[0], expected)


def test_ranks_and_top_do_not_depend_on_the_block_size(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 5, (10, 12)).astype(np.float32)
    excluded = [[4, 5], [], [6]] + [[7]] * 7
    targets = np.full(10, 8, np.int32)
    ranker = FixedScores(scores)
    ranks, top = (
        ranker.ranks(queries(10, excluded), targets),
        ranker.top(queries(10, excluded).with_k(4)),
    )
    assert ranker.block_sizes == [10, 10]
    monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", 36)
    blocked = FixedScores(scores)
    np.testing.assert_array_equal(blocked.ranks(queries(10, excluded), targets), ranks)
    for in_blocks, expected in zip(blocked.top(queries(10, excluded).with_k(4)), top, strict=True):
        np.testing.assert_array_equal(in_blocks, expected)
    assert blocked.block_sizes == [3, 3, 3, 1] * 2


def test_no_queries_give_empty_results() -> None:
    ranker = FixedScores(np.zeros((0, 9), np.float32))
    assert ranker.ranks(queries(0), np.zeros(0, np.int32)).shape == (0,)
    assert ranker.top(queries(0).with_k(3)).items.shape == (0, 3)


def test_slices_of_queries_keep_their_rows() -> None:
    batch = Query(
        Ragged.from_rows([[4], [], [5, 6]]), Ragged.from_rows([[], [7], [8]]), np.array([3, 1, 2])
    )
    part = batch.slice(1, 3)
    assert [part.histories.row(i).tolist() for i in range(2)] == [[], [5, 6]]
    assert [part.seen.row(i).tolist() for i in range(2)] == [[7], [8]]
    assert part.rows.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k is 0, expected 1 or more"),
        ({"rows": np.zeros(2, np.int64)}, "rows has 2 rows, but there are 3 histories"),
        ({"seen": Ragged.from_rows([[4]])}, "seen has 1 rows, but there are 3 histories"),
        ({"excluded": Ragged.from_rows([])}, "excluded has 0 rows"),
        ({"sequence_features": [{}]}, "sequence_features has 1 rows"),
        ({"controls": [NO_CONTROLS]}, "controls has 1 rows, but there are 3 histories"),
    ],
)
def test_contradictory_queries_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        replace(queries(3), **changes)


def test_the_lowest_score_is_still_above_items_that_are_no_candidates() -> None:
    scores = np.full((1, 9), -np.inf, np.float32)
    scores[0, 4] = 1
    ranker = FixedScores(scores)
    assert ranker.ranks(queries(1, [[8]]), np.array([5], np.int32)).tolist() == [3]
    assert ranker.top(queries(1, [[8]]).with_k(5)).items.tolist() == [[4, 5, 6, 7, PAD]]

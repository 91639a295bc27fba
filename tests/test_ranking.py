"""Ranks and lists from scores: the tie rule, exclusion, blocks, and scores that are no numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue import ranking
from segue.axes import N_SPECIALS, PAD, Ragged, spans
from segue.ranking import Queries, ScoringRanker, exclude, ranks_from_scores, top_from_scores


def candidates(rows: list[list[float]]) -> np.ndarray:
    """A table of scores whose special tokens are out already."""
    specials = np.full((len(rows), N_SPECIALS), -np.inf)
    return np.concatenate([specials, np.array(rows, float)], axis=1).astype(np.float32)


def indices(*items: int) -> np.ndarray:
    return np.array([N_SPECIALS + item for item in items], np.int32)


class Fixed(ScoringRanker):
    """Gives each query the scores of its row."""

    name = "fixed"

    def __init__(self, scores: np.ndarray) -> None:
        self._scores = scores
        self.table_size = scores.shape[1]
        self.blocks: list[int] = []

    def scores(self, queries: Queries) -> np.ndarray:
        self.blocks.append(len(queries))
        return self._scores[queries.rows].copy()


def queries(n: int, excluded: list[list[int]] | None = None) -> Queries:
    nothing: list[list[int]] = [[] for _ in range(n)]
    return Queries(Ragged.of(nothing), Ragged.of(excluded or nothing), np.arange(n))


@pytest.mark.parametrize(
    ("scores", "target", "rank"),
    [
        ([3, 2, 1], 0, 1),
        ([3, 2, 1], 2, 3),
        ([2, 2, 1], 0, 2),  # places 1 and 2: 1.5, rounded up
        ([2, 2, 2], 1, 2),  # places 1 to 3
        ([9, 2, 2, 2, 2], 1, 4),  # places 2 to 5: 3.5, rounded up
        ([-math.inf, 5, -1], 2, 2),
    ],
)
def test_rank_of_a_tie_is_the_mean_place_rounded_up(scores, target, rank) -> None:
    assert ranks_from_scores(candidates([scores]), indices(target)).tolist() == [rank]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.data())
def test_ranks_agree_with_counting(scores: list[int], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(scores) - 1))
    higher = sum(score > scores[target] for score in scores)
    places = range(higher + 1, higher + scores.count(scores[target]) + 1)
    expected = math.ceil(sum(places) / len(places))
    assert ranks_from_scores(candidates([scores]), indices(target)) == expected


def test_a_score_that_is_no_number_never_helps() -> None:
    scores = candidates([[math.nan, 1, 2], [math.nan, 1, 2], [math.nan, math.nan, math.nan]])
    ranks = ranks_from_scores(scores, indices(0, 2, 1))
    assert ranks[0] > 3
    assert ranks[1] == 2
    assert ranks[2] > 3


def test_exclusion_covers_specials_and_ignores_items_beyond_the_table() -> None:
    scores = np.ones((2, N_SPECIALS + 3), np.float32)
    exclude(scores, Ragged.of([[4, 4, 99], []]))
    assert np.isneginf(scores[:, :N_SPECIALS]).all()
    assert np.isneginf(scores[:, N_SPECIALS:]).tolist() == [[True, False, False], [False] * 3]


@given(st.data())
def test_top_is_a_stable_sort(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 60))
    values = st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, -math.inf, math.nan])
    row = data.draw(st.lists(values, min_size=n, max_size=n))
    k = data.draw(st.integers(1, n + N_SPECIALS + 3))
    found = top_from_scores(candidates([row]), k)
    best = sorted((-score, i) for i, score in enumerate(row) if score > -math.inf)[:k]
    padding = [PAD] * (k - len(best))
    assert found.items[0].tolist() == [N_SPECIALS + i for _, i in best] + padding
    assert found.scores[0].tolist() == [-score for score, _ in best] + [-math.inf] * len(padding)


@pytest.mark.parametrize("shape", ["falling", "ties", "random"])
def test_top_of_a_large_table_is_a_stable_sort(shape: str) -> None:
    n, k = 20_000, 50
    rng = np.random.default_rng(1)
    row = {
        "falling": np.arange(n, 0, -1.0),
        "ties": (rng.random(n) < 0.001).astype(float),
        "random": rng.random(n),
    }[shape]
    found = top_from_scores(candidates([row.tolist()]), k)
    expected = np.argsort(-row.astype(np.float32), kind="stable")[:k] + N_SPECIALS
    np.testing.assert_array_equal(found.items[0], expected)


def test_ranks_and_top_do_not_depend_on_how_queries_are_blocked(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 5, (10, 12)).astype(np.float32)
    excluded = [[4, 5], [], [6]] + [[7]] * 7
    targets = np.full(10, 8, np.int32)
    whole = Fixed(scores)
    ranks, top = whole.ranks(queries(10, excluded), targets), whole.top(queries(10, excluded), 4)
    assert whole.blocks == [10, 10]
    monkeypatch.setattr(ranking, "SCORES_PER_BLOCK", 36)
    blocked = Fixed(scores)
    np.testing.assert_array_equal(blocked.ranks(queries(10, excluded), targets), ranks)
    for one, other in zip(blocked.top(queries(10, excluded), 4), top, strict=True):
        np.testing.assert_array_equal(one, other)
    assert blocked.blocks == [3, 3, 3, 1] * 2


def test_no_query_has_no_answer() -> None:
    ranker = Fixed(np.zeros((0, 9), np.float32))
    assert ranker.ranks(queries(0), np.zeros(0, np.int32)).shape == (0,)
    assert ranker.top(queries(0), 3).items.shape == (0, 3)


def test_slices_of_queries_hold_the_same_rows() -> None:
    whole = Queries(Ragged.of([[4], [], [5, 6]]), Ragged.of([[], [7], [8]]), np.array([3, 1, 2]))
    part = whole.slice(1, 3)
    assert [part.histories.row(i).tolist() for i in range(2)] == [[], [5, 6]]
    assert [part.excluded.row(i).tolist() for i in range(2)] == [[7], [8]]
    assert part.rows.tolist() == [1, 2]


def test_spans_are_laid_end_to_end() -> None:
    assert spans(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
    assert spans(np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []

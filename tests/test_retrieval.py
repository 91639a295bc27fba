"""Exact search against brute force in numpy, whatever the shapes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue import retrieval
from segue.axes import N_SPECIALS, PAD, Ragged
from segue.ranking import Ranked, exclude, ranks_from_scores, top_from_scores

pytestmark = pytest.mark.usefixtures("strict_types")

DIM = 3


def problem(batch: int, rows: int, seed: int, values: int = 3):
    """Whole numbers from a small range: inner products are exact, and full of ties."""
    random = np.random.default_rng(seed)
    hidden = random.integers(-values, values + 1, (batch, DIM)).astype(np.float32)
    table = random.integers(-values, values + 1, (rows, DIM)).astype(np.float32)
    excluded = [random.integers(0, rows + 5, 4 if row == 0 else row % 5) for row in range(batch)]
    return hidden, table, Ragged.of(excluded)


def brute_force_scores(hidden, table, excluded):
    scores = hidden @ table.T
    exclude(scores, excluded)
    return scores


def brute_force_top(hidden, table, excluded, k: int) -> Ranked:
    return top_from_scores(brute_force_scores(hidden, table, excluded), k)


def search(hidden, table, excluded, k: int) -> Ranked:
    return retrieval.top(jnp.asarray(hidden), jnp.asarray(table), excluded, k)


def assert_same(got: Ranked, expected: Ranked) -> None:
    np.testing.assert_array_equal(got.items, expected.items)
    np.testing.assert_array_equal(got.scores, expected.scores)


NOTHING = Ragged.of([[]])

# --- top ---


@given(
    batch=st.sampled_from([1, 5, 7]),
    rows=st.sampled_from([N_SPECIALS, 40]),
    k=st.sampled_from([10, 60]),
    seed=st.integers(0, 999),
)
def test_top_is_brute_force_with_ties_to_the_lower_index(batch, rows, k, seed):
    hidden, table, excluded = problem(batch, rows, seed)
    found = search(hidden, table, excluded, k)
    assert_same(found, brute_force_top(hidden, table, excluded, k))


@given(k=st.sampled_from([1, 4]), values=st.sampled_from([1, 50]), seed=st.integers(0, 999))
def test_search_by_groups_is_the_full_sort(k, values, seed):
    rows = 6 * retrieval.GROUP - 10  # the last group is not full
    hidden, table, excluded = problem(3, rows, seed, values)
    found = search(hidden, table, excluded, k)
    assert_same(found, brute_force_top(hidden, table, excluded, k))


@pytest.mark.parametrize("n_groups", [5, 6])
def test_all_of_the_best_in_one_group_or_one_in_each(n_groups):
    k, rows = 5, n_groups * retrieval.GROUP
    hidden, table = np.ones((1, DIM), np.float32), np.zeros((rows, DIM), np.float32)
    together, apart = table.copy(), table.copy()
    together[-k:] = 1
    apart[retrieval.GROUP - 1 :: retrieval.GROUP] = 1
    for case in (together, apart):
        assert_same(search(hidden, case, NOTHING, k), brute_force_top(hidden, case, NOTHING, k))


def test_specials_are_never_found():
    table = np.zeros((10, DIM), np.float32)
    table[:N_SPECIALS] = 100
    found = search(np.ones((1, DIM), np.float32), table, NOTHING, 10)
    np.testing.assert_array_equal(found.items, [[4, 5, 6, 7, 8, 9, PAD, PAD, PAD, PAD]])
    assert np.isneginf(found.scores[0, 6:]).all()


def test_excluded_everything_leaves_nothing():
    table = np.ones((7, DIM), np.float32)
    found = search(np.ones((1, DIM), np.float32), table, Ragged.of([[4, 5, 6, 5, 99]]), 2)
    assert_same(found, Ranked(np.zeros((1, 2), np.int32), np.full((1, 2), -np.inf, np.float32)))


def test_no_query_at_all():
    found = search(np.ones((0, DIM), np.float32), np.ones((7, DIM), np.float32), Ragged.of([]), 2)
    assert found.items.shape == found.scores.shape == (0, 2)


def test_k_beyond_the_table_is_filled_up():
    hidden, table, excluded = problem(2, 6, seed=0)
    found = search(hidden, table, excluded, 9)
    assert found.items.shape == (2, 9)
    assert (found.items[:, 6:] == PAD).all()


# --- ranks ---


@given(batch=st.sampled_from([1, 5, 7]), seed=st.integers(0, 999), values=st.sampled_from([1, 50]))
def test_ranks_are_brute_force(batch, seed, values):
    hidden, table, excluded = problem(batch, 40, seed, values)
    targets = np.random.default_rng(seed).integers(N_SPECIALS, 40, batch).astype(np.int32)
    rows = [np.setdiff1d(excluded.row(i), targets[i]) for i in range(batch)]
    excluded = Ragged.of(rows)
    found = retrieval.ranks(jnp.asarray(hidden), jnp.asarray(table), excluded, targets)
    expected = ranks_from_scores(brute_force_scores(hidden, table, excluded), targets)
    np.testing.assert_array_equal(found, expected)


def test_a_tie_takes_the_mean_of_its_places_rounded_up():
    table = np.array([0, 0, 0, 0, 5, 3, 3, 3, 3, 1], np.float32)[:, None]
    hidden, targets = np.ones((6, 1), np.float32), np.array([4, 5, 6, 7, 8, 9], np.int32)
    empty = Ragged.of([[]] * 6)
    found = retrieval.ranks(jnp.asarray(hidden), jnp.asarray(table), empty, targets)
    np.testing.assert_array_equal(found, [1, 4, 4, 4, 4, 6])  # places 2 to 5: 3.5, up


def test_a_score_that_is_no_number_never_helps():
    table = np.array([0, 0, 0, 0, 5, np.nan, 3], np.float32)[:, None]
    hidden, targets = np.ones((3, 1), np.float32), np.array([4, 5, 6], np.int32)
    found = retrieval.ranks(jnp.asarray(hidden), jnp.asarray(table), Ragged.of([[]] * 3), targets)
    expected = ranks_from_scores(
        brute_force_scores(hidden, table, Ragged.of([[]] * 3)), targets.astype(np.int32)
    )
    np.testing.assert_array_equal(found, expected)
    assert found[1] > found[2] > found[0]
    top = search(hidden[:1], table, NOTHING, 3)
    np.testing.assert_array_equal(top.items, [[4, 6, PAD]])


# --- blocks ---


@pytest.mark.parametrize("block", [1, 2, 8])
def test_block_size_changes_nothing(block, monkeypatch):
    hidden, table, excluded = problem(11, 40, seed=3)
    targets = np.full(11, 7, np.int32)
    hidden, table = jnp.asarray(hidden), jnp.asarray(table)
    whole = retrieval.top(hidden, table, excluded, 5)
    whole_ranks = retrieval.ranks(hidden, table, excluded, targets)
    monkeypatch.setattr(retrieval, "SCORES_PER_BLOCK", block * len(table))
    assert_same(retrieval.top(hidden, table, excluded, 5), whole)
    cut_ranks = retrieval.ranks(hidden, table, excluded, targets)
    np.testing.assert_array_equal(cut_ranks, whole_ranks)


def test_many_batch_sizes_compile_little():
    table = jnp.asarray(problem(1, 50, seed=0)[1])

    def ask(batch: int) -> None:
        retrieval.top(jnp.ones((batch, DIM)), table, Ragged.of([[5]] * batch), 3)

    ask(8)
    compiled = retrieval._top._cache_size()
    for batch in (5, 6, 7, 8):
        ask(batch)
    assert retrieval._top._cache_size() == compiled


def test_scores_held_are_bounded(monkeypatch):
    """No block of queries takes more than its share, however long the table."""
    monkeypatch.setattr(retrieval, "SCORES_PER_BLOCK", 100)
    blocks = list(retrieval._blocks(jnp.ones((11, DIM)), 40, Ragged.of([[]] * 11)))
    assert [len(rows) for _, rows, _ in blocks] == [2] * 6
    covered = np.concatenate([np.arange(11)[block] for block, _, _ in blocks])
    np.testing.assert_array_equal(covered, np.arange(11))


def test_random_floats_agree_with_a_stable_sort():
    random = np.random.default_rng(0)
    hidden = random.normal(size=(9, 16)).astype(np.float32)
    table = random.normal(size=(3000, 16)).astype(np.float32)
    excluded = Ragged.of([random.integers(4, 3000, 20) for _ in range(9)])
    found = search(hidden, table, excluded, 10)
    scores = hidden.astype(np.float64) @ table.T.astype(np.float64)
    exclude(scores, excluded)
    np.testing.assert_array_equal(found.items, np.argsort(-scores, axis=1, kind="stable")[:, :10])
    np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :10], rtol=1e-4)


def test_answers_live_on_the_host():
    found = search(np.ones((1, DIM), np.float32), np.ones((7, DIM), np.float32), NOTHING, 2)
    assert not isinstance(found.items, jax.Array)
    assert found.items.dtype == np.int32
    assert found.scores.dtype == np.float32

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
from segue.bits import halved
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
    expected = brute_force_top(hidden, table, excluded, k)
    assert_same(search(hidden, table, excluded, k), expected)
    # Half the bits hold these numbers whole.
    half = halved(jnp.asarray(table))
    assert_same(retrieval.top(hidden, half, excluded, k), expected)
    targets = np.maximum(expected.items[:, 0], N_SPECIALS)
    np.testing.assert_array_equal(
        retrieval.ranks(hidden, half, excluded, targets),
        retrieval.ranks(hidden, jnp.asarray(table), excluded, targets),
    )


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


# --- blocks of queries, parts of the table ---

PART = retrieval.QUERIES_PER_BLOCK
"""Rows of the smallest part there is."""


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(retrieval, "CACHED", 1)
    assert retrieval._rows_per_part(8, 10 * PART, DIM) == PART


@pytest.mark.parametrize(
    "rows", [PART - 1, PART, PART + 1, PART + retrieval.GROUP, 2 * PART, 3 * PART + 1]
)
@pytest.mark.parametrize("values", [1, 50])
def test_parts_of_the_table_change_nothing(rows, values, small_parts):
    """Ties and excluded items in every part; not one number of the answers differs."""
    hidden, table, _ = problem(5, rows, rows, values)
    random = np.random.default_rng(rows)
    targets = random.integers(N_SPECIALS, rows, 5).astype(np.int32)
    targets[:2] = N_SPECIALS, rows - 1  # at either end
    drawn = random.integers(0, rows + 5, (5, rows // 8))
    excluded = Ragged.of([np.setdiff1d(row, own) for row, own in zip(drawn, targets, strict=True)])
    found = search(hidden, table, excluded, 7)
    assert_same(found, brute_force_top(hidden, table, excluded, 7))
    places = retrieval.ranks(jnp.asarray(hidden), jnp.asarray(table), excluded, targets)
    scores = brute_force_scores(hidden, table, excluded)
    np.testing.assert_array_equal(places, ranks_from_scores(scores, targets))


def test_more_places_than_items_in_many_parts(small_parts):
    hidden, table, excluded = problem(2, 2 * PART + 9, seed=1)
    k = len(table) + 3
    assert_same(search(hidden, table, excluded, k), brute_force_top(hidden, table, excluded, k))


def test_no_number_in_any_part_helps(small_parts):
    hidden, table, excluded = problem(3, 3 * PART - 5, seed=2, values=50)
    table[5::7] = np.nan
    targets = np.array([6, 12, 2 * PART], np.int32)  # of these 12 is no number
    excluded = Ragged.of([np.setdiff1d(excluded.row(i), targets[i]) for i in range(3)])
    found = search(hidden, table, excluded, 9)
    assert_same(found, brute_force_top(hidden, table, excluded, 9))
    places = retrieval.ranks(jnp.asarray(hidden), jnp.asarray(table), excluded, targets)
    scores = brute_force_scores(hidden, table, excluded)
    np.testing.assert_array_equal(places, ranks_from_scores(scores, targets))


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_equal_rows_tie_wherever_they_are(batch, small_parts):
    """Their products are no whole numbers, and must be rounded alike in every part."""
    random = np.random.default_rng(batch)
    hidden = random.normal(size=(batch, 16)).astype(np.float32)
    table = np.tile(random.normal(size=(1, 16)).astype(np.float32), (3 * PART - 5, 1))
    targets = random.integers(N_SPECIALS, len(table), batch).astype(np.int32)
    nothing = Ragged.of([[]] * batch)
    places = retrieval.ranks(jnp.asarray(hidden), jnp.asarray(table), nothing, targets)
    middle = (len(table) - N_SPECIALS + 2) // 2
    np.testing.assert_array_equal(places, np.full(batch, middle))
    found = search(hidden, table, nothing, 6)
    np.testing.assert_array_equal(found.items, np.tile(np.arange(4, 10), (batch, 1)))


@pytest.mark.parametrize("largest", [1, 2, 8])
def test_blocks_of_queries_change_nothing(largest, monkeypatch):
    hidden, table, excluded = problem(11, 40, seed=3)
    whole = search(hidden, table, excluded, 5)
    monkeypatch.setattr(retrieval, "MAXIMA_HELD", largest)
    assert_same(search(hidden, table, excluded, 5), whole)


def test_blocks_of_queries_cover_all_within_the_limit():
    blocks = list(retrieval._blocks(jnp.ones((11, DIM)), Ragged.of([[]] * 11), 2))
    assert [len(rows) for _, rows, _ in blocks] == [2] * 6
    covered = np.concatenate([np.arange(11)[block] for block, _, _ in blocks])
    np.testing.assert_array_equal(covered, np.arange(11))


@pytest.mark.parametrize("batch", [1, 32])
def test_memory_is_a_small_part_of_the_table_and_of_its_scores(batch):
    """As compiled for 4 million items of 32 numbers; nothing of that size is made."""
    table = jax.ShapeDtypeStruct((4_000_000, 32), np.float32)
    hidden = jax.ShapeDtypeStruct((batch, 32), np.float32)
    excluded = jax.ShapeDtypeStruct((batch, 64), np.int32)
    part = retrieval._rows_per_part(batch, *table.shape)
    top = retrieval._top.lower(hidden, table, excluded, 20, part)
    targets = jax.ShapeDtypeStruct((batch,), np.int32)
    ranks = retrieval._ranks.lower(hidden, table, excluded, targets, part)
    maxima = 4 * batch * table.shape[0] // retrieval.GROUP
    parts = 4 * part * (32 + batch)
    assert temporary_bytes(ranks) < 4 * parts + 1_000_000
    assert temporary_bytes(top) < 4 * parts + 4 * maxima + 1_000_000
    assert 4 * parts + 4 * maxima < 4 * table.shape[0] * (32 + batch) / 4


def temporary_bytes(lowered: jax.stages.Lowered) -> int:
    analysis = lowered.compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes


def test_many_batch_sizes_compile_little():
    table = jnp.asarray(problem(1, 50, seed=0)[1])

    def ask(batch: int) -> None:
        retrieval.top(jnp.ones((batch, DIM)), table, Ragged.of([[5]] * batch), 3)

    ask(8)
    compiled = retrieval._top._cache_size()
    for batch in (5, 6, 7, 8):
        ask(batch)
    assert retrieval._top._cache_size() == compiled


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

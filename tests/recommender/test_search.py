"""Exact search against brute force in numpy, for many shapes and block sizes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.bfloat16 import to_bfloat16
from segue.ragged import Ragged
from segue.ranking import Ranked, mask_items, ranks_from_scores, top_from_scores
from segue.recommender import search, shapes
from segue.recommender import search_kernels as kernels
from segue.recommender.masks import catalogue_mask
from segue.tokens import N_SPECIALS, PAD
from slow_cases import some_fast

pytestmark = pytest.mark.usefixtures("strict_types")

DIM = 3


def random_problem(batch: int, rows: int, seed: int, values: int = 3):
    """Random small integers as float32, so that inner products are exact and often tie."""
    random = np.random.default_rng(seed)
    hidden = random.integers(-values, values + 1, (batch, DIM)).astype(np.float32)
    embeddings = random.integers(-values, values + 1, (rows, DIM)).astype(np.float32)
    excluded = [random.integers(0, rows + 5, 4 if row == 0 else row % 5) for row in range(batch)]
    return hidden, embeddings, Ragged.from_rows(excluded)


def brute_force_scores(hidden, embeddings, excluded):
    scores = hidden @ embeddings.T
    mask_items(scores, excluded)
    return scores


def brute_force_top(hidden, embeddings, excluded, k: int) -> Ranked:
    return top_from_scores(brute_force_scores(hidden, embeddings, excluded), k)


def query_of(hidden, embeddings, excluded) -> search.EncodedQuery:
    catalogue = catalogue_mask(np.ones(len(embeddings), bool))
    return search.query_of_states((jnp.asarray(hidden),), catalogue, [excluded])


def top(hidden, embeddings, excluded, k: int) -> Ranked:
    query = query_of(hidden, embeddings, excluded)
    return search.top(query, (jnp.asarray(embeddings),), k)


def ranks_of(hidden, embeddings, excluded, targets) -> np.ndarray:
    query = query_of(hidden, embeddings, excluded)
    return search.ranks(query, (jnp.asarray(embeddings),), targets)


def assert_equal(actual: Ranked, expected: Ranked) -> None:
    np.testing.assert_array_equal(actual.items, expected.items)
    np.testing.assert_array_equal(actual.scores, expected.scores)


NO_EXCLUDED = Ragged.from_rows([[]])


@pytest.fixture(scope="module", autouse=True, params=["by groups", "directly"])
def search_of_small_catalogues(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test by groups of items, as in a large catalogue, and directly."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "by groups":
            patch.setattr(shapes, "SMALL_CATALOGUE", 0)
        yield


# --- top ---


@pytest.mark.fast_cases(2)
@given(
    batch=st.sampled_from([1, 5, 7]),
    rows=st.sampled_from([N_SPECIALS, 40]),
    k=st.sampled_from([10, 60]),
    seed=st.integers(0, 999),
)
def test_top_equals_brute_force_with_ties_to_the_lower_index(batch, rows, k, seed):
    hidden, embeddings, excluded = random_problem(batch, rows, seed)
    ranked = top(hidden, embeddings, excluded, k)
    assert_equal(ranked, brute_force_top(hidden, embeddings, excluded, k))


@given(k=st.sampled_from([1, 4]), values=st.sampled_from([1, 50]), seed=st.integers(0, 999))
def test_search_by_groups_equals_a_full_sort(k, values, seed):
    rows = 20 * shapes.GROUP_SIZE - 10  # the last group is not full
    hidden, embeddings, excluded = random_problem(3, rows, seed, values)
    expected = brute_force_top(hidden, embeddings, excluded, k)
    assert_equal(top(hidden, embeddings, excluded, k), expected)
    # bfloat16 represents these integers exactly.
    in_bfloat16 = to_bfloat16(jnp.asarray(embeddings))
    assert_equal(top(hidden, in_bfloat16, excluded, k), expected)
    targets = np.maximum(expected.items[:, 0], N_SPECIALS)
    np.testing.assert_array_equal(
        ranks_of(hidden, in_bfloat16, excluded, targets),
        ranks_of(hidden, embeddings, excluded, targets),
    )


@pytest.mark.parametrize("n_groups", [17, 20])
def test_best_items_in_one_group_or_in_different_groups(n_groups):
    k, rows = 5, n_groups * shapes.GROUP_SIZE
    hidden, embeddings = np.ones((1, DIM), np.float32), np.zeros((rows, DIM), np.float32)
    together, apart = embeddings.copy(), embeddings.copy()
    together[-k:] = 1
    apart[shapes.GROUP_SIZE - 1 :: shapes.GROUP_SIZE] = 1
    for case in (together, apart):
        assert_equal(
            top(hidden, case, NO_EXCLUDED, k), brute_force_top(hidden, case, NO_EXCLUDED, k)
        )


def test_special_tokens_are_never_returned():
    embeddings = np.zeros((10, DIM), np.float32)
    embeddings[:N_SPECIALS] = 100
    ranked = top(np.ones((1, DIM), np.float32), embeddings, NO_EXCLUDED, 10)
    np.testing.assert_array_equal(ranked.items, [[4, 5, 6, 7, 8, 9, PAD, PAD, PAD, PAD]])
    assert np.isneginf(ranked.scores[0, 6:]).all()


def test_if_all_items_are_excluded_the_list_is_empty():
    embeddings = np.ones((7, DIM), np.float32)
    ranked = top(np.ones((1, DIM), np.float32), embeddings, Ragged.from_rows([[4, 5, 6, 5, 99]]), 2)
    assert_equal(ranked, Ranked(np.zeros((1, 2), np.int32), np.full((1, 2), -np.inf, np.float32)))


def test_no_queries():
    ranked = top(
        np.ones((0, DIM), np.float32), np.ones((7, DIM), np.float32), Ragged.from_rows([]), 2
    )
    assert ranked.items.shape == ranked.scores.shape == (0, 2)


def test_k_above_the_catalogue_size_is_padded():
    hidden, embeddings, excluded = random_problem(2, 6, seed=0)
    ranked = top(hidden, embeddings, excluded, 9)
    assert ranked.items.shape == (2, 9)
    assert (ranked.items[:, 6:] == PAD).all()


# --- ranks ---


@given(batch=st.sampled_from([1, 5, 7]), seed=st.integers(0, 999), values=st.sampled_from([1, 50]))
def test_ranks_equal_brute_force(batch, seed, values):
    hidden, embeddings, excluded = random_problem(batch, 40, seed, values)
    targets = np.random.default_rng(seed).integers(N_SPECIALS, 40, batch).astype(np.int32)
    rows = [np.setdiff1d(excluded.row(i), targets[i]) for i in range(batch)]
    excluded = Ragged.from_rows(rows)
    ranks = ranks_of(hidden, embeddings, excluded, targets)
    expected = ranks_from_scores(brute_force_scores(hidden, embeddings, excluded), targets)
    np.testing.assert_array_equal(ranks, expected)


def test_a_tie_gets_the_mean_rank_rounded_up():
    embeddings = np.array([0, 0, 0, 0, 5, 3, 3, 3, 3, 1], np.float32)[:, None]
    hidden, targets = np.ones((6, 1), np.float32), np.array([4, 5, 6, 7, 8, 9], np.int32)
    empty = Ragged.from_rows([[]] * 6)
    ranks = ranks_of(hidden, embeddings, empty, targets)
    np.testing.assert_array_equal(ranks, [1, 4, 4, 4, 4, 6])  # ranks 2 to 5: 3.5, rounded up


def test_nan_scores_rank_last_as_targets_and_first_as_candidates():
    embeddings = np.array([0, 0, 0, 0, 5, np.nan, 3], np.float32)[:, None]
    hidden, targets = np.ones((3, 1), np.float32), np.array([4, 5, 6], np.int32)
    ranks = ranks_of(hidden, embeddings, Ragged.from_rows([[]] * 3), targets)
    expected = ranks_from_scores(
        brute_force_scores(hidden, embeddings, Ragged.from_rows([[]] * 3)), targets.astype(np.int32)
    )
    np.testing.assert_array_equal(ranks, expected)
    assert ranks[1] > ranks[2] > ranks[0]
    best = top(hidden[:1], embeddings, NO_EXCLUDED, 3)
    np.testing.assert_array_equal(best.items, [[4, 6, PAD]])


# --- blocks of queries, blocks of items ---

MIN_BLOCK = shapes.MAX_ROWS
"""Items in the smallest possible item block."""


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(shapes, "CPU_BLOCK_ELEMENTS", 1)
    assert shapes.items_per_block(8, 10 * MIN_BLOCK, DIM) == MIN_BLOCK


NUMBERS_OF_ROWS = [
    MIN_BLOCK - 1,
    MIN_BLOCK,
    MIN_BLOCK + 1,
    MIN_BLOCK + shapes.GROUP_SIZE,
    2 * MIN_BLOCK,
    3 * MIN_BLOCK + 1,
    5 * MIN_BLOCK + 1,  # so many that they are searched by groups
]


@pytest.mark.parametrize(
    ("values", "rows"), some_fast(itertools.product([1, 50], NUMBERS_OF_ROWS), every=2)
)
def test_item_blocks_change_nothing(rows, values, small_blocks):
    """With ties and excluded items in every block, results equal those of brute force."""
    hidden, embeddings, _ = random_problem(5, rows, rows, values)
    random = np.random.default_rng(rows)
    targets = random.integers(N_SPECIALS, rows, 5).astype(np.int32)
    targets[:2] = N_SPECIALS, rows - 1  # the first and the last item
    drawn = random.integers(0, rows + 5, (5, rows // 8))
    excluded = Ragged.from_rows(
        [np.setdiff1d(row, target) for row, target in zip(drawn, targets, strict=True)]
    )
    ranked = top(hidden, embeddings, excluded, 7)
    assert_equal(ranked, brute_force_top(hidden, embeddings, excluded, 7))
    ranks = ranks_of(hidden, embeddings, excluded, targets)
    scores = brute_force_scores(hidden, embeddings, excluded)
    np.testing.assert_array_equal(ranks, ranks_from_scores(scores, targets))


def test_k_above_the_catalogue_size_in_several_blocks(small_blocks):
    hidden, embeddings, excluded = random_problem(2, 2 * MIN_BLOCK + 9, seed=1)
    k = len(embeddings) + 3
    assert_equal(
        top(hidden, embeddings, excluded, k), brute_force_top(hidden, embeddings, excluded, k)
    )


def test_nan_scores_in_every_block(small_blocks):
    hidden, embeddings, excluded = random_problem(3, 3 * MIN_BLOCK - 5, seed=2, values=50)
    embeddings[5::7] = np.nan
    targets = np.array([6, 12, 2 * MIN_BLOCK], np.int32)  # 12 has a NaN score
    excluded = Ragged.from_rows([np.setdiff1d(excluded.row(i), targets[i]) for i in range(3)])
    ranked = top(hidden, embeddings, excluded, 9)
    assert_equal(ranked, brute_force_top(hidden, embeddings, excluded, 9))
    ranks = ranks_of(hidden, embeddings, excluded, targets)
    scores = brute_force_scores(hidden, embeddings, excluded)
    np.testing.assert_array_equal(ranks, ranks_from_scores(scores, targets))


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_equal_embeddings_tie_in_all_blocks(batch, small_blocks):
    """The products are not integers; they have to be rounded alike in every block."""
    random = np.random.default_rng(batch)
    hidden = random.normal(size=(batch, 16)).astype(np.float32)
    embeddings = np.tile(random.normal(size=(1, 16)).astype(np.float32), (3 * MIN_BLOCK - 5, 1))
    targets = random.integers(N_SPECIALS, len(embeddings), batch).astype(np.int32)
    no_excluded = Ragged.from_rows([[]] * batch)
    ranks = ranks_of(hidden, embeddings, no_excluded, targets)
    middle = (len(embeddings) - N_SPECIALS + 2) // 2
    np.testing.assert_array_equal(ranks, np.full(batch, middle))
    ranked = top(hidden, embeddings, no_excluded, 6)
    np.testing.assert_array_equal(ranked.items, np.tile(np.arange(4, 10), (batch, 1)))


@pytest.mark.parametrize("batch", [1, 32])
def test_memory_is_a_small_fraction_of_embeddings_and_scores(batch):
    """The program compiled for 4 million items of 32 dimensions has no array of that size."""
    embeddings = jax.ShapeDtypeStruct((4_000_000, 32), np.float32)
    hidden = jax.ShapeDtypeStruct((batch, 32), np.float32)
    masks = jax.ShapeDtypeStruct((embeddings.shape[0] // 8, batch), np.uint8)
    block_size = shapes.items_per_block(batch, *embeddings.shape)
    top = kernels.top_by_groups.lower((hidden,), (embeddings,), masks, 16, block_size)
    targets = jax.ShapeDtypeStruct((batch,), np.int32)
    bonus = jax.ShapeDtypeStruct((batch,), np.float32)
    ranks = kernels.count_against_targets.lower(
        (hidden,), (embeddings,), masks, targets, bonus, block_size
    )
    maxima_bytes = 4 * batch * embeddings.shape[0] // shapes.GROUP_SIZE
    block_bytes = 4 * block_size * (32 + batch)
    mask_bytes = batch * embeddings.shape[0] // 8
    assert temporary_bytes(ranks) < 4 * block_bytes + mask_bytes + 1_000_000
    assert temporary_bytes(top) < 4 * block_bytes + mask_bytes + 4 * maxima_bytes + 1_000_000
    assert 4 * block_bytes + 4 * maxima_bytes < 4 * embeddings.shape[0] * (32 + batch) / 4


def temporary_bytes(lowered: jax.stages.Lowered) -> int:
    analysis = lowered.compile().memory_analysis()
    assert analysis is not None
    return analysis.temp_size_in_bytes


def test_other_numbers_of_requests_results_and_excluded_items_compile_nothing():
    embeddings = random_problem(1, 50, seed=0)[1]

    def search_batch(batch: int, k: int, n_excluded: int) -> None:
        excluded = Ragged.from_rows([list(range(5, 5 + n_excluded))] * batch)
        top(np.ones((batch, DIM), np.float32), embeddings, excluded, k)

    search_batch(12, 3, 1)
    compiled = kernels.top_by_groups._cache_size()
    for batch, k, n_excluded in ((9, 1, 0), (10, 7, 2), (11, 10, 30), (12, 9, 45)):
        search_batch(batch, k, n_excluded)
    assert kernels.top_by_groups._cache_size() == compiled


def test_random_floats_agree_with_a_stable_sort():
    random = np.random.default_rng(0)
    hidden = random.normal(size=(9, 16)).astype(np.float32)
    embeddings = random.normal(size=(3000, 16)).astype(np.float32)
    excluded = Ragged.from_rows([random.integers(4, 3000, 20) for _ in range(9)])
    ranked = top(hidden, embeddings, excluded, 10)
    scores = hidden.astype(np.float64) @ embeddings.T.astype(np.float64)
    mask_items(scores, excluded)
    np.testing.assert_array_equal(ranked.items, np.argsort(-scores, axis=1, kind="stable")[:, :10])
    np.testing.assert_allclose(ranked.scores, -np.sort(-scores, axis=1)[:, :10], rtol=1e-4)


def test_results_are_numpy_arrays():
    ranked = top(np.ones((1, DIM), np.float32), np.ones((7, DIM), np.float32), NO_EXCLUDED, 2)
    assert not isinstance(ranked.items, jax.Array)
    assert ranked.items.dtype == np.int32
    assert ranked.scores.dtype == np.float32

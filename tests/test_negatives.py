"""The draw of negatives: what can be drawn, how often, and what is said of it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import END, PAD, START
from segue.negatives import PROPOSALS, Negatives, log_uniform, uniform

pytestmark = pytest.mark.usefixtures("strict_types")

KEY = jax.random.key(0)

drawn_at_once = jax.jit(lambda draw, *what: draw(*what), static_argnums=(0, 2, 3))
"""A draw as one compiled function, where none of its operations is compiled by itself."""

each_proposal = pytest.mark.parametrize("draw", PROPOSALS.values(), ids=PROPOSALS)


@each_proposal
@given(
    shape=st.sampled_from([(50,), (3, 7)]),
    table_size=st.integers(END + 1, 100),
    seed=st.integers(0, 9),
)
def test_draws_rows_that_can_be_labels(draw, shape, table_size, seed):
    drawn = draw(jax.random.key(seed), shape, table_size)
    assert drawn.items.shape == drawn.log_expected.shape == shape
    assert drawn.items.dtype == np.int32
    assert (drawn.items >= END).all()
    assert (drawn.items < table_size).all()


def test_every_candidate_equally_often_and_pad_and_start_never():
    table_size, n = 12, 50_000
    counts = np.bincount(drawn_at_once(uniform, KEY, (n,), table_size).items, minlength=table_size)
    assert counts[PAD] == counts[START] == 0
    np.testing.assert_allclose(counts[END:], n / (table_size - END), rtol=0.06)


def chances(n_ranks: int) -> np.ndarray:
    """Of each rank under the log-uniform proposal, in double precision."""
    ranks = np.arange(n_ranks)
    return np.log((ranks + 2) / (ranks + 1)) / np.log(n_ranks + 1)


@pytest.mark.parametrize("table_size", [END + 1, 12, 300])
def test_log_uniform_draws_each_rank_as_often_as_it_says(table_size):
    n, n_ranks = 200_000, table_size - END
    drawn = drawn_at_once(log_uniform, KEY, (n,), table_size)
    counts = np.bincount(drawn.items, minlength=table_size)
    assert counts[PAD] == counts[START] == 0
    expected = n * chances(n_ranks)
    assert expected.sum() == pytest.approx(n)
    deviations = (counts[END:] - expected) / np.sqrt(expected)
    assert np.abs(deviations).max() < 4.5
    assert (deviations**2).mean() < 1.5
    said = np.exp(np.asarray(drawn.log_expected, np.float64))
    np.testing.assert_allclose(said, expected[np.asarray(drawn.items) - END], rtol=1e-5)


def test_log_uniform_comes_by_every_rank_of_a_large_table():
    """As many pairs of equal draws as the chances make, not those of a coarser grid."""
    n, n_ranks = 1_000_000, 4_000_000
    ranks = np.asarray(drawn_at_once(log_uniform, KEY, (n,), END + n_ranks).items) - END
    tail = ranks[ranks >= n_ranks // 2]
    _, counts = np.unique(tail, return_counts=True)
    pairs = (counts * (counts - 1) / 2).sum()
    expected = n**2 / 2 * (chances(n_ranks)[n_ranks // 2 :] ** 2).sum()
    assert pairs == pytest.approx(expected, rel=0.2)


@each_proposal
def test_log_expected_is_how_often_each_row_comes_in_one_draw(draw):
    draws = jax.tree.map(np.asarray, drawn_at_once(draw, KEY, (4_000, 30), 12))
    seen = draws.items == 7
    expected = float(np.exp(draws.log_expected[seen][0]))
    assert seen.sum(axis=1).mean() == pytest.approx(expected, rel=0.05)


@each_proposal
def test_corrected_sums_over_draws_are_the_sum_over_everything(draw):
    values = np.random.default_rng(0).exponential(size=40)
    values[:END] = 0
    draws = jax.tree.map(np.asarray, drawn_at_once(draw, KEY, (20_000, 8), 40))
    sums = (values[draws.items] / np.exp(draws.log_expected)).sum(axis=1)
    error = sums.std() / np.sqrt(len(sums))
    assert sums.mean() == pytest.approx(values.sum(), abs=3 * error)
    assert error < 0.01 * values.sum()


@each_proposal
def test_the_key_decides_alone(draw):
    first, again = draw(KEY, (20,), 1000), draw(KEY, (20,), 1000)
    np.testing.assert_array_equal(first.items, again.items)
    other = draw(jax.random.key(1), (20,), 1000)
    assert (np.asarray(first.items) != np.asarray(other.items)).any()


@each_proposal
def test_under_jit(draw):
    drawn = jax.jit(draw, static_argnums=(1, 2))(KEY, (20,), 1000)
    np.testing.assert_array_equal(drawn.items, draw(KEY, (20,), 1000).items)


def test_hits_of_a_shared_draw_and_of_one_a_position():
    labels = jnp.array([4, 5], jnp.int32)
    shared = Negatives(jnp.array([5, 4, 7], jnp.int32), jnp.zeros(3))
    assert shared.hits(labels).tolist() == [[False, True, False], [True, False, False]]
    items = jnp.array([[4, 4], [4, 5]], jnp.int32)
    assert Negatives(items, jnp.zeros((2, 2))).hits(labels).tolist() == [
        [True, True],
        [False, True],
    ]


# --- labels of the batch as negatives ---


@each_proposal
def test_labels_join_the_draw_and_padding_counts_for_nothing(draw):
    drawn = draw(KEY, (6,), 12)
    labels = np.array([5, PAD, 7, 5], np.int32)
    shares = np.log(np.arange(1, 13) / 78).astype(np.float32)

    @jax.jit
    def joined(drawn, labels, shares):
        both = draw.with_labels(drawn, labels, shares, 12)
        return both, draw.log_probability(both.items, 12)

    both, of_draw = jax.tree.map(np.asarray, joined(drawn, labels, shares))
    np.testing.assert_array_equal(both.items, [*np.asarray(drawn.items), *labels])
    expected = np.exp(of_draw) * 6 + 3 * np.exp(shares[both.items])
    is_label = np.array([True] * 7 + [False] + [True] * 2)
    np.testing.assert_allclose(both.log_expected[is_label], np.log(expected)[is_label], rtol=1e-5)
    assert both.log_expected[7] == np.inf


def test_a_mixture_estimates_the_sum_over_the_catalogue_without_bias():
    """Drawn by both ways many times, what comes counts once in the mean."""
    table_size, positions = 12, 5
    scores = np.random.default_rng(0).normal(size=table_size)
    shares = np.r_[0, 0, np.arange(1, table_size - 1)] / 55
    log_shares = jnp.log(jnp.array(shares, jnp.float32))

    def mixed(seed, labels):
        drawn = log_uniform(jax.random.key(seed), (4,), table_size)
        both = log_uniform.with_labels(drawn, labels, log_shares, table_size)
        return both.items, both.log_expected

    seeds = range(3_000)
    labels = [np.random.default_rng(s).choice(table_size, positions, p=shares) for s in seeds]
    items, log_expected = jax.jit(jax.vmap(mixed))(jnp.array(seeds), jnp.array(labels, jnp.int32))
    sums = np.exp(scores[items] - log_expected).sum(axis=1)
    exact = float(np.exp(scores[END:]).sum())
    assert np.mean(sums) == pytest.approx(exact, abs=4 * float(np.std(sums)) / len(sums) ** 0.5)
    assert np.std(sums) / len(sums) ** 0.5 < 0.02 * exact

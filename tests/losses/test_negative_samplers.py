"""Negative samplers: their support, their frequencies and the expected counts they report."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.dataset import PopularityOrder
from segue.losses.negative_samplers import (
    NEGATIVE_SAMPLERS,
    LogUniform,
    Negatives,
    NegativeSampler,
    Uniform,
)
from segue.tokens import END, N_SPECIALS, PAD, START

pytestmark = pytest.mark.usefixtures("strict_types")

KEY = jax.random.key(0)


def by_index(vocabulary_size: int) -> PopularityOrder:
    """The popularity of items that are numbered by it."""
    indices = np.arange(vocabulary_size, dtype=np.int32)
    return PopularityOrder(indices, indices)


def draw(sampler: NegativeSampler, key: jax.Array, shape: tuple[int, ...]) -> Negatives:
    """A draw as one compiled function, which compiles faster than its single operations."""
    return jax.jit(sampler.sample, static_argnums=1)(key, shape)


each_sampler = pytest.mark.parametrize("sampler", NEGATIVE_SAMPLERS.values(), ids=NEGATIVE_SAMPLERS)


@pytest.mark.slow
@each_sampler
@given(
    shape=st.sampled_from([(50,), (3, 7)]),
    vocabulary_size=st.integers(END + 1, 100),
    seed=st.integers(0, 9),
)
def test_draws_indices_that_can_be_labels(sampler, shape, vocabulary_size, seed):
    sampler = sampler(vocabulary_size, by_index(vocabulary_size))
    drawn = sampler.sample(jax.random.key(seed), shape)
    assert drawn.items.shape == drawn.log_expected_counts.shape == shape
    assert drawn.items.dtype == np.int32
    assert (drawn.items >= END).all()
    assert (drawn.items < vocabulary_size).all()


def test_uniform_draws_every_candidate_equally_often_and_never_pad_or_start():
    vocabulary_size, n = 12, 50_000
    counts = np.bincount(draw(Uniform(vocabulary_size), KEY, (n,)).items, minlength=vocabulary_size)
    assert counts[PAD] == counts[START] == 0
    np.testing.assert_allclose(counts[END:], n / (vocabulary_size - END), rtol=0.06)


def log_uniform_probabilities(n_ranks: int) -> np.ndarray:
    """Probability of each rank under the log-uniform sampler, in double precision."""
    ranks = np.arange(n_ranks)
    return np.log((ranks + 2) / (ranks + 1)) / np.log(n_ranks + 1)


@pytest.mark.parametrize("vocabulary_size", [END + 1, 12, 300])
def test_log_uniform_draws_each_rank_as_often_as_expected(vocabulary_size):
    n, n_ranks = 200_000, vocabulary_size - END
    drawn = draw(LogUniform(vocabulary_size, by_index(vocabulary_size)), KEY, (n,))
    counts = np.bincount(drawn.items, minlength=vocabulary_size)
    assert counts[PAD] == counts[START] == 0
    expected = n * log_uniform_probabilities(n_ranks)
    assert expected.sum() == pytest.approx(n)
    deviations = (counts[END:] - expected) / np.sqrt(expected)
    assert np.abs(deviations).max() < 4.5
    assert (deviations**2).mean() < 1.5
    reported = np.exp(np.asarray(drawn.log_expected_counts, np.float64))
    np.testing.assert_allclose(reported, expected[np.asarray(drawn.items) - END], rtol=1e-5)


@pytest.mark.slow
def test_log_uniform_reaches_every_rank_of_a_large_vocabulary():
    """The number of equal pairs is the expected one, not the larger one of a coarser grid."""
    n, n_ranks = 1_000_000, 4_000_000
    sampler = LogUniform(END + n_ranks, by_index(END + n_ranks))
    ranks = np.asarray(draw(sampler, KEY, (n,)).items) - END
    tail = ranks[ranks >= n_ranks // 2]
    _, counts = np.unique(tail, return_counts=True)
    pairs = (counts * (counts - 1) / 2).sum()
    expected = n**2 / 2 * (log_uniform_probabilities(n_ranks)[n_ranks // 2 :] ** 2).sum()
    assert pairs == pytest.approx(expected, rel=0.2)


@given(st.permutations(range(N_SPECIALS, 16)), st.integers(0, 9))
def test_log_uniform_follows_the_popularity_and_not_the_index(catalogue, seed):
    by_count = PopularityOrder.of(np.r_[np.zeros(N_SPECIALS, np.int64), catalogue])
    sampler, key = LogUniform(16, by_count), jax.random.key(seed)
    drawn = sampler.sample(key, (40,))
    expected = LogUniform(16, by_index(16)).sample(key, (40,))
    np.testing.assert_array_equal(drawn.items, by_count.items[np.asarray(expected.items)])
    np.testing.assert_array_equal(drawn.log_expected_counts, expected.log_expected_counts)


@each_sampler
def test_log_expected_counts_agree_with_frequencies(sampler):
    draws = jax.tree.map(np.asarray, draw(sampler(12, by_index(12)), KEY, (4_000, 30)))
    is_item = draws.items == 7
    expected = float(np.exp(draws.log_expected_counts[is_item][0]))
    assert is_item.sum(axis=1).mean() == pytest.approx(expected, rel=0.05)


@each_sampler
def test_corrected_sums_over_draws_estimate_the_sum_over_the_catalogue(sampler):
    values = np.random.default_rng(0).exponential(size=40)
    values[:END] = 0
    draws = jax.tree.map(np.asarray, draw(sampler(40, by_index(40)), KEY, (20_000, 8)))
    sums = (values[draws.items] / np.exp(draws.log_expected_counts)).sum(axis=1)
    error = sums.std() / np.sqrt(len(sums))
    assert sums.mean() == pytest.approx(values.sum(), abs=3 * error)
    assert error < 0.01 * values.sum()


@each_sampler
def test_draw_depends_only_on_the_key(sampler):
    sampler = sampler(1000, by_index(1000))
    first, repeated = sampler.sample(KEY, (20,)), sampler.sample(KEY, (20,))
    np.testing.assert_array_equal(first.items, repeated.items)
    with_new_key = sampler.sample(jax.random.key(1), (20,))
    assert (np.asarray(first.items) != np.asarray(with_new_key.items)).any()


@each_sampler
def test_equal_with_and_without_jit(sampler):
    sampler = sampler(1000, by_index(1000))
    np.testing.assert_array_equal(draw(sampler, KEY, (20,)).items, sampler.sample(KEY, (20,)).items)


def test_accidental_hits_of_a_shared_sample_and_of_one_per_position():
    labels = jnp.array([4, 5], jnp.int32)
    shared = Negatives(jnp.array([5, 4, 7], jnp.int32), jnp.zeros(3))
    assert shared.accidental_hits(labels).tolist() == [[False, True, False], [True, False, False]]
    items = jnp.array([[4, 4], [4, 5]], jnp.int32)
    assert Negatives(items, jnp.zeros((2, 2))).accidental_hits(labels).tolist() == [
        [True, True],
        [False, True],
    ]


# --- labels of the batch as negatives ---


@each_sampler
def test_labels_are_appended_and_padding_has_no_weight(sampler):
    sampler = sampler(12, by_index(12))
    drawn = sampler.sample(KEY, (6,))
    labels = np.array([5, PAD, 7, 5], np.int32)
    shares = np.log(np.arange(1, 13) / 78).astype(np.float32)

    @jax.jit
    def with_labels(drawn, labels, shares):
        both = sampler.with_labels(drawn, labels, shares)
        return both, sampler.log_probability(both.items)

    both, log_probability = jax.tree.map(np.asarray, with_labels(drawn, labels, shares))
    np.testing.assert_array_equal(both.items, [*np.asarray(drawn.items), *labels])
    expected = np.exp(log_probability) * 6 + 3 * np.exp(shares[both.items])
    is_label = np.array([True] * 7 + [False] + [True] * 2)
    np.testing.assert_allclose(
        both.log_expected_counts[is_label], np.log(expected)[is_label], rtol=1e-5
    )
    assert both.log_expected_counts[7] == np.inf


def test_a_mixture_estimates_the_sum_over_the_catalogue_without_bias():
    """Items that are drawn and are labels too count once in expectation."""
    vocabulary_size, positions = 12, 5
    scores = np.random.default_rng(0).normal(size=vocabulary_size)
    shares = np.r_[0, 0, np.arange(1, vocabulary_size - 1)] / 55
    log_shares = jnp.log(jnp.array(shares, jnp.float32))

    sampler = LogUniform(vocabulary_size, by_index(vocabulary_size))

    def mixed(seed, labels):
        drawn = sampler.sample(jax.random.key(seed), (4,))
        both = sampler.with_labels(drawn, labels, log_shares)
        return both.items, both.log_expected_counts

    seeds = range(3_000)
    labels = [np.random.default_rng(s).choice(vocabulary_size, positions, p=shares) for s in seeds]
    items, log_expected_counts = jax.jit(jax.vmap(mixed))(
        jnp.array(seeds), jnp.array(labels, jnp.int32)
    )
    sums = np.exp(scores[items] - log_expected_counts).sum(axis=1)
    exact = float(np.exp(scores[END:]).sum())
    assert np.mean(sums) == pytest.approx(exact, abs=4 * float(np.std(sums)) / len(sums) ** 0.5)
    assert np.std(sums) / len(sums) ** 0.5 < 0.02 * exact

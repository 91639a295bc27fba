"""The exact softmax in blocks of positions: equal to a plain reference, padding not computed."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loss_problems import loss_problem, plain_cross_entropy

from segue.losses.softmax import FIRST_CANDIDATE
from segue.losses.softmax_by_positions import (
    POSITIONS_PER_BLOCK,
    fits_in_rows,
    logits_at_a_time,
    softmax_loss_sum,
)
from segue.tokens import PAD, START

pytestmark = pytest.mark.usefixtures("strict_types")


@partial(jax.jit, static_argnums=0)
def sum_and_gradients(loss, hidden, embeddings, labels, weights):
    """The weighted sum of losses, and its gradients, for an upstream gradient of 3."""
    total = loss(hidden, embeddings, labels, weights)
    scaled = lambda *arrays: 3 * loss(*arrays, labels, weights)  # noqa: E731
    return total, *jax.grad(scaled, argnums=(0, 1))(hidden, embeddings)


def plain_sum(hidden, embeddings, labels, weights):
    losses = plain_cross_entropy(hidden, embeddings, labels)
    return jnp.sum(jnp.where(weights == 0, 0, losses * weights))


@settings(max_examples=4)  # each shape compiles
@given(
    positions=st.integers(1, 9),
    rows=st.integers(FIRST_CANDIDATE + 1, 40),
    block_size=st.sampled_from([1, 3, 7, 40]),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 99),
)
@example(positions=9, rows=21, block_size=3, share=1.0, seed=0)  # full blocks
@example(positions=7, rows=21, block_size=3, share=0.5, seed=0)  # a block filled up
@example(positions=5, rows=3, block_size=2, share=0.0, seed=0)  # no weight at all
def test_equal_to_the_plain_sum(positions, rows, block_size, share, seed):
    hidden, embeddings, labels = loss_problem(positions, rows, seed=seed)
    random = np.random.default_rng(seed)
    weights = random.uniform(0.1, 2, positions) * (random.random(positions) < share)
    weights = jnp.asarray(weights, jnp.float32)
    labels = jnp.where(weights == 0, PAD, labels)
    loss = partial(softmax_loss_sum, block_size=block_size)
    actual = sum_and_gradients(loss, hidden, embeddings, labels, weights)
    expected = sum_and_gradients(plain_sum, hidden, embeddings, labels, weights)
    for ours, plain in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


def test_large_logits_do_not_overflow():
    hidden, embeddings, labels = loss_problem(5, 21, scale=1e4)
    total, *gradients = sum_and_gradients(
        partial(softmax_loss_sum, block_size=2), hidden, embeddings, labels, jnp.ones(5)
    )
    expected = plain_cross_entropy(hidden, embeddings, labels).sum()
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_pad_and_start_are_never_candidates():
    hidden, embeddings, labels = loss_problem(5, 13)
    loss = partial(softmax_loss_sum, block_size=2)
    total, _, _ = sum_and_gradients(loss, hidden, embeddings, labels, jnp.ones(5))
    for token in (PAD, START):
        raised = embeddings.at[token].set(1e3)
        same, _, to_embeddings = sum_and_gradients(loss, hidden, raised, labels, jnp.ones(5))
        np.testing.assert_array_equal(total, same)
        assert not to_embeddings[token].any()


def test_states_of_positions_without_weight_are_not_read():
    hidden, embeddings, labels = loss_problem(6, 13)
    weights = jnp.array([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
    broken = hidden.at[jnp.array([1, 3, 4])].set(jnp.nan)
    loss = partial(softmax_loss_sum, block_size=2)
    total, to_hidden, to_embeddings = sum_and_gradients(loss, broken, embeddings, labels, weights)
    assert np.isfinite(total)
    assert np.isfinite(to_embeddings).all()
    assert not to_hidden[weights == 0].any()


def test_large_catalogues_are_walked_in_blocks_of_items():
    assert fits_in_rows(65_536)
    assert not fits_in_rows(65_537)
    assert logits_at_a_time(1_000, 3_000) == POSITIONS_PER_BLOCK * 3_000
    assert logits_at_a_time(1_000, 1_000_000) <= 1 << 24

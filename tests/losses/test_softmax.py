"""The exact softmax against a plain reference: equal values and gradients, less memory."""

from __future__ import annotations

from functools import partial

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loss_problems import loss_problem, plain_cross_entropy, value_and_gradients

from segue.losses.softmax import FIRST_CANDIDATE, softmax_cross_entropy, weighted_mean
from segue.tokens import END, PAD, START, UNK

pytestmark = pytest.mark.usefixtures("strict_types")


# --- weighted_mean ---


def test_weighted_mean():
    losses, weights = jnp.array([1.0, 2.0, 100.0]), jnp.array([1.0, 1.0, 0.0])
    assert weighted_mean(jnp.sum(losses * weights), weights) == pytest.approx(1.5)


def test_weighted_mean_without_weight_is_zero():
    assert weighted_mean(jnp.array(0.0), jnp.array([0.0])) == 0


# --- exact softmax ---


@settings(max_examples=4)  # each shape compiles
@given(
    positions=st.integers(1, 9),
    rows=st.integers(FIRST_CANDIDATE + 1, 40),
    block_size=st.sampled_from([1, 3, 7, 40, 1000, None]),
    seed=st.integers(0, 99),
)
@example(positions=5, rows=21, block_size=7, seed=0)  # equal blocks
@example(positions=5, rows=22, block_size=7, seed=0)  # maximal overlap of the last block
@example(positions=5, rows=3, block_size=1, seed=0)  # blocks without any candidate
@example(positions=1, rows=22, block_size=3, seed=0)
@example(positions=5, rows=22, block_size=None, seed=0)
def test_blocks_give_the_same_values_and_gradients(positions, rows, block_size, seed):
    hidden, embeddings, labels = loss_problem(positions, rows, seed=seed)
    weights = jnp.asarray(np.random.default_rng(seed).normal(size=positions), jnp.float32)
    blockwise = partial(softmax_cross_entropy, block_size=block_size)
    actual = value_and_gradients(blockwise, hidden, embeddings, labels, weights)
    expected = value_and_gradients(plain_cross_entropy, hidden, embeddings, labels, weights)
    for ours, plain in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


def test_equal_with_and_without_jit():
    hidden, embeddings, labels = loss_problem(5, 21)
    loss = partial(softmax_cross_entropy, block_size=7)
    eager = loss(hidden, embeddings, labels)
    np.testing.assert_allclose(jax.jit(loss)(hidden, embeddings, labels), eager, rtol=1e-6)


def test_large_logits_do_not_overflow():
    hidden, embeddings, labels = loss_problem(5, 21, scale=1e4)
    losses, *gradients = value_and_gradients(
        partial(softmax_cross_entropy, block_size=7), hidden, embeddings, labels, jnp.ones(5)
    )
    np.testing.assert_allclose(losses, plain_cross_entropy(hidden, embeddings, labels), rtol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_equal_scores_give_the_loss_of_a_uniform_distribution():
    hidden, embeddings, labels = jnp.zeros((3, 4)), jnp.ones((11, 4)), jnp.array([END, UNK, 10])
    losses = softmax_cross_entropy(hidden, embeddings, labels.astype(jnp.int32))
    np.testing.assert_allclose(losses, np.log(11 - FIRST_CANDIDATE), rtol=1e-6)


@pytest.mark.parametrize("block_size", [1, 4, None])
def test_pad_and_start_are_never_candidates(block_size):
    hidden, embeddings, labels = loss_problem(5, 13)
    loss = partial(softmax_cross_entropy, block_size=block_size)
    losses, _, _ = value_and_gradients(loss, hidden, embeddings, labels, jnp.ones(5))
    for token in (PAD, START):
        raised = embeddings.at[token].set(1e3)
        same, _, to_embeddings = value_and_gradients(loss, hidden, raised, labels, jnp.ones(5))
        np.testing.assert_array_equal(losses, same)
        assert not to_embeddings[token].any()


def test_padding_positions_are_finite_and_have_no_gradient():
    hidden, embeddings, _ = loss_problem(4, 13)
    labels = jnp.array([PAD, 5, PAD, 6], jnp.int32)
    weights = (labels != PAD).astype(jnp.float32)
    loss = partial(softmax_cross_entropy, block_size=4)
    losses, to_hidden, to_embeddings = value_and_gradients(
        loss, hidden, embeddings, labels, weights
    )
    assert np.isfinite(losses).all()
    assert not to_hidden[labels == PAD].any()
    without_padding = value_and_gradients(loss, hidden[1::2], embeddings, labels[1::2], jnp.ones(2))
    np.testing.assert_allclose(to_embeddings, without_padding[2], rtol=1e-5, atol=1e-6)


def largest_array(jaxpr) -> int:
    """Size of the largest array in a computation, including nested computations."""
    sizes = [0]
    for equation in jaxpr.eqns:
        sizes += [variable.aval.size for variable in equation.outvars]
        for nested in jax.extend.core.jaxprs_in_params(equation.params):
            sizes.append(largest_array(nested))
    return max(sizes)


@pytest.mark.parametrize("differentiate", [False, True])
def test_never_computes_all_logits_at_once(differentiate):
    positions, rows, dim, block_size = 60, 500, 4, 16
    hidden, embeddings, labels = loss_problem(positions, rows, dim)

    def loss(hidden, embeddings):
        return softmax_cross_entropy(hidden, embeddings, labels, block_size).sum()

    function = jax.grad(loss, argnums=(0, 1)) if differentiate else loss
    most = max(rows * dim, positions * block_size)
    assert largest_array(jax.make_jaxpr(function)(hidden, embeddings).jaxpr) <= most
    memory = jax.jit(function).lower(hidden, embeddings).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * positions * rows / 2


def test_plain_reference_computes_all_logits_at_once():
    hidden, embeddings, labels = loss_problem(60, 500, 4)
    jaxpr = jax.make_jaxpr(plain_cross_entropy)(hidden, embeddings, labels).jaxpr
    assert largest_array(jaxpr) >= 60 * (500 - FIRST_CANDIDATE)

"""Losses against plain references: the same values, the same gradients, less memory."""

from __future__ import annotations

from functools import partial

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from segue.axes import END, PAD, START, UNK
from segue.losses import FIRST_CANDIDATE, mean_over, sampled_softmax, softmax_cross_entropy

pytestmark = pytest.mark.usefixtures("strict_types")


def plain_cross_entropy(hidden, table, labels):
    """All logits at once; PAD and START cannot be labels, so they are no candidates."""
    logits = hidden @ table[FIRST_CANDIDATE:].T
    own = jnp.sum(hidden * table[labels], axis=1)
    return jax.nn.logsumexp(logits, axis=1) - own


def problem(positions: int, rows: int, dim: int = 5, seed: int = 0, scale: float = 1.0):
    random = np.random.default_rng(seed)
    hidden = scale * random.normal(size=(positions, dim)).astype(np.float32)
    table = random.normal(size=(rows, dim)).astype(np.float32)
    labels = random.integers(FIRST_CANDIDATE, rows, positions).astype(np.int32)
    return jnp.asarray(hidden), jnp.asarray(table), jnp.asarray(labels)


@partial(jax.jit, static_argnums=0)
def value_and_gradients(loss, hidden, table, labels, weights):
    def total(hidden, table):
        losses = loss(hidden, table, labels)
        return jnp.sum(losses * weights), losses

    gradients, losses = jax.grad(total, argnums=(0, 1), has_aux=True)(hidden, table)
    return losses, *gradients


# --- mean_over ---


def test_mean_counts_by_weight():
    losses, weights = jnp.array([1.0, 2.0, 100.0]), jnp.array([1.0, 1.0, 0.0])
    assert mean_over(losses, weights) == pytest.approx(1.5)


def test_mean_of_nothing_is_zero():
    assert mean_over(jnp.array([3.0]), jnp.array([0.0])) == 0


# --- exact softmax ---


@settings(max_examples=4)  # each shape compiles
@given(
    positions=st.integers(1, 9),
    rows=st.integers(FIRST_CANDIDATE + 1, 40),
    block_size=st.sampled_from([1, 3, 7, 40, 1000, None]),
    seed=st.integers(0, 99),
)
@example(positions=5, rows=21, block_size=7, seed=0)  # blocks that fit exactly
@example(positions=5, rows=22, block_size=7, seed=0)  # a last block that overlaps the most
@example(positions=5, rows=3, block_size=1, seed=0)  # blocks without any candidate
@example(positions=1, rows=22, block_size=3, seed=0)
@example(positions=5, rows=22, block_size=None, seed=0)
def test_blocks_give_the_plain_value_and_gradients(positions, rows, block_size, seed):
    hidden, table, labels = problem(positions, rows, seed=seed)
    weights = jnp.asarray(np.random.default_rng(seed).normal(size=positions), jnp.float32)
    blockwise = partial(softmax_cross_entropy, block_size=block_size)
    got = value_and_gradients(blockwise, hidden, table, labels, weights)
    expected = value_and_gradients(plain_cross_entropy, hidden, table, labels, weights)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_same_without_jit():
    hidden, table, labels = problem(5, 21)
    loss = partial(softmax_cross_entropy, block_size=7)
    plain = loss(hidden, table, labels)
    np.testing.assert_allclose(jax.jit(loss)(hidden, table, labels), plain, rtol=1e-6)


def test_large_logits_do_not_overflow():
    hidden, table, labels = problem(5, 21, scale=1e4)
    losses, *gradients = value_and_gradients(
        partial(softmax_cross_entropy, block_size=7), hidden, table, labels, jnp.ones(5)
    )
    np.testing.assert_allclose(losses, plain_cross_entropy(hidden, table, labels), rtol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_fresh_model_is_uniform_over_what_can_be_a_label():
    hidden, table, labels = jnp.zeros((3, 4)), jnp.ones((11, 4)), jnp.array([END, UNK, 10])
    losses = softmax_cross_entropy(hidden, table, labels.astype(jnp.int32))
    np.testing.assert_allclose(losses, np.log(11 - FIRST_CANDIDATE), rtol=1e-6)


@pytest.mark.parametrize("block_size", [1, 4, None])
def test_pad_and_start_are_never_candidates(block_size):
    hidden, table, labels = problem(5, 13)
    loss = partial(softmax_cross_entropy, block_size=block_size)
    losses, _, _ = value_and_gradients(loss, hidden, table, labels, jnp.ones(5))
    for never in (PAD, START):
        raised = table.at[never].set(1e3)
        same, _, to_table = value_and_gradients(loss, hidden, raised, labels, jnp.ones(5))
        np.testing.assert_array_equal(losses, same)
        assert not to_table[never].any()


def test_padding_positions_are_finite_and_without_weight_teach_nothing():
    hidden, table, _ = problem(4, 13)
    labels = jnp.array([PAD, 5, PAD, 6], jnp.int32)
    weights = (labels != PAD).astype(jnp.float32)
    loss = partial(softmax_cross_entropy, block_size=4)
    losses, to_hidden, to_table = value_and_gradients(loss, hidden, table, labels, weights)
    assert np.isfinite(losses).all()
    assert not to_hidden[labels == PAD].any()
    alone = value_and_gradients(loss, hidden[1::2], table, labels[1::2], jnp.ones(2))
    np.testing.assert_allclose(to_table, alone[2], rtol=1e-5, atol=1e-6)


def largest_array(jaxpr) -> int:
    """Values in the largest array that a computation makes, inner computations included."""
    sizes = [0]
    for equation in jaxpr.eqns:
        sizes += [variable.aval.size for variable in equation.outvars]
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            sizes.append(largest_array(inner))
    return max(sizes)


@pytest.mark.parametrize("differentiate", [False, True])
def test_logits_are_never_whole(differentiate):
    positions, rows, dim, block_size = 60, 500, 4, 16
    hidden, table, labels = problem(positions, rows, dim)

    def loss(hidden, table):
        return softmax_cross_entropy(hidden, table, labels, block_size).sum()

    function = jax.grad(loss, argnums=(0, 1)) if differentiate else loss
    most = max(rows * dim, positions * block_size)
    assert largest_array(jax.make_jaxpr(function)(hidden, table).jaxpr) <= most
    memory = jax.jit(function).lower(hidden, table).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * positions * rows / 2


def test_plain_reference_does_hold_all_logits():
    hidden, table, labels = problem(60, 500, 4)
    jaxpr = jax.make_jaxpr(plain_cross_entropy)(hidden, table, labels).jaxpr
    assert largest_array(jaxpr) >= 60 * (500 - FIRST_CANDIDATE)


# --- sampled softmax ---


def slow_sampled_softmax(hidden, table, labels, negatives, log_expected=None):
    """One position after another, in double precision."""
    losses = []
    for position, label in enumerate(labels):
        draw = negatives if negatives.ndim == 1 else negatives[position]
        own = float(hidden[position].astype(np.float64) @ table[label])
        total = np.exp(own)
        for place, item in enumerate(draw):
            if item == label:
                continue
            logit = float(hidden[position].astype(np.float64) @ table[item])
            if log_expected is not None:
                at = place if log_expected.ndim == 1 else (position, place)
                logit -= float(log_expected[at])
            total += np.exp(logit)
        losses.append(np.log(total) - own)
    return np.array(losses)


jitted_sampled_softmax = jax.jit(sampled_softmax)


@given(shared=st.booleans(), corrected=st.booleans(), seed=st.integers(0, 999))
def test_sampled_softmax_is_what_it_says(shared, corrected, seed):
    positions, rows, n_negatives = 5, 8, 6  # so few rows that negatives often hit the label
    hidden, table, labels = problem(positions, rows, seed=seed)
    random = np.random.default_rng(seed)
    shape = (n_negatives,) if shared else (positions, n_negatives)
    negatives = random.integers(FIRST_CANDIDATE, rows, shape).astype(np.int32)
    log_expected = random.normal(size=shape).astype(np.float32) if corrected else None
    arrays = map(np.asarray, (hidden, table, labels))
    expected = slow_sampled_softmax(*arrays, negatives, log_expected)
    got = jitted_sampled_softmax(hidden, table, labels, negatives, log_expected)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("corrected", [False, True])
def test_shared_draw_is_the_same_draw_at_every_position(corrected):
    hidden, table, labels = problem(7, 30)
    negatives = jnp.arange(3, 28, 5, dtype=jnp.int32)
    log_expected = jnp.linspace(-1, 1, 5) if corrected else None
    repeated = jnp.tile(negatives, (7, 1))
    repeated_log = None if log_expected is None else jnp.tile(log_expected, (7, 1))
    np.testing.assert_allclose(
        jitted_sampled_softmax(hidden, table, labels, negatives, log_expected),
        jitted_sampled_softmax(hidden, table, labels, repeated, repeated_log),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("times", [1, 3])
def test_every_item_drawn_equally_often_gives_the_exact_softmax(times):
    hidden, table, labels = problem(5, 20)
    everything = jnp.tile(jnp.arange(FIRST_CANDIDATE, 20, dtype=jnp.int32), times)
    log_expected = jnp.full(everything.shape, np.log(times), jnp.float32)

    def loss(hidden, table, labels):
        return sampled_softmax(hidden, table, labels, everything, log_expected)

    got = value_and_gradients(loss, hidden, table, labels, jnp.ones(5))
    expected = value_and_gradients(plain_cross_entropy, hidden, table, labels, jnp.ones(5))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_correction_makes_the_denominator_unbiased():
    """Over many uniform draws, the mean of the estimated sums is the sum over all."""
    hidden, table, labels = problem(1, 12)
    n_draws, n_negatives, n_candidates = 20_000, 3, 12 - FIRST_CANDIDATE
    draws = np.random.default_rng(0).integers(FIRST_CANDIDATE, 12, (n_draws, n_negatives))
    losses = jitted_sampled_softmax(
        jnp.tile(hidden, (n_draws, 1)),
        table,
        jnp.tile(labels, n_draws),
        jnp.asarray(draws, jnp.int32),
        jnp.full(draws.shape, np.log(n_negatives / n_candidates), jnp.float32),
    )
    exact = float(plain_cross_entropy(hidden, table, labels)[0])
    assert float(jnp.exp(losses).mean()) == pytest.approx(np.exp(exact), rel=0.02)


def test_only_accidental_hits_leave_no_loss_and_no_trouble():
    hidden, table, labels = problem(1, 12)

    def loss(hidden, table, labels):
        return sampled_softmax(hidden, table, labels, jnp.tile(labels, 4))

    losses, *gradients = value_and_gradients(loss, hidden, table, labels, jnp.ones(1))
    assert losses[0] == pytest.approx(0, abs=1e-6)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


@pytest.mark.parametrize("shift", [-5.0, 5.0])
def test_label_is_never_corrected(shift):
    """Correcting everything by one shift moves negatives against an unmoved label."""
    hidden, table, labels = problem(1, 12)
    negatives = jnp.array([item for item in range(2, 12) if item != int(labels[0])], jnp.int32)
    own = float(hidden[0] @ table[labels[0]])
    others = float(jax.nn.logsumexp(hidden[0] @ table[negatives].T))
    got = jitted_sampled_softmax(hidden, table, labels, negatives, jnp.full(9, shift))
    assert float(got[0]) == pytest.approx(np.logaddexp(own, others - shift) - own, rel=1e-5)

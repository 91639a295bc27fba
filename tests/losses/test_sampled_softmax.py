"""The sampled softmax: against a slow reference, and its exact expectation over all draws."""

from __future__ import annotations

from functools import cache, partial
from itertools import combinations_with_replacement
from math import factorial, prod

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_problems import loss_problem, plain_cross_entropy, value_and_gradients

from examples import examples
from segue.losses import FIRST_CANDIDATE, sampled_softmax
from segue.losses.negative_samplers import Negatives

pytestmark = pytest.mark.usefixtures("strict_types")

ESTIMATORS = ["with-target", "negatives-only", "bias-corrected"]
each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


@partial(jax.jit, static_argnums=5)
def loss_of(hidden, embeddings, labels, items, log_expected_counts=None, estimator="with-target"):
    """The loss from the output embeddings of all items."""
    accidental_hits = Negatives(items, items).accidental_hits(labels)
    return sampled_softmax(
        hidden,
        embeddings[labels],
        embeddings[items],
        accidental_hits,
        log_expected_counts,
        estimator,
    )


# --- values ---


def slow_loss(label_logit: float, logits: list[float], estimator: str, n_negatives: int) -> float:
    """The loss of one position in double precision.

    Args:
        logits: of the negatives, corrected, without accidental hits.
    """
    terms = np.exp(np.array(logits))
    if not logits:
        return 0.0
    if estimator == "negatives-only":
        return float(np.log(n_negatives / len(terms) * terms.sum()) - label_logit)
    total = np.exp(label_logit) + terms.sum()
    loss = np.log(total) - label_logit
    if estimator == "bias-corrected" and n_negatives > 1:
        # The term of an accidental hit is zero.
        all_terms = np.append(terms, np.zeros(n_negatives - len(terms)))
        loss += n_negatives * all_terms.var(ddof=1) / (2 * total**2)
    return float(loss)


@settings(max_examples=examples(60))
@given(
    shared=st.booleans(),
    corrected=st.booleans(),
    estimator=st.sampled_from(ESTIMATORS),
    n_negatives=st.sampled_from([1, 2, 6]),
    seed=st.integers(0, 999),
)
def test_equals_the_slow_reference(shared, corrected, estimator, n_negatives, seed):
    positions, rows = 5, 8  # so few that accidental hits are frequent
    hidden, embeddings, labels = loss_problem(positions, rows, seed=seed)
    random = np.random.default_rng(seed)
    shape = (n_negatives,) if shared else (positions, n_negatives)
    items = random.integers(FIRST_CANDIDATE, rows, shape).astype(np.int32)
    log_expected_counts = random.normal(size=shape).astype(np.float32) if corrected else None
    expected = []
    for position, label in enumerate(labels):
        logits = np.asarray(embeddings, np.float64) @ np.asarray(hidden[position], np.float64)
        draw = items if shared else items[position]
        shifts = np.zeros(n_negatives) if log_expected_counts is None else log_expected_counts
        shifts = shifts if shifts.ndim == 1 else shifts[position]
        corrected_logits = [logits[i] - s for i, s in zip(draw, shifts, strict=True) if i != label]
        expected.append(slow_loss(logits[label], corrected_logits, estimator, n_negatives))
    actual = loss_of(hidden, embeddings, labels, items, log_expected_counts, estimator)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@each_estimator
def test_shared_sample_equals_that_sample_at_every_position(estimator):
    hidden, embeddings, labels = loss_problem(7, 30)
    items = np.arange(3, 28, 5, dtype=np.int32)
    log_expected_counts = np.linspace(-1, 1, 5, dtype=np.float32)
    repeated, repeated_counts = np.tile(items, (7, 1)), np.tile(log_expected_counts, (7, 1))
    np.testing.assert_allclose(
        loss_of(hidden, embeddings, labels, items, log_expected_counts, estimator),
        loss_of(hidden, embeddings, labels, repeated, repeated_counts, estimator),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("times", [1, 3])
def test_every_item_drawn_equally_often_gives_the_exact_softmax(times):
    hidden, embeddings, labels = loss_problem(5, 20)
    all_items = jnp.tile(jnp.arange(FIRST_CANDIDATE, 20, dtype=jnp.int32), times)
    log_expected_counts = jnp.full(all_items.shape, np.log(times), jnp.float32)

    def loss(hidden, embeddings, labels):
        return loss_of(hidden, embeddings, labels, all_items, log_expected_counts)

    actual = value_and_gradients(loss, hidden, embeddings, labels, jnp.ones(5))
    expected = value_and_gradients(plain_cross_entropy, hidden, embeddings, labels, jnp.ones(5))
    for ours, plain in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


def test_negatives_only_scales_the_sum_up_to_the_catalogue():
    hidden, embeddings, labels = loss_problem(1, 12)
    label = int(labels[0])
    other_indices = np.array([i for i in range(FIRST_CANDIDATE, 12) if i != label], np.int32)
    # 9 draws from 10 candidates
    log_expected_counts = np.full(other_indices.shape, np.log(9 / 10), np.float32)
    [actual] = loss_of(
        hidden, embeddings, labels, other_indices, log_expected_counts, "negatives-only"
    )
    logits = np.asarray(hidden)[0] @ np.asarray(embeddings).T
    expected = np.log(10 / 9 * np.exp(logits[other_indices]).sum()) - logits[label]
    assert float(actual) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("shift", [-5.0, 5.0])
def test_label_logit_is_not_corrected(shift):
    """One shift of all corrections moves the negatives relative to the label."""
    hidden, embeddings, labels = loss_problem(1, 12)
    items = np.array([item for item in range(2, 12) if item != int(labels[0])], np.int32)
    logits = np.asarray(hidden)[0] @ np.asarray(embeddings).T
    label_logit, log_sum = logits[int(labels[0])], np.logaddexp.reduce(logits[items])
    actual = loss_of(hidden, embeddings, labels, items, np.full(9, shift, np.float32))
    assert float(actual[0]) == pytest.approx(
        np.logaddexp(label_logit, log_sum - shift) - label_logit, rel=1e-5
    )


# --- edges ---


@each_estimator
def test_only_accidental_hits_give_no_loss_and_no_gradient(estimator):
    hidden, embeddings, labels = loss_problem(2, 12)
    items = jnp.stack([jnp.full(4, labels[0]), jnp.arange(3, 7, dtype=jnp.int32)])

    def loss(hidden, embeddings, labels):
        return loss_of(hidden, embeddings, labels, items, None, estimator)

    weights = jnp.array([1.0, 0.0])
    losses, *gradients = value_and_gradients(loss, hidden, embeddings, labels, weights)
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses[1] > 0.1
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


@each_estimator
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_logits_give_finite_losses_and_gradients(estimator, scale):
    hidden, embeddings, labels = loss_problem(5, 12, scale=scale)
    items = jnp.array([2, 2, 5, 7, 11], jnp.int32)

    def loss(hidden, embeddings, labels):
        return loss_of(hidden, embeddings, labels, items, jnp.full(5, -9.0), estimator)

    for values in value_and_gradients(loss, hidden, embeddings, labels, jnp.ones(5)):
        assert np.isfinite(values).all()


def test_single_negative_has_no_bias_correction():
    hidden, embeddings, labels = loss_problem(5, 12)
    items = jnp.array([3], jnp.int32)
    np.testing.assert_array_equal(
        loss_of(hidden, embeddings, labels, items, None, "bias-corrected"),
        loss_of(hidden, embeddings, labels, items, None, "with-target"),
    )


# --- exact expectations over all draws from four candidates ---

LOGITS = np.array([0.5, -1.0, 0.0, 1.5], np.float32)
"""Logits of all candidates; the label is the last one, the most likely, as after training."""
PROBABILITIES = {
    "uniform": np.full(4, 0.25),
    "log-uniform": np.log([2, 3 / 2, 4 / 3, 5 / 4]) / np.log(5),
}
each_sampler = pytest.mark.parametrize("negative_sampler", PROBABILITIES)

EXACT = float(np.log(np.exp(LOGITS).sum()) - LOGITS[-1])
EXACT_GRADIENT = np.exp(LOGITS) / np.exp(LOGITS).sum() - np.eye(4, dtype=np.float32)[-1]


def all_draws(probabilities, n_negatives):
    """All unordered draws: candidates [draw, negative], and the probability of each draw."""
    draws = list(combinations_with_replacement(range(4), n_negatives))
    counts = np.stack([np.bincount(draw, minlength=4) for draw in draws])
    orders = [factorial(n_negatives) // prod(map(factorial, row)) for row in counts.tolist()]
    return np.array(draws), np.array(orders, float) * np.prod(probabilities**counts, axis=1)


@partial(jax.jit, static_argnums=4)
@partial(jax.value_and_grad, has_aux=True)
def expected_loss(logits, items, log_expected_counts, probabilities, estimator):
    """The expectation over draws of the loss, and of exp(loss)."""
    n_draws = len(items)
    # With unit vectors as embeddings, the hidden state is the logits.
    embeddings = jnp.eye(FIRST_CANDIDATE + 4)[:, FIRST_CANDIDATE:]
    labels = jnp.full(n_draws, FIRST_CANDIDATE + 3, jnp.int32)
    hidden = jnp.broadcast_to(logits, (n_draws, 4))
    losses = loss_of(hidden, embeddings, labels, items, log_expected_counts, estimator)
    return jnp.sum(probabilities * losses), jnp.sum(probabilities * jnp.exp(losses))


@cache
def expectation(estimator, negative_sampler, n_negatives):
    """Expected loss, expected exp(loss), and expected gradient in the four logits."""
    probabilities = PROBABILITIES[negative_sampler]
    draws, weights = all_draws(probabilities, n_negatives)
    assert weights.sum() == pytest.approx(1)
    log_expected_counts = np.log(n_negatives * probabilities[draws]).astype(np.float32)
    items = (FIRST_CANDIDATE + draws).astype(np.int32)
    (loss, exponential), gradient = expected_loss(
        LOGITS, items, log_expected_counts, weights.astype(np.float32), estimator
    )
    return float(loss), float(exponential), np.asarray(gradient)


def biases_of(estimator, negative_sampler, sizes):
    """Biases by sample size: of the loss, of the gradient, and along the exact gradient.

    The last two are relative to the norm of the exact gradient.
    """
    expectations = [expectation(estimator, negative_sampler, size) for size in sizes]
    gradient_biases = [(gradient - EXACT_GRADIENT) for _, _, gradient in expectations]
    norm = np.linalg.norm(EXACT_GRADIENT)
    return (
        np.array([loss - EXACT for loss, _, _ in expectations]),
        np.array([np.linalg.norm(bias) for bias in gradient_biases]) / norm,
        np.array([bias @ EXACT_GRADIENT for bias in gradient_biases]) / norm**2,
    )


@each_sampler
@pytest.mark.parametrize("n_negatives", [1, 4, 9])
def test_estimated_sum_is_unbiased(negative_sampler, n_negatives):
    _, exponential, _ = expectation("with-target", negative_sampler, n_negatives)
    assert exponential == pytest.approx(np.exp(EXACT), rel=1e-4)


@pytest.mark.fast_cases(1)
@each_sampler
def test_loss_is_optimistic_in_inverse_proportion_to_the_sample_size(negative_sampler):
    loss, gradient, along = biases_of("with-target", negative_sampler, [2, 8, 32])
    assert (loss < 0).all()
    assert (along < 0).all()  # the expected gradient is too short
    for bias in (loss, gradient):
        assert np.abs(bias[0]) > 3 * np.abs(bias[1]) > 9 * np.abs(bias[2])


@each_sampler
def test_correction_removes_the_first_order_of_the_bias(negative_sampler):
    loss, gradient, _ = biases_of("bias-corrected", negative_sampler, [8, 32])
    plain_loss, plain_gradient, _ = biases_of("with-target", negative_sampler, [8, 32])
    assert (np.abs(loss) < np.abs(plain_loss) / [2, 8]).all()
    assert (gradient < plain_gradient / [2, 8]).all()


@pytest.mark.slow
@each_sampler
def test_negatives_only_is_the_most_optimistic_and_does_not_converge(negative_sampler):
    """Its limit is wrong: the mean of the other terms replaces the label's."""
    sizes = [2, 8, 32]
    loss, gradient, _ = biases_of("negatives-only", negative_sampler, sizes)
    plain_loss, plain_gradient, _ = biases_of("with-target", negative_sampler, sizes)
    assert (loss < plain_loss).all()
    assert (gradient > plain_gradient).all()
    scaled_sum = np.exp(LOGITS[:-1]).sum() / (1 - PROBABILITIES[negative_sampler][-1])
    limit = np.log(scaled_sum) - LOGITS[-1] - EXACT
    assert np.abs(loss[2] - limit) < np.abs(loss[1] - limit) < np.abs(loss[0] - limit)
    assert loss[2] == pytest.approx(limit, abs=0.02)

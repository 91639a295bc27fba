"""The sampled softmax: against a slow reference, and, where every draw can be listed, exactly."""

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

from loss_problems import plain_cross_entropy, problem, value_and_gradients
from segue.losses import FIRST_CANDIDATE, sampled_softmax
from segue.negatives import Negatives

pytestmark = pytest.mark.usefixtures("strict_types")

ESTIMATORS = ["with-target", "negatives-only", "bias-corrected"]
each_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


@partial(jax.jit, static_argnums=5)
def loss_of(hidden, table, labels, items, log_expected=None, estimator="with-target"):
    """The loss over a table of output vectors."""
    hits = Negatives(items, items).hits(labels)
    return sampled_softmax(hidden, table[labels], table[items], hits, log_expected, estimator)


# --- what it says ---


def slow_loss(own: float, logits: list[float], estimator: str, n_negatives: int) -> float:
    """One position in double precision; ``logits`` are corrected and without hits."""
    terms = np.exp(np.array(logits))
    if not logits:
        return 0.0
    if estimator == "negatives-only":
        return float(np.log(n_negatives / len(terms) * terms.sum()) - own)
    whole = np.exp(own) + terms.sum()
    loss = np.log(whole) - own
    if estimator == "bias-corrected" and n_negatives > 1:
        drawn = np.append(terms, np.zeros(n_negatives - len(terms)))  # a hit is worth nothing
        loss += n_negatives * drawn.var(ddof=1) / (2 * whole**2)
    return float(loss)


@settings(max_examples=60)
@given(
    shared=st.booleans(),
    corrected=st.booleans(),
    estimator=st.sampled_from(ESTIMATORS),
    n_negatives=st.sampled_from([1, 2, 6]),
    seed=st.integers(0, 999),
)
def test_value_is_that_of_the_slow_reference(shared, corrected, estimator, n_negatives, seed):
    positions, rows = 5, 8  # so few rows that negatives often hit the label
    hidden, table, labels = problem(positions, rows, seed=seed)
    random = np.random.default_rng(seed)
    shape = (n_negatives,) if shared else (positions, n_negatives)
    items = random.integers(FIRST_CANDIDATE, rows, shape).astype(np.int32)
    log_expected = random.normal(size=shape).astype(np.float32) if corrected else None
    expected = []
    for position, label in enumerate(labels):
        logits = np.asarray(table, np.float64) @ np.asarray(hidden[position], np.float64)
        draw = items if shared else items[position]
        shift = np.zeros(n_negatives) if log_expected is None else log_expected
        shift = shift if shift.ndim == 1 else shift[position]
        kept = [logits[i] - s for i, s in zip(draw, shift, strict=True) if i != label]
        expected.append(slow_loss(logits[label], kept, estimator, n_negatives))
    got = loss_of(hidden, table, labels, items, log_expected, estimator)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@each_estimator
def test_shared_draw_is_the_same_draw_at_every_position(estimator):
    hidden, table, labels = problem(7, 30)
    items = np.arange(3, 28, 5, dtype=np.int32)
    log_expected = np.linspace(-1, 1, 5, dtype=np.float32)
    repeated, repeated_log = np.tile(items, (7, 1)), np.tile(log_expected, (7, 1))
    np.testing.assert_allclose(
        loss_of(hidden, table, labels, items, log_expected, estimator),
        loss_of(hidden, table, labels, repeated, repeated_log, estimator),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("times", [1, 3])
def test_every_item_drawn_equally_often_gives_the_exact_softmax(times):
    hidden, table, labels = problem(5, 20)
    everything = jnp.tile(jnp.arange(FIRST_CANDIDATE, 20, dtype=jnp.int32), times)
    log_expected = jnp.full(everything.shape, np.log(times), jnp.float32)

    def loss(hidden, table, labels):
        return loss_of(hidden, table, labels, everything, log_expected)

    got = value_and_gradients(loss, hidden, table, labels, jnp.ones(5))
    expected = value_and_gradients(plain_cross_entropy, hidden, table, labels, jnp.ones(5))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_negatives_only_scales_the_others_up_to_the_catalogue():
    hidden, table, labels = problem(1, 12)
    own = int(labels[0])
    others = np.array([i for i in range(FIRST_CANDIDATE, 12) if i != own], np.int32)
    log_expected = np.full(others.shape, np.log(9 / 10), np.float32)  # 9 draws of 10 rows
    [got] = loss_of(hidden, table, labels, others, log_expected, "negatives-only")
    logits = np.asarray(hidden)[0] @ np.asarray(table).T
    expected = np.log(10 / 9 * np.exp(logits[others]).sum()) - logits[own]
    assert float(got) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("shift", [-5.0, 5.0])
def test_label_is_never_corrected(shift):
    """Correcting everything by one shift moves negatives against an unmoved label."""
    hidden, table, labels = problem(1, 12)
    items = np.array([item for item in range(2, 12) if item != int(labels[0])], np.int32)
    logits = np.asarray(hidden)[0] @ np.asarray(table).T
    own, others = logits[int(labels[0])], np.logaddexp.reduce(logits[items])
    got = loss_of(hidden, table, labels, items, np.full(9, shift, np.float32))
    assert float(got[0]) == pytest.approx(np.logaddexp(own, others - shift) - own, rel=1e-5)


# --- edges ---


@each_estimator
def test_only_hits_leave_no_loss_and_no_trouble(estimator):
    hidden, table, labels = problem(2, 12)
    items = jnp.stack([jnp.full(4, labels[0]), jnp.arange(3, 7, dtype=jnp.int32)])

    def loss(hidden, table, labels):
        return loss_of(hidden, table, labels, items, None, estimator)

    first = jnp.array([1.0, 0.0])
    losses, *gradients = value_and_gradients(loss, hidden, table, labels, first)
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses[1] > 0.1
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0, atol=1e-6)


@each_estimator
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_extreme_logits_are_finite_with_their_gradients(estimator, scale):
    hidden, table, labels = problem(5, 12, scale=scale)
    items = jnp.array([2, 2, 5, 7, 11], jnp.int32)

    def loss(hidden, table, labels):
        return loss_of(hidden, table, labels, items, jnp.full(5, -9.0), estimator)

    for values in value_and_gradients(loss, hidden, table, labels, jnp.ones(5)):
        assert np.isfinite(values).all()


def test_a_single_negative_tells_nothing_of_its_variance():
    hidden, table, labels = problem(5, 12)
    items = jnp.array([3], jnp.int32)
    np.testing.assert_array_equal(
        loss_of(hidden, table, labels, items, None, "bias-corrected"),
        loss_of(hidden, table, labels, items, None, "with-target"),
    )


# --- exact expectations, in a world so small that every draw can be listed ---

LOGITS = np.array([0.5, -1.0, 0.0, 1.5], np.float32)
"""Of everything that can be a label; the label is the last, as a trained model has it."""
CHANCES = {
    "uniform": np.full(4, 0.25),
    "log-uniform": np.log([2, 3 / 2, 4 / 3, 5 / 4]) / np.log(5),
}
each_proposal = pytest.mark.parametrize("proposal", CHANCES)

EXACT = float(np.log(np.exp(LOGITS).sum()) - LOGITS[-1])
EXACT_GRADIENT = np.exp(LOGITS) / np.exp(LOGITS).sum() - np.eye(4, dtype=np.float32)[-1]


def every_draw(chances, n_negatives):
    """All draws without regard to order: candidates [draw, negative], and their chances."""
    draws = list(combinations_with_replacement(range(4), n_negatives))
    counts = np.stack([np.bincount(draw, minlength=4) for draw in draws])
    orders = [factorial(n_negatives) // prod(map(factorial, row)) for row in counts.tolist()]
    return np.array(draws), np.array(orders, float) * np.prod(chances**counts, axis=1)


@partial(jax.jit, static_argnums=4)
@partial(jax.value_and_grad, has_aux=True)
def expected_loss(logits, items, log_expected, chances, estimator):
    """The mean over draws of the loss, and of exp(loss)."""
    n_draws = len(items)
    table = jnp.eye(FIRST_CANDIDATE + 4)[:, FIRST_CANDIDATE:]  # so that logits are the state
    labels = jnp.full(n_draws, FIRST_CANDIDATE + 3, jnp.int32)
    hidden = jnp.broadcast_to(logits, (n_draws, 4))
    losses = loss_of(hidden, table, labels, items, log_expected, estimator)
    return jnp.sum(chances * losses), jnp.sum(chances * jnp.exp(losses))


@cache
def expectation(estimator, proposal, n_negatives):
    """Expected loss, expected exp(loss), and the expected gradient in the four logits."""
    chances = CHANCES[proposal]
    draws, weights = every_draw(chances, n_negatives)
    assert weights.sum() == pytest.approx(1)
    log_expected = np.log(n_negatives * chances[draws]).astype(np.float32)
    items = (FIRST_CANDIDATE + draws).astype(np.int32)
    (loss, exponential), gradient = expected_loss(
        LOGITS, items, log_expected, weights.astype(np.float32), estimator
    )
    return float(loss), float(exponential), np.asarray(gradient)


def biases(estimator, proposal, sizes):
    """Bias of the loss and of the gradient (relative, and along the exact one), by size."""
    found = [expectation(estimator, proposal, size) for size in sizes]
    of_gradient = [(gradient - EXACT_GRADIENT) for _, _, gradient in found]
    norm = np.linalg.norm(EXACT_GRADIENT)
    return (
        np.array([loss - EXACT for loss, _, _ in found]),
        np.array([np.linalg.norm(bias) for bias in of_gradient]) / norm,
        np.array([bias @ EXACT_GRADIENT for bias in of_gradient]) / norm**2,
    )


@each_proposal
@pytest.mark.parametrize("n_negatives", [1, 4, 9])
def test_the_estimated_sum_has_no_bias(proposal, n_negatives):
    _, exponential, _ = expectation("with-target", proposal, n_negatives)
    assert exponential == pytest.approx(np.exp(EXACT), rel=1e-4)


@each_proposal
def test_the_loss_is_optimistic_by_one_over_the_size(proposal):
    loss, gradient, along = biases("with-target", proposal, [2, 8, 32])
    assert (loss < 0).all()
    assert (along < 0).all()  # the expected gradient is too short
    for bias in (loss, gradient):
        assert np.abs(bias[0]) > 3 * np.abs(bias[1]) > 9 * np.abs(bias[2])


@each_proposal
def test_the_correction_takes_the_first_order_off_loss_and_gradient(proposal):
    loss, gradient, _ = biases("bias-corrected", proposal, [8, 32])
    plain_loss, plain_gradient, _ = biases("with-target", proposal, [8, 32])
    assert (np.abs(loss) < np.abs(plain_loss) / [2, 8]).all()
    assert (gradient < plain_gradient / [2, 8]).all()


@each_proposal
def test_negatives_only_is_the_most_optimistic_and_stays_so(proposal):
    """It converges to the wrong limit: the label's term stands in for the mean of the others."""
    sizes = [2, 8, 32]
    loss, gradient, _ = biases("negatives-only", proposal, sizes)
    plain_loss, plain_gradient, _ = biases("with-target", proposal, sizes)
    assert (loss < plain_loss).all()
    assert (gradient > plain_gradient).all()
    others = np.exp(LOGITS[:-1]).sum() / (1 - CHANCES[proposal][-1])
    limit = np.log(others) - LOGITS[-1] - EXACT
    assert np.abs(loss[2] - limit) < np.abs(loss[1] - limit) < np.abs(loss[0] - limit)
    assert loss[2] == pytest.approx(limit, abs=0.02)

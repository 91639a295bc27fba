"""Learning-rate schedules, and AdamW against updates computed by hand."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from segue.config import OptimizerConfig
from segue.optimizers import learning_rate_schedule, optimizer

PARAMS = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[3.0]])}
GRADIENTS = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[-4.0]])}  # global norm 5


def rates(total_steps: int, **options) -> np.ndarray:
    rate = learning_rate_schedule(OptimizerConfig(learning_rate=1.0, **options), total_steps)
    return np.array([float(rate(step)) for step in range(total_steps)])


def first_updates(**options):
    tx = optimizer(OptimizerConfig(learning_rate=0.1, **options), total_steps=10)
    updates, _ = tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)
    return updates


# --- schedules ---


def test_constant_schedule():
    np.testing.assert_array_equal(rates(5), 1)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_schedule_falls_from_the_peak_towards_zero(kind):
    actual = rates(100, schedule=kind)
    assert actual[0] == 1
    assert (np.diff(actual) < 0).all()
    assert 0 < actual[-1] < 0.02, "the last step has a positive rate"


@pytest.mark.parametrize("kind", ["constant", "cosine", "linear"])
@pytest.mark.parametrize("warmup", [1, 2, 10])
def test_warm_up_is_linear_and_has_no_step_at_rate_zero(kind, warmup):
    actual = rates(30, schedule=kind, warmup_steps=warmup)
    np.testing.assert_allclose(actual[:warmup], np.arange(1, warmup + 1) / warmup, rtol=1e-6)
    np.testing.assert_allclose(actual[warmup:], rates(30 - warmup, schedule=kind), rtol=1e-5)


def test_warm_up_longer_than_the_run():
    actual = rates(3, warmup_steps=10, schedule="cosine")
    np.testing.assert_allclose(actual, [0.1, 0.2, 0.3], rtol=1e-6)


# --- AdamW ---


def test_first_update_is_the_rate_times_the_sign():
    updates = first_updates()
    np.testing.assert_allclose(updates["a"], [-0.1, 0], rtol=1e-5)
    np.testing.assert_allclose(updates["b"], [[0.1]], rtol=1e-5)


def test_weight_decay_is_decoupled_from_the_gradient():
    plain, decayed = first_updates(), first_updates(weight_decay=0.5)
    np.testing.assert_allclose(decayed["a"] - plain["a"], -0.1 * 0.5 * PARAMS["a"], rtol=1e-4)


def test_two_steps_by_hand():
    b1, b2, epsilon = 0.5, 0.8, 1e-3
    config = OptimizerConfig(learning_rate=0.1, beta1=b1, beta2=b2, epsilon=epsilon)
    tx = optimizer(config, total_steps=10)
    param = jnp.array([1.0])
    state = tx.init(param)
    expected, first, second = 1.0, 0.0, 0.0
    for step, gradient in enumerate([2.0, -1.0], start=1):
        updates, state = tx.update(jnp.array([gradient]), state, param)
        param = optax.apply_updates(param, updates)
        first = b1 * first + (1 - b1) * gradient
        second = b2 * second + (1 - b2) * gradient**2
        corrected = first / (1 - b1**step), second / (1 - b2**step)
        expected -= 0.1 * corrected[0] / (np.sqrt(corrected[1]) + epsilon)
        assert float(param[0]) == pytest.approx(expected, rel=1e-5)


def test_clipping_scales_all_gradients_by_one_factor():
    """The epsilon is large, because AdamW is otherwise invariant to the gradient's scale."""
    clipped = first_updates(clip_norm=1.0, epsilon=1.0)
    np.testing.assert_allclose(clipped["a"], [-0.1 * 0.6 / 1.6, 0], rtol=1e-4)
    np.testing.assert_allclose(clipped["b"], [[0.1 * 0.8 / 1.8]], rtol=1e-4)


def test_clipping_leaves_small_gradients_unchanged():
    for clipped, plain in zip(
        jax.tree.leaves(first_updates(clip_norm=5.1, epsilon=1.0)),
        jax.tree.leaves(first_updates(epsilon=1.0)),
        strict=True,
    ):
        np.testing.assert_array_equal(clipped, plain)


OPTIONS = [
    {},
    {"schedule": "cosine", "warmup_steps": 3},
    {"schedule": "linear", "clip_norm": 1.0, "weight_decay": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_keeps_dtypes_and_compiles_once(options):
    tx = optimizer(OptimizerConfig(**options), total_steps=10)
    update = jax.jit(tx.update)
    params, state = PARAMS, tx.init(PARAMS)
    structure = jax.tree.structure(state)
    for _ in range(3):
        updates, state = update(GRADIENTS, state, params)
        params = optax.apply_updates(params, updates)
    assert jax.tree.structure(state) == structure
    assert jax.tree.map(lambda x: x.dtype, params) == jax.tree.map(lambda x: x.dtype, PARAMS)
    assert update._cache_size() == 1


@pytest.mark.parametrize("options", OPTIONS)
def test_a_step_compiled_for_one_number_of_steps_serves_any(options):
    update = jax.jit(optimizer(OptimizerConfig(**options), total_steps=10).update)
    longer = optimizer(OptimizerConfig(**{**options, "warmup_steps": 20}), total_steps=100)
    state = longer.init(PARAMS)
    expected, expected_state = longer.update(GRADIENTS, state, PARAMS)
    actual, actual_state = update(GRADIENTS, state, PARAMS)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), actual, expected)
    jax.tree.map(np.testing.assert_array_equal, actual_state[-1], expected_state[-1])
    text = [
        update.lower(GRADIENTS, tx.init(PARAMS), PARAMS).as_text()
        for tx in (longer, optimizer(OptimizerConfig(**options), total_steps=10))
    ]
    assert text[0] == text[1], "the program does not contain the number of steps"


@pytest.mark.parametrize("options", OPTIONS)
def test_minimises_a_quadratic(options):
    tx = optimizer(OptimizerConfig(learning_rate=0.1, **options), total_steps=200)
    param = jnp.array([1.0, -2.0])

    def step(carry, _):
        param, state = carry
        updates, state = tx.update(2 * param, state, param)
        return (optax.apply_updates(param, updates), state), None

    (param, _), _ = jax.lax.scan(step, (param, tx.init(param)), length=200)
    np.testing.assert_allclose(param, 0, atol=0.02)

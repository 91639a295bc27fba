"""Sparse Adam: equal to AdamW for rows updated at every step, with update counts per row."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from segue.config import OptimizerConfig
from segue.optimizers import optimizer, scale_by_rowwise_adam, scale_by_sparse_adam, sparse_table_of

EMBEDDINGS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
STEPS = 7


def random_gradients(seed: int, shape: tuple[int, ...] = (5, 3)) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(np.float32) for _ in range(STEPS)]


def params_after(tx: optax.GradientTransformation, params, steps):
    """Parameters after one step per gradient."""

    @jax.jit
    def step(params, state, gradient):
        updates, state = tx.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    state = tx.init(params)
    for gradient in steps:
        params, state = step(params, state, gradient)
    return params


def initial_params():
    return {"item_embeddings": jnp.array(EMBEDDINGS), "dense": jnp.array([1.0, -2.0])}


@pytest.mark.parametrize("clip", [None, 0.5])
def test_rows_updated_at_every_step_are_updated_as_by_adamw(clip):
    options = {"learning_rate": 0.05, "weight_decay": 0.1, "schedule": "cosine", "clip_norm": clip}
    steps = [
        {"item_embeddings": jnp.array(rows), "dense": jnp.array(dense)}
        for rows, dense in zip(random_gradients(1), random_gradients(2, (2,)), strict=True)
    ]
    dense = params_after(optimizer(OptimizerConfig(**options), STEPS), initial_params(), steps)
    sparse = params_after(
        optimizer(OptimizerConfig(embedding_updates="sparse", **options), STEPS),
        initial_params(),
        steps,
    )
    for name in dense:
        np.testing.assert_allclose(sparse[name], dense[name], rtol=2e-6, atol=1e-7)


def slow_adam(gradients: list[np.ndarray]) -> np.ndarray:
    """The last update of one row by the formulas of Adam, in double precision."""
    mean = square = np.zeros(3)
    for gradient in gradients:
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
    n = len(gradients)
    return mean / (1 - 0.9**n) / (np.sqrt(square / (1 - 0.999**n)) + 1e-8)


def test_bias_correction_uses_the_update_count_of_each_row():
    tx = scale_by_sparse_adam()
    steps, state = random_gradients(3), jax.tree.map(np.array, tx.init(jnp.array(EMBEDDINGS)))
    update = jax.jit(tx.update)
    rows_by_step = [[0, 1], [0], [0, 2], [0]]
    last_updates = {}
    for rows, gradient in zip(rows_by_step, steps, strict=False):
        state_of_rows = jax.tree.map(lambda leaf, rows=rows: leaf[rows], state)
        updates, state_of_rows = update(gradient[rows], state_of_rows)
        for leaf, new in zip(jax.tree.leaves(state), jax.tree.leaves(state_of_rows), strict=True):
            leaf[rows] = new
        last_updates.update(zip(rows, np.asarray(updates), strict=True))
    np.testing.assert_allclose(last_updates[0], slow_adam([g[0] for g in steps[:4]]), rtol=1e-4)
    np.testing.assert_allclose(last_updates[1], slow_adam([steps[0][1]]), rtol=1e-4)
    np.testing.assert_allclose(last_updates[2], slow_adam([steps[2][2]]), rtol=1e-4)
    np.testing.assert_allclose(np.abs(last_updates[2]), 1, rtol=1e-4)
    np.testing.assert_array_equal(state.update_counts, [4, 1, 1, 0, 0])


def test_learning_rate_scale_applies_to_sparse_updates_only():
    steps = [{"item_embeddings": jnp.array(random_gradients(1)[0]), "dense": jnp.array([1.0, 2.0])}]
    options = {"embedding_updates": "sparse", "weight_decay": 0.0}
    unscaled = params_after(optimizer(OptimizerConfig(**options), STEPS), initial_params(), steps)
    scaled = params_after(
        optimizer(OptimizerConfig(**options, sparse_learning_rate_scale=3), STEPS),
        initial_params(),
        steps,
    )
    np.testing.assert_array_equal(unscaled["dense"], scaled["dense"])
    update = np.asarray(unscaled["item_embeddings"]) - EMBEDDINGS
    np.testing.assert_allclose(scaled["item_embeddings"], EMBEDDINGS + 3 * update, atol=1e-6)


def test_rowwise_adam_scales_rows_to_a_root_mean_square_of_one():
    tx = scale_by_rowwise_adam()
    gradient = jnp.array([[3.0, 4.0], [0.0, 0.0], [1e-3, 0.0]])
    updates, state = jax.jit(tx.update)(gradient, tx.init(gradient))
    updates = np.asarray(updates)
    np.testing.assert_allclose(np.sqrt(np.square(updates[0]).mean()), 1, rtol=1e-5)
    np.testing.assert_allclose(updates[0, 0] / updates[0, 1], 0.75, rtol=1e-5)
    np.testing.assert_array_equal(updates[1], 0)
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 2 * len(gradient)


def test_rowwise_second_moment_is_an_exponential_moving_average():
    tx = scale_by_rowwise_adam(beta2=0.5)
    state = tx.init(jnp.zeros((1, 2)))
    for value in (4.0, 2.0):
        updates, state = tx.update(jnp.full((1, 2), value), state)
    expected = (0.5 * 0.5 * 16 + 0.5 * 4) / (1 - 0.5**2)
    np.testing.assert_allclose(updates, 2 / np.sqrt(expected), rtol=1e-5)


def test_sparse_table_of_recognises_optimizer_state():
    state = optimizer(OptimizerConfig(embedding_updates="sparse"), 10).init(initial_params())
    shapes = [
        leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if sparse_table_of(path)
    ]
    assert sorted(shapes) == [(5,), (5, 3), (5, 3)]

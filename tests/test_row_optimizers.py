"""Moments kept by rows: AdamW where every step touches a row, and each row's own time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from segue.config import OptimizerConfig
from segue.optimizers import optimizer, scale_by_lean_rows, scale_by_rows, table_of

TABLE = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
STEPS = 7


def gradients(seed: int, shape: tuple[int, ...] = (5, 3)) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(np.float32) for _ in range(STEPS)]


def after(tx: optax.GradientTransformation, start, steps):
    @jax.jit
    def step(start, state, gradient):
        updates, state = tx.update(gradient, state, start)
        return optax.apply_updates(start, updates), state

    state = tx.init(start)
    for gradient in steps:
        start, state = step(start, state, gradient)
    return start


def params():
    return {"item_table": jnp.array(TABLE), "dense": jnp.array([1.0, -2.0])}


@pytest.mark.parametrize("clip", [None, 0.5])
def test_rows_that_every_step_touches_are_updated_as_adamw_does(clip):
    options = {"learning_rate": 0.05, "weight_decay": 0.1, "schedule": "cosine", "clip_norm": clip}
    steps = [
        {"item_table": jnp.array(table), "dense": jnp.array(dense)}
        for table, dense in zip(gradients(1), gradients(2, (2,)), strict=True)
    ]
    dense = after(optimizer(OptimizerConfig(**options), STEPS), params(), steps)
    sparse = after(
        optimizer(OptimizerConfig(item_table="sparse", **options), STEPS), params(), steps
    )
    for name in dense:
        np.testing.assert_allclose(sparse[name], dense[name], rtol=2e-6, atol=1e-7)


def slow_adam(gradients: list[np.ndarray]) -> np.ndarray:
    """The last update of one row by the formulas, in double precision."""
    mean = square = np.zeros(3)
    for gradient in gradients:
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
    n = len(gradients)
    return mean / (1 - 0.9**n) / (np.sqrt(square / (1 - 0.999**n)) + 1e-8)


def test_a_row_counts_its_own_updates_only():
    tx = scale_by_rows()
    steps, state = gradients(3), jax.tree.map(np.array, tx.init(jnp.array(TABLE)))
    update = jax.jit(tx.update)
    touched = [[0, 1], [0], [0, 2], [0]]
    updates = {}
    for rows, gradient in zip(touched, steps, strict=False):
        taken = jax.tree.map(lambda leaf, rows=rows: leaf[rows], state)
        found, taken = update(gradient[rows], taken)
        for leaf, new in zip(jax.tree.leaves(state), jax.tree.leaves(taken), strict=True):
            leaf[rows] = new
        updates.update(zip(rows, np.asarray(found), strict=True))
    np.testing.assert_allclose(updates[0], slow_adam([g[0] for g in steps[:4]]), rtol=1e-4)
    np.testing.assert_allclose(updates[1], slow_adam([steps[0][1]]), rtol=1e-4)
    np.testing.assert_allclose(updates[2], slow_adam([steps[2][2]]), rtol=1e-4)
    np.testing.assert_allclose(np.abs(updates[2]), 1, rtol=1e-4)
    np.testing.assert_array_equal(state.touches, [4, 1, 1, 0, 0])


def test_the_rate_of_rows_is_theirs_alone():
    steps = [{"item_table": jnp.array(gradients(1)[0]), "dense": jnp.array([1.0, 2.0])}]
    options = {"item_table": "sparse", "weight_decay": 0.0}
    once = after(optimizer(OptimizerConfig(**options), STEPS), params(), steps)
    thrice = after(optimizer(OptimizerConfig(**options, row_rate=3), STEPS), params(), steps)
    np.testing.assert_array_equal(once["dense"], thrice["dense"])
    moved = np.asarray(once["item_table"]) - TABLE
    np.testing.assert_allclose(thrice["item_table"], TABLE + 3 * moved, atol=1e-6)


def test_lean_rows_are_scaled_to_a_root_mean_square_of_one():
    tx = scale_by_lean_rows()
    gradient = jnp.array([[3.0, 4.0], [0.0, 0.0], [1e-3, 0.0]])
    updates, state = jax.jit(tx.update)(gradient, tx.init(gradient))
    updates = np.asarray(updates)
    np.testing.assert_allclose(np.sqrt(np.square(updates[0]).mean()), 1, rtol=1e-5)
    np.testing.assert_allclose(updates[0, 0] / updates[0, 1], 0.75, rtol=1e-5)
    np.testing.assert_array_equal(updates[1], 0)
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 2 * len(gradient)


def test_the_lean_second_moment_is_a_mean_that_forgets():
    tx, state = scale_by_lean_rows(beta2=0.5), None
    state = tx.init(jnp.zeros((1, 2)))
    for size in (4.0, 2.0):
        updates, state = tx.update(jnp.full((1, 2), size), state)
    expected = (0.5 * 0.5 * 16 + 0.5 * 4) / (1 - 0.5**2)
    np.testing.assert_allclose(updates, 2 / np.sqrt(expected), rtol=1e-5)


def test_tables_are_found_by_name_in_parameters_and_in_moments():
    state = optimizer(OptimizerConfig(item_table="sparse"), 10).init(params())
    found = [
        leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(state) if table_of(path)
    ]
    assert sorted(found) == [(5,), (5, 3), (5, 3)]

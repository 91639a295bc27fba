"""Adaptive moments for tables of which a step touches a few rows only.

Each row keeps its own time. Its moments move, its bias corrections count and its weights
decay when the row is touched, and at no other step: what a batch does not touch stays as it
is, bit for bit, and need not be read. A row that every step touches is updated as AdamW does
it. A row touched now and then differs from dense AdamW in two ways: it does not drift on
between its touches by what is left of its momentum, and it decays by the learning rate of the
steps that touch it alone. Where a global count of steps corrects the bias instead, the first
update of a row that comes late is too large by more than three times.

Transformations of optax, over trees whose arrays have one row each along their first axis:
whole tables, or the rows that a step touches with the state of these.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, Real

from segue.bits import STORED, is_halved
from segue.config import Precision

Table = Literal["items", "item codes", "sequence codes"]
"""Rows of which kind a table has: tables of one kind are touched in the same rows."""

TABLES: dict[tuple[str, ...], Table] = {
    ("item_table",): "items",
    ("free_output",): "items",
    ("item_codes", "code_table"): "item codes",
    ("sequence_codes", "code_table"): "sequence codes",
}
"""Parameters that are tables, by their names in the model."""


def table_of(path: tuple[Any, ...]) -> Table | None:
    """Which table a leaf of a tree is, or part of an optimizer's state for; None for neither."""
    names = {getattr(step, "key", None) for step in path}
    return next((table for parts, table in TABLES.items() if names.issuperset(parts)), None)


class RowMoments(NamedTuple):
    """Moments of AdamW, and how often each row was touched."""

    touches: optax.Params
    mean: optax.Params
    square: optax.Params


class LeanRowMoments(NamedTuple):
    """One second moment a row, and how often each was touched."""

    touches: optax.Params
    square: optax.Params


def scale_by_rows(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    precision: Precision = "float32",
) -> optax.GradientTransformation:
    """Adam's direction, each row by its own count of updates.

    State: two arrays of the parameters' shape, and an int32 a row.

    Args:
        precision: of the state as it is kept; it comes and goes as float32.

    Source: Kingma and Ba, Adam, 2015, applied to rows as the sparse Adam of deep learning
    libraries is, save for the count.
    """

    def init(params: optax.Params) -> RowMoments:
        def zeros() -> optax.Params:
            return jax.tree.map(lambda p: jnp.zeros(p.shape, STORED[precision]), params)

        return RowMoments(jax.tree.map(_no_touches, params), zeros(), zeros())

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        del params
        assert isinstance(state, RowMoments)
        assert not any(map(is_halved, jax.tree.leaves(state.mean))), "taken rows are widened"
        touches = jax.tree.map(lambda count: count + 1, state.touches)
        mean = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state.mean, updates)
        square = jax.tree.map(
            lambda v, g: beta2 * v + (1 - beta2) * jnp.square(g), state.square, updates
        )
        updates = jax.tree.map(
            lambda n, m, v: _corrected(m, beta1, n) / (jnp.sqrt(_corrected(v, beta2, n)) + epsilon),
            touches,
            mean,
            square,
        )
        return updates, RowMoments(touches, mean, square)

    return optax.GradientTransformation(init, update)


def scale_by_lean_rows(beta2: float = 0.999, epsilon: float = 1e-8) -> optax.GradientTransformation:
    """The gradient over the root mean square of its row's gradients, and no momentum.

    State: a float32 and an int32 a row, so that a table costs little more than itself.

    Source: the second moment shared by a row is that of row-wise Adagrad (Naumov et al., Deep
    Learning Recommendation Model, 2019), decaying as in Adam instead of summed up.
    """

    def init(params: optax.Params) -> LeanRowMoments:
        squares = jax.tree.map(lambda p: jnp.zeros(len(p), jnp.float32), params)
        return LeanRowMoments(jax.tree.map(_no_touches, params), squares)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        del params
        assert isinstance(state, LeanRowMoments)
        touches = jax.tree.map(lambda count: count + 1, state.touches)
        square = jax.tree.map(
            lambda v, g: beta2 * v + (1 - beta2) * jnp.square(g).mean(axis=1),
            state.square,
            updates,
        )
        updates = jax.tree.map(
            lambda n, v, g: g / (jnp.sqrt(_corrected(v, beta2, n)) + epsilon)[:, None],
            touches,
            square,
            updates,
        )
        return updates, LeanRowMoments(touches, square)

    return optax.GradientTransformation(init, update)


def _no_touches(params: Real[Array, "rows dim"]) -> Int32[Array, " rows"]:
    return jnp.zeros(len(params), jnp.int32)


def _corrected(
    moment: Float[Array, "*axes"], beta: float, touches: Int32[Array, " rows"]
) -> Float[Array, "*axes"]:
    """A moment that began at zero, put right for how often it was updated."""
    weight = 1 - jnp.float32(beta) ** touches.astype(jnp.float32)
    return moment / weight.reshape(-1, *(1,) * (moment.ndim - 1))

"""Sparse Adam: optimizer state per embedding row, for rows that only some steps update.

A row's moments, bias corrections and weight decay advance only at the steps that update it.
All other rows stay bit-identical, so a step need not read them. A row updated at every step is
updated exactly as by AdamW. For a row updated now and then, there are two differences from
dense AdamW: remaining momentum does not move it between its updates, and it decays by the
learning rates of its own steps alone. Each row counts its own updates for the bias correction:
with one count for all rows, the first update of a row that appears late would be more than
three times too large.

The functions are gradient transformations of optax over trees of arrays whose first axis is rows:
complete embeddings, or the rows that a step updates with the state of these rows.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, Real

from segue.bfloat16 import STORAGE_DTYPES, is_bfloat16
from segue.config import Precision

SparseTable = Literal["items", "item features", "sequence features"]
"""What the rows of an embedding table stand for. Tables of the same kind are updated at the same
rows: the input and the untied output embeddings of items, for example."""

SPARSE_TABLES: dict[tuple[str, ...], SparseTable] = {
    ("item_embeddings",): "items",
    ("untied_output_embeddings",): "items",
    ("item_feature_embeddings", "embeddings"): "item features",
    ("sequence_feature_embeddings", "embeddings"): "sequence features",
}
"""The parameters that can have sparse updates, by their path in the model."""


def sparse_table_of(path: tuple[Any, ...]) -> SparseTable | None:
    """Which embedding table a leaf of a tree belongs to; None if to none.

    Args:
        path: from the root to the leaf, in a tree of parameters or of optimizer state.
    """
    names = {getattr(step, "key", None) for step in path}
    return next((table for keys, table in SPARSE_TABLES.items() if names.issuperset(keys)), None)


class SparseAdamState(NamedTuple):
    """First and second moments of every parameter, and the number of updates of each row."""

    update_counts: optax.Params
    mean: optax.Params
    square: optax.Params


class RowwiseAdamState(NamedTuple):
    """State of row-wise Adam: one second moment and one update count per embedding row."""

    update_counts: optax.Params
    square: optax.Params


def scale_by_sparse_adam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    precision: Precision = "float32",
) -> optax.GradientTransformation:
    """Rescale gradients as Adam does, with the bias correction of each row by its own count.

    The state is two arrays of the parameters' shape, and one int32 per row.

    Args:
        precision: of the stored moments; ``update`` takes and returns them as float32.

    Source: Kingma and Ba, Adam, 2015, applied to rows like the sparse Adam of deep learning
    libraries, except for the count per row.
    """

    def init(params: optax.Params) -> SparseAdamState:
        def zeros() -> optax.Params:
            return jax.tree.map(lambda p: jnp.zeros(p.shape, STORAGE_DTYPES[precision]), params)

        return SparseAdamState(jax.tree.map(_zero_counts, params), zeros(), zeros())

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        del params
        assert isinstance(state, SparseAdamState)
        assert not any(map(is_bfloat16, jax.tree.leaves(state.mean))), "expected float32 moments"
        counts = jax.tree.map(lambda count: count + 1, state.update_counts)
        mean = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state.mean, updates)
        square = jax.tree.map(
            lambda v, g: beta2 * v + (1 - beta2) * jnp.square(g), state.square, updates
        )
        updates = jax.tree.map(
            lambda n, m, v: _corrected(m, beta1, n) / (jnp.sqrt(_corrected(v, beta2, n)) + epsilon),
            counts,
            mean,
            square,
        )
        return updates, SparseAdamState(counts, mean, square)

    return optax.GradientTransformation(init, update)


def scale_by_rowwise_adam(
    beta2: float = 0.999, epsilon: float = 1e-8
) -> optax.GradientTransformation:
    """Divide the gradient of each row by its running root mean square, without momentum.

    The state is one float32 and one int32 per row, little compared with the embeddings.

    Source: one second moment per row as in row-wise Adagrad (Naumov et al., Deep Learning
    Recommendation Model, 2019), but decaying as in Adam instead of summed.
    """

    def init(params: optax.Params) -> RowwiseAdamState:
        squares = jax.tree.map(lambda p: jnp.zeros(len(p), jnp.float32), params)
        return RowwiseAdamState(jax.tree.map(_zero_counts, params), squares)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        del params
        assert isinstance(state, RowwiseAdamState)
        counts = jax.tree.map(lambda count: count + 1, state.update_counts)
        square = jax.tree.map(
            lambda v, g: beta2 * v + (1 - beta2) * jnp.square(g).mean(axis=1),
            state.square,
            updates,
        )
        updates = jax.tree.map(
            lambda n, v, g: g / (jnp.sqrt(_corrected(v, beta2, n)) + epsilon)[:, None],
            counts,
            square,
            updates,
        )
        return updates, RowwiseAdamState(counts, square)

    return optax.GradientTransformation(init, update)


def _zero_counts(params: Real[Array, "rows dim"]) -> Int32[Array, " rows"]:
    return jnp.zeros(len(params), jnp.int32)


def _corrected(
    moment: Float[Array, "*axes"], beta: float, update_counts: Int32[Array, " rows"]
) -> Float[Array, "*axes"]:
    """A moment after Adam's correction for its start at zero, by the update count of its row."""
    weight = 1 - jnp.float32(beta) ** update_counts.astype(jnp.float32)
    return moment / weight.reshape(-1, *(1,) * (moment.ndim - 1))

"""Vectors of items and sequences: tables, and sums of what is known of a row."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32, Key, Real

from segue.bits import STORED, stored
from segue.config import ModelConfig, Precision
from segue.features import Bag

VECTOR_SCALE = 0.02
"""What projected vectors of the items are multiplied with."""


ROWS_PER_BLOCK = 1 << 17
"""Rows of a fresh table drawn at a time: 64 MiB of random bits for 128 dimensions."""


class CodeSums(nnx.Module):
    """One vector a row from what is known of it: embeddings of codes, and numbers projected."""

    def __init__(
        self, codes: int, numbers: int, width: int, config: ModelConfig, *, rngs: nnx.Rngs
    ) -> None:
        self.code_table = fresh_table(codes, width, config, rngs)
        linear = nnx.Linear(numbers, width, use_bias=False, rngs=rngs) if numbers else None
        self.project = linear

    def __call__(
        self, bag: Bag, vectors: Float[Array, "*rows numbers"] | None = None
    ) -> Float[Array, "*rows dim"]:
        """The weighted sum of each row's codes, plus its projected vector if there is one."""
        codes, weights = jnp.asarray(bag.codes), jnp.asarray(bag.weights)
        sums = jnp.einsum("...s,...sd->...d", weights, self.code_table[...][codes])
        if self.project is None or vectors is None:
            return sums
        # Projected to the size of a fresh embedding, so that neither drowns the other.
        return sums + self.project(vectors) * VECTOR_SCALE


def fresh_table(
    rows: int, width: int, config: ModelConfig, rngs: nnx.Rngs, precision: Precision = "float32"
) -> nnx.Param:
    """Embeddings drawn as the configuration says; of many rows, some at a time."""
    key, dtype = rngs.params(), STORED[precision]
    if rows <= ROWS_PER_BLOCK:
        return nnx.Param(stored(_draw(key, rows, width, config), dtype))
    return nnx.Param(_draw_by_blocks(key, rows, width, config, dtype))


def _draw(
    key: Key[Array, ""], rows: int, width: int, config: ModelConfig
) -> Float[Array, "rows dim"]:
    shape, scale = (rows, width), config.initial_scale
    if config.initialisation == "uniform":
        return jax.random.uniform(key, shape, minval=-scale, maxval=scale)
    return scale * jax.random.normal(key, shape)


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _draw_by_blocks(
    key: Key[Array, ""], rows: int, width: int, config: ModelConfig, dtype: jnp.dtype
) -> Real[Array, "rows dim"]:
    """The same without the random bits of all rows at once, several times the table's size."""

    def fill(number: Int32[Array, ""], table: Real[Array, "rows dim"]) -> Real[Array, "rows dim"]:
        block = _draw(jax.random.fold_in(key, number), ROWS_PER_BLOCK, width, config)
        # The last block begins where it fits, over rows of the one before.
        start = jnp.minimum(number * ROWS_PER_BLOCK, rows - ROWS_PER_BLOCK)
        return jax.lax.dynamic_update_slice_in_dim(table, stored(block, dtype), start, axis=0)

    return jax.lax.fori_loop(0, -(-rows // ROWS_PER_BLOCK), fill, jnp.zeros((rows, width), dtype))

"""Embedding tables and their initialisation, and weighted sums of feature embeddings."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32, Key, Real

from segue.bfloat16 import STORAGE_DTYPES, to_storage
from segue.config import ModelConfig, Precision
from segue.features import FeatureIds

VECTOR_SCALE = 0.02
"""Factor of projected item vectors. It is the scale of newly initialised embeddings, so that
neither part of the sum dominates."""

ROWS_PER_BLOCK = 1 << 17
"""Embedding rows initialised at a time: 64 MiB of random bits for 128 dimensions."""


class EmbeddingBag(nnx.Module):
    """One vector per item or sequence from its features (side information).

    It is the sum of the embeddings of its feature ids with the weights of ``FeatureIds``, plus a
    learned projection of its precomputed item vector, where there is one.
    """

    def __init__(
        self, n_ids: int, vector_width: int, width: int, config: ModelConfig, *, rngs: nnx.Rngs
    ) -> None:
        """Create the embeddings and, if there are item vectors, their projection.

        Args:
            n_ids: number of feature ids.
            vector_width: dimensions of the item vectors; 0 without any.
            width: dimensions of the result.
        """
        self.embeddings = initial_embeddings(n_ids, width, config, rngs)
        linear = (
            nnx.Linear(vector_width, width, use_bias=False, rngs=rngs) if vector_width else None
        )
        self.project = linear

    def __call__(
        self, feature_ids: FeatureIds, vectors: Float[Array, "*rows vector_dim"] | None = None
    ) -> Float[Array, "*rows dim"]:
        """The weighted sum of each row's embeddings, plus its projected vector if given."""
        ids, weights = jnp.asarray(feature_ids.ids), jnp.asarray(feature_ids.weights)
        sums = jnp.einsum("...s,...sd->...d", weights, self.embeddings[...][ids])
        if self.project is None or vectors is None:
            return sums
        return sums + self.project(vectors) * VECTOR_SCALE


def initial_embeddings(
    rows: int, width: int, config: ModelConfig, rngs: nnx.Rngs, precision: Precision = "float32"
) -> nnx.Param:
    """Random embeddings with the distribution and scale that the configuration sets.

    Tables of more than ``ROWS_PER_BLOCK`` rows are drawn in blocks, to limit memory.

    Args:
        precision: storage precision of the embeddings.
    """
    key, dtype = rngs.params(), STORAGE_DTYPES[precision]
    if rows <= ROWS_PER_BLOCK:
        return nnx.Param(to_storage(_draw(key, rows, width, config), dtype))
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
    """Draw embeddings in blocks. The random bits of all rows at once would take several times
    the memory of the table."""

    def fill(block: Int32[Array, ""], table: Real[Array, "rows dim"]) -> Real[Array, "rows dim"]:
        values = _draw(jax.random.fold_in(key, block), ROWS_PER_BLOCK, width, config)
        # The last block ends with the table, so it overwrites rows of the block before.
        start = jnp.minimum(block * ROWS_PER_BLOCK, rows - ROWS_PER_BLOCK)
        return jax.lax.dynamic_update_slice_in_dim(table, to_storage(values, dtype), start, axis=0)

    return jax.lax.fori_loop(0, -(-rows // ROWS_PER_BLOCK), fill, jnp.zeros((rows, width), dtype))

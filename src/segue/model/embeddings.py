"""Vectors of items and sequences: tables, and sums of what is known of a row."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from segue.config import ModelConfig
from segue.features import Bag

VECTOR_SCALE = 0.02
"""What projected vectors of the items are multiplied with."""


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


def fresh_table(rows: int, width: int, config: ModelConfig, rngs: nnx.Rngs) -> nnx.Param:
    """Embeddings drawn as the configuration says."""
    shape, scale = (rows, width), config.initial_scale
    if config.initialisation == "uniform":
        return nnx.Param(jax.random.uniform(rngs.params(), shape, minval=-scale, maxval=scale))
    return nnx.Param(scale * jax.random.normal(rngs.params(), shape))

"""The key-value cache: keys and values of attention, kept so that a position is computed once."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float, Int32


class LayerCache(NamedTuple):
    """Keys and values of one attention layer, in arrays of fixed size.

    Slot *p* of a row has those of position *p*. Slots that are not written yet may have any finite
    value: a query attends to the slots up to its own position only.
    """

    keys: Float[Array, "batch heads slots head_dim"]
    values: Float[Array, "batch heads slots head_dim"]

    def write(
        self,
        keys: Float[Array, "batch length heads head_dim"],
        values: Float[Array, "batch length heads head_dim"],
        positions: Int32[Array, "batch length"],
    ) -> LayerCache:
        """Put keys and values at some positions of each row; those beyond the slots are dropped."""
        at = (jnp.arange(len(positions))[:, None], slice(None), positions)
        return LayerCache(
            self.keys.at[at].set(keys, mode="drop"), self.values.at[at].set(values, mode="drop")
        )


KVCache: TypeAlias = tuple[LayerCache, ...]
"""The cache of each layer, from the first one."""

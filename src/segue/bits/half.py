"""Numbers in half the bits: bfloat16, kept as whole numbers that hold its bits.

To update some rows of an array of bfloat16 XLA widens all of it on a CPU, which takes three
times the memory and hundreds of times as long. Whole numbers it updates in place.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Key, Real, UInt16

from segue.bits.random_bits import random_bits

STORED = {"float32": jnp.dtype("float32"), "bfloat16": jnp.dtype("uint16")}
"""The type of an array whose numbers are kept with a precision."""


def is_halved(x: Array) -> bool:
    """Whether an array holds the upper halves of its numbers."""
    return x.dtype == STORED["bfloat16"]


def widened(x: Real[Array, "*axes"]) -> Real[Array, "*axes"]:
    """The numbers of an array, as float32 where they were halved."""
    if not is_halved(x):
        return x
    return jax.lax.bitcast_convert_type(x.astype(jnp.uint32) << 16, jnp.float32)


def stored(x: Float32[Array, "*axes"], dtype: jnp.dtype) -> Real[Array, "*axes"]:
    """Numbers as an array of one of the types of ``STORED`` holds them."""
    return halved(x) if dtype == STORED["bfloat16"] else x


def halved(x: Float32[Array, "*axes"]) -> UInt16[Array, "*axes"]:
    """Each number rounded to the nearest."""
    return jax.lax.bitcast_convert_type(x.astype(jnp.bfloat16), jnp.uint16)


def halved_at_random(x: Float32[Array, "*axes"], key: Key[Array, ""]) -> UInt16[Array, "*axes"]:
    """Each number rounded up or down, to the nearer neighbour more often, so that the mean is
    the number itself and small steps add up.

    Source: Gupta et al., Deep learning with limited numerical precision, ICML 2015.
    """
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    # What a random lower half carries over rounds up, as often as the lower half is large.
    carried = bits + (random_bits(x.size, key).reshape(x.shape) >> 16)
    rounded = (carried >> 16).astype(jnp.uint16)
    return jnp.where(jnp.isfinite(x), rounded, halved(x))

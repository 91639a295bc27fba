"""bfloat16 storage as uint16 bit patterns, with rounding to nearest and stochastic rounding.

The arrays are uint16 because of XLA on CPU: to update some rows of a bfloat16 array, it
converts the whole array to float32, which takes three times the memory and hundreds of times
as long. Arrays of integers are updated in place.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Key, Real, UInt16

from segue.random_bits import random_bits

STORAGE_DTYPES = {"float32": jnp.dtype("float32"), "bfloat16": jnp.dtype("uint16")}
"""The dtype of a stored array, by its precision."""


def is_bfloat16(x: Array) -> bool:
    """Whether an array contains bfloat16 bit patterns."""
    return x.dtype == STORAGE_DTYPES["bfloat16"]


def to_float32(x: Real[Array, "*axes"]) -> Real[Array, "*axes"]:
    """Convert bfloat16 bit patterns to float32; any other array is returned unchanged."""
    if not is_bfloat16(x):
        return x
    return jax.lax.bitcast_convert_type(x.astype(jnp.uint32) << 16, jnp.float32)


@jax.jit
def largest_value(x: Real[Array, "*axes"]) -> Float32[Array, ""]:
    """The largest absolute value of an array; NaN or infinite if one of its numbers is.

    Args:
        x: float32, or bfloat16 bit patterns.
    """
    return jnp.abs(to_float32(x)).max(initial=0)


def to_storage(x: Float32[Array, "*axes"], dtype: jnp.dtype) -> Real[Array, "*axes"]:
    """Convert float32 to one of the dtypes of ``STORAGE_DTYPES``."""
    return to_bfloat16(x) if dtype == STORAGE_DTYPES["bfloat16"] else x


def to_bfloat16(x: Float32[Array, "*axes"]) -> UInt16[Array, "*axes"]:
    """Round each number to the nearest bfloat16, as bit patterns."""
    return jax.lax.bitcast_convert_type(x.astype(jnp.bfloat16), jnp.uint16)


def stochastic_round(x: Float32[Array, "*axes"], key: Key[Array, ""]) -> UInt16[Array, "*axes"]:
    """Round each number up or down to a neighbouring bfloat16, at random, as bit patterns.

    The probability of each neighbour grows with its closeness, so that the expected value is
    the number itself. Repeated updates smaller than half the spacing of bfloat16 then add up;
    rounding to nearest would lose them all.

    Source: Gupta et al., Deep learning with limited numerical precision, ICML 2015.
    """
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    # Adding 16 random bits carries into the upper half with a probability proportional to the
    # lower half, which is then cut off.
    with_carry = bits + (random_bits(x.size, key).reshape(x.shape) >> 16)
    rounded = (with_carry >> 16).astype(jnp.uint16)
    return jnp.where(jnp.isfinite(x), rounded, to_bfloat16(x))

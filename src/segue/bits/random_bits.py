"""Many random bits for little: for masks and for rounding, where a hash is random enough."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, UInt32


def random_bits(n: int, key: Key[Array, ""]) -> UInt32[Array, " n"]:
    """``n`` well mixed numbers: a counter from a random start on, each put through a hash.

    The finaliser of MurmurHash3 (Appleby, 2011). JAX's own generators give better numbers
    than a mask needs, at twenty times the cost on a CPU, where that was most of dropout.
    """
    x = jax.lax.iota(jnp.uint32, n) * jnp.uint32(0x9E3779B9) + jax.random.bits(key)
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)

"""A fast hash-based generator of random bits, for dropout masks and stochastic rounding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, UInt32


def random_bits(n: int, key: Key[Array, ""]) -> UInt32[Array, " n"]:
    """``n`` random integers of 32 bits: a counter from a random start, hashed.

    JAX's own generators have better statistical quality than a mask needs, at twenty times
    the cost on a CPU, where they took most of the time of dropout.

    Source: the hash is the finaliser of MurmurHash3 (Appleby, 2011).
    """
    x = jax.lax.iota(jnp.uint32, n) * jnp.uint32(0x9E3779B9) + jax.random.bits(key)
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)

"""The blocks of the transformer: causal self-attention, feed-forward, dropout."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key, UInt32

from segue.config import ModelConfig

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}


class Keys:
    """Hands out a fresh random key at every call; none at all when dropout is off."""

    def __init__(self, key: Key[Array, ""] | None) -> None:
        self._key = key
        self._count = 0

    def __call__(self) -> Key[Array, ""] | None:
        if self._key is None:
            return None
        self._count += 1
        return jax.random.fold_in(self._key, self._count)


def dropout(
    x: Float[Array, "*axes"], rate: float, key: Key[Array, ""] | None
) -> Float[Array, "*axes"]:
    """Zero a share ``rate`` of the values and scale up the rest; identity without a key."""
    if key is None or rate == 0:
        return x
    threshold = min(round(rate * 2**32), 2**32 - 1)
    keep = _scrambled(x.size, jax.random.bits(key)).reshape(x.shape) >= jnp.uint32(threshold)
    return jnp.where(keep, x / (1 - threshold / 2**32), 0)


def _scrambled(n: int, seed: UInt32[Array, ""]) -> UInt32[Array, " n"]:
    """``n`` well mixed numbers: the counter from ``seed`` on, each put through a hash.

    The finaliser of MurmurHash3 (Appleby, 2011). JAX's own generators give better numbers
    than a mask needs, at twenty times the cost on a CPU, where that was most of dropout.
    """
    x = jax.lax.iota(jnp.uint32, n) * jnp.uint32(0x9E3779B9) + seed
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


class Attention(nnx.Module):
    """Causal multi-head self-attention."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.heads = config.heads
        self.rate = config.dropout
        self.project_in = nnx.Linear(config.width, 3 * config.width, rngs=rngs)
        self.project_out = nnx.Linear(config.width, config.width, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch length dim"], keys: Keys
    ) -> Float[Array, "batch length dim"]:
        batch, length, width = x.shape
        heads = (batch, length, 3, self.heads, width // self.heads)
        query, key, value = jnp.unstack(self.project_in(x).reshape(heads), axis=2)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / (width // self.heads) ** 0.5
        # Padding stands at the end, so the causal mask alone keeps it out of every real
        # position's sight.
        causal = jnp.tril(jnp.ones((length, length), bool))
        weights = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1)
        weights = dropout(weights, self.rate, keys())
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value)
        return self.project_out(mixed.reshape(batch, length, width))


class FeedForward(nnx.Module):
    """Two dense layers with a non-linearity between, at every position alike."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.activation = config.activation
        self.rate = config.dropout
        self.up = nnx.Linear(config.width, config.feed_forward, rngs=rngs)
        self.down = nnx.Linear(config.feed_forward, config.width, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch length dim"], keys: Keys
    ) -> Float[Array, "batch length dim"]:
        return self.down(dropout(ACTIVATIONS[self.activation](self.up(x)), self.rate, keys()))


class Block(nnx.Module):
    """Attention and feed-forward, each with a residual connection and normalisation."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.pre_norm = config.norm == "pre"
        self.rate = config.dropout
        self.attention = Attention(config, rngs=rngs)
        self.attention_norm = nnx.LayerNorm(config.width, rngs=rngs)
        self.feed_forward = FeedForward(config, rngs=rngs)
        self.feed_forward_norm = nnx.LayerNorm(config.width, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch length dim"], keys: Keys
    ) -> Float[Array, "batch length dim"]:
        for layer, norm in (
            (self.attention, self.attention_norm),
            (self.feed_forward, self.feed_forward_norm),
        ):
            if self.pre_norm:
                x = x + dropout(layer(norm(x), keys), self.rate, keys())
            else:
                x = norm(x + dropout(layer(x, keys), self.rate, keys()))
        return x

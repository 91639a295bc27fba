"""The blocks of the transformer: causal self-attention, feed-forward, dropout."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int32, Key

from segue.bits import random_bits
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
    keep = random_bits(x.size, key).reshape(x.shape) >= jnp.uint32(threshold)
    return jnp.where(keep, x / (1 - threshold / 2**32), 0)


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
        query, key, value = jnp.unstack(self._heads(self.project_in(x), 3), axis=2)
        # Padding stands at the end, so the causal mask alone keeps it out of every real
        # position's sight.
        length = x.shape[1]
        causal = jnp.tril(jnp.ones((length, length), bool))
        return self._mix(query, key, value, causal[None], keys)

    def at(
        self, x: Float[Array, "batch length dim"], positions: Int32[Array, " batch"], keys: Keys
    ) -> Float[Array, "batch 1 dim"]:
        """What one position of each row attends to: it alone is asked, all are looked at."""
        assert self.project_in.bias is not None
        kernel, bias = self.project_in.kernel[...], self.project_in.bias[...][None, None]
        width = x.shape[2]
        own = at_positions(x, positions) @ kernel[:, :width] + bias[..., :width]
        seen = x @ kernel[:, width:] + bias[..., width:]
        key, value = jnp.unstack(self._heads(seen, 2), axis=2)
        sight = jnp.arange(x.shape[1])[None, None, :] <= positions[:, None, None]
        return self._mix(self._heads(own, 1)[:, :, 0], key, value, sight, keys)

    def _heads(
        self, x: Float[Array, "batch length features"], n_parts: int
    ) -> Float[Array, "batch length parts heads head_dim"]:
        return x.reshape(*x.shape[:2], n_parts, self.heads, -1)

    def _mix(
        self,
        query: Float[Array, "batch asked heads head_dim"],
        key: Float[Array, "batch length heads head_dim"],
        value: Float[Array, "batch length heads head_dim"],
        sight: Bool[Array, "rows asked length"],
        keys: Keys,
    ) -> Float[Array, "batch asked dim"]:
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / query.shape[-1] ** 0.5
        weights = jax.nn.softmax(jnp.where(sight[:, None], scores, -jnp.inf), axis=-1)
        weights = dropout(weights, self.rate, keys())
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value)
        return self.project_out(mixed.reshape(*mixed.shape[:2], -1))


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
        x = self._add(x, lambda y: self.attention(y, keys), self.attention_norm, keys)
        return self._add(x, lambda y: self.feed_forward(y, keys), self.feed_forward_norm, keys)

    def at(
        self, x: Float[Array, "batch length dim"], positions: Int32[Array, " batch"], keys: Keys
    ) -> Float[Array, "batch 1 dim"]:
        """The block's output at one position of each row, for little more than its share of
        the work."""
        seen = self.attention_norm(x) if self.pre_norm else x
        mixed = dropout(self.attention.at(seen, positions, keys), self.rate, keys())
        own = at_positions(x, positions) + mixed
        own = own if self.pre_norm else self.attention_norm(own)
        return self._add(own, lambda y: self.feed_forward(y, keys), self.feed_forward_norm, keys)

    def _add(
        self,
        x: Float[Array, "batch length dim"],
        layer: Callable[[Float[Array, "batch length dim"]], Float[Array, "batch length dim"]],
        norm: nnx.LayerNorm,
        keys: Keys,
    ) -> Float[Array, "batch length dim"]:
        if self.pre_norm:
            return x + dropout(layer(norm(x)), self.rate, keys())
        return norm(x + dropout(layer(x), self.rate, keys()))


def at_positions(
    x: Float[Array, "batch length dim"], positions: Int32[Array, " batch"]
) -> Float[Array, "batch 1 dim"]:
    """One position of each row."""
    return jnp.take_along_axis(x, positions[:, None, None], axis=1)

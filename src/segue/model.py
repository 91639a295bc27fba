"""The model: a causal transformer over item embeddings.

Architecture of reference A (a decoder over tracks) and of SASRec (Kang and McAuley, 2018,
"Self-Attentive Sequential Recommendation"), by configuration: token embedding + learned
position embedding, then blocks of causal self-attention and a feed-forward network, then a
score for every row of the item table by inner product.

The model ends at the hidden states. What turns them into a loss or a ranked list knows how
to do that without ever holding the scores of all positions (``losses``, ``retrieval``).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32, Key

from segue.config import ModelConfig

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}

EMBEDDING_STD = 0.02
"""Standard deviation of fresh embeddings: small, so that a fresh model is near uniform."""


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
    """Zero a share ``rate`` of the values and scale up the rest; identity without a key.

    Draws 16 random bits a value: half of what a uniform float costs, and that is most of
    the time of dropout on a CPU.
    """
    if key is None or rate == 0:
        return x
    threshold = min(round(rate * 2**16), 2**16 - 1)
    keep = jax.random.bits(key, x.shape, jnp.uint16) >= threshold
    return jnp.where(keep, x / (1 - threshold / 2**16), 0)


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


class Transformer(nnx.Module):
    """Hidden states for sequences of item indices.

    Attributes:
        item_table: embeddings of the special tokens and of the catalogue, [table, dim].
        output_table: what hidden states are multiplied with, [table, dim]; the item table
            itself when the output is tied.
    """

    def __init__(self, config: ModelConfig, table_size: int, *, rngs: nnx.Rngs) -> None:
        self.rate = config.dropout
        self.item_table = _embedding(table_size, config.width, rngs)
        tied, learned = config.tied_output, config.positions == "learned"
        self.free_output = None if tied else _embedding(table_size, config.width, rngs)
        self.position_table = _embedding(config.context, config.width, rngs) if learned else None
        self.blocks = nnx.List([Block(config, rngs=rngs) for _ in range(config.layers)])
        self.final_norm = nnx.LayerNorm(config.width, rngs=rngs) if config.norm == "pre" else None

    @property
    def output_table(self) -> Float[Array, "table dim"]:
        return (self.item_table if self.free_output is None else self.free_output)[...]

    def __call__(
        self, tokens: Int32[Array, "batch length"], key: Key[Array, ""] | None = None
    ) -> Float[Array, "batch length dim"]:
        """Hidden state at every position, from the tokens up to and including it.

        Args:
            tokens: item indices below ``table_size``, padded at the end with ``PAD``.
            key: the source of dropout's randomness; no dropout without it.
        """
        keys = Keys(key)
        width = self.item_table.shape[1]
        x = self.item_table[...][tokens] * width**0.5
        if self.position_table is not None:
            x = x + self.position_table[...][None, : tokens.shape[1]] * width**0.5
        x = dropout(x, self.rate, keys())
        for block in self.blocks:
            x = block(x, keys)
        return x if self.final_norm is None else self.final_norm(x)


def _embedding(rows: int, width: int, rngs: nnx.Rngs) -> nnx.Param:
    return nnx.Param(EMBEDDING_STD * jax.random.normal(rngs.params(), (rows, width)))

"""Transformer blocks: causal self-attention, feed-forward layers and dropout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int32, Key

from segue.config import ModelConfig
from segue.model.kv_cache import LayerCache
from segue.random_bits import random_bits

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
}


BucketShapes = Sequence[tuple[int, int]]
"""Rows and length of each bucket of a batch whose positions are stored end to end."""


class DropoutKeys:
    """The random keys of one forward pass: a new one per call, or None if dropout is off."""

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
    """Set a share ``rate`` of the values to 0 and scale up the rest; identity without a key."""
    if key is None or rate == 0:
        return x
    threshold = min(round(rate * 2**32), 2**32 - 1)
    keep = random_bits(x.size, key).reshape(x.shape) >= jnp.uint32(threshold)
    return jnp.where(keep, x / (1 - threshold / 2**32), 0)


def layer_norm(width: int, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Layer normalisation whose variance is the mean square of the deviations from the mean.

    E[x²] - E[x]², the default of Flax, cancels for values that are large compared with their
    differences. What is left is rounding error, which depends on the shape of the batch.
    """
    return nnx.LayerNorm(width, use_fast_variance=False, rngs=rngs)


class Attention(nnx.Module):
    """Causal multi-head self-attention.

    The input is one array of rows of equal length. With ``shapes`` it is the positions of several
    buckets of such rows, stored end to end: all else in a block works per position.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.heads = config.heads
        self.dropout_rate = config.dropout
        self.project_in = nnx.Linear(config.width, 3 * config.width, rngs=rngs)
        self.project_out = nnx.Linear(config.width, config.width, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "*positions dim"],
        keys: DropoutKeys,
        shapes: BucketShapes | None = None,
    ) -> Float[Array, "*positions dim"]:
        mixed = []
        for projected in split_buckets(self.project_in(x), shapes):
            query, key, value = jnp.unstack(self._split_heads(projected, 3), axis=2)
            # Padding comes after the events, so the causal mask also hides it from every event.
            length = projected.shape[1]
            causal_mask = jnp.tril(jnp.ones((length, length), bool))
            mixed.append(self._attend(query, key, value, causal_mask[None], keys))
        return self.project_out(_join_buckets(mixed, shapes))

    def at_positions(
        self,
        x: Float[Array, "*positions dim"],
        positions: Int32[Array, " batch"],
        keys: DropoutKeys,
        shapes: BucketShapes | None = None,
    ) -> Float[Array, "*rows dim"]:
        """The output at one position per row, with one query per row instead of one per position.

        Args:
            positions: the position of each row.
        """
        queries = self._project(select_positions(x, positions, shapes), 0, 1)
        keys_and_values = self._project(x, 1, 3)
        row_shapes = None if shapes is None else [(rows, 1) for rows, _ in shapes]
        mixed, first_row = [], 0
        for query, projected in zip(
            split_buckets(queries, row_shapes), split_buckets(keys_and_values, shapes), strict=True
        ):
            rows, length, _ = projected.shape
            key, value = jnp.unstack(self._split_heads(projected, 2), axis=2)
            last = positions[first_row : first_row + rows]
            mask = jnp.arange(length)[None, None, :] <= last[:, None, None]
            query_heads = self._split_heads(query, 1)[:, :, 0]
            mixed.append(self._attend(query_heads, key, value, mask, keys))
            first_row += rows
        return self.project_out(_join_buckets(mixed, row_shapes))

    def extend(
        self,
        x: Float[Array, "batch length dim"],
        positions: Int32[Array, "batch length"],
        cache: LayerCache,
        selected: Int32[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch queries dim"], LayerCache]:
        """The output for inputs that follow cached positions, and the cache with these inputs.

        Args:
            positions: the position of each input.
            cache: keys and values of the positions before.
            selected: the index of the one input of each row whose output is computed; by default
                all are.
        """
        if selected is None:
            query, key, value = jnp.unstack(self._split_heads(self.project_in(x), 3), axis=2)
        else:
            key, value = jnp.unstack(self._split_heads(self._project(x, 1, 3), 2), axis=2)
            queries = self._project(select_positions(x, selected), 0, 1)
            query = self._split_heads(queries, 1)[:, :, 0]
        cache = cache.write(key, value, positions)
        last = positions if selected is None else positions[jnp.arange(len(x)), selected][:, None]
        query = query.swapaxes(1, 2) / query.shape[-1] ** 0.5
        scores = jnp.einsum("bhqd,bhkd->bhqk", query, cache.keys)
        slots = jnp.arange(scores.shape[-1])
        is_before = slots[None, None, None, :] <= last[:, None, :, None]
        weights = jax.nn.softmax(jnp.where(is_before, scores, -jnp.inf), axis=-1)
        mixed = jnp.einsum("bhqk,bhkd->bhqd", weights, cache.values).swapaxes(1, 2)
        return self.project_out(mixed.reshape(*mixed.shape[:2], -1)), cache

    def _project(
        self, x: Float[Array, "*positions dim"], first: int, end: int
    ) -> Float[Array, "*positions features"]:
        """Some of the projections of the input: queries are the first part, then keys, values."""
        assert self.project_in.bias is not None
        columns = slice(first * x.shape[-1], end * x.shape[-1])
        bias = self.project_in.bias[...][columns].reshape(*(1,) * (x.ndim - 1), -1)
        return x @ self.project_in.kernel[...][:, columns] + bias

    def _split_heads(
        self, x: Float[Array, "batch length features"], n_parts: int
    ) -> Float[Array, "batch length parts heads head_dim"]:
        return x.reshape(*x.shape[:2], n_parts, self.heads, -1)

    def _attend(
        self,
        query: Float[Array, "batch queries heads head_dim"],
        key: Float[Array, "batch length heads head_dim"],
        value: Float[Array, "batch length heads head_dim"],
        mask: Bool[Array, "rows queries length"],
        keys: DropoutKeys,
    ) -> Float[Array, "batch queries dim"]:
        """Scaled dot-product attention.

        Args:
            mask: the positions that each query attends to, per row or (with one row) for all.
        """
        # The query is scaled, not the product: a scale fused into the softmax would round a score
        # otherwise than its maximum, and exp(score - maximum) would overflow for large scores.
        scores = jnp.einsum("bqhd,bkhd->bhqk", query / query.shape[-1] ** 0.5, key)
        weights = jax.nn.softmax(jnp.where(mask[:, None], scores, -jnp.inf), axis=-1)
        weights = dropout(weights, self.dropout_rate, keys())
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value)
        return mixed.reshape(*mixed.shape[:2], -1)


class FeedForward(nnx.Module):
    """Two dense layers with an activation between them, applied to each position alone."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.activation = config.activation
        self.dropout_rate = config.dropout
        self.up = nnx.Linear(config.width, config.feed_forward, rngs=rngs)
        self.down = nnx.Linear(config.feed_forward, config.width, rngs=rngs)

    def __call__(
        self, x: Float[Array, "*positions dim"], keys: DropoutKeys
    ) -> Float[Array, "*positions dim"]:
        activated = ACTIVATIONS[self.activation](self.up(x))
        return self.down(dropout(activated, self.dropout_rate, keys()))


class Block(nnx.Module):
    """Attention and feed-forward, each with a residual connection and layer normalisation."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.pre_norm = config.norm == "pre"
        self.dropout_rate = config.dropout
        self.attention = Attention(config, rngs=rngs)
        self.attention_norm = layer_norm(config.width, rngs)
        self.feed_forward = FeedForward(config, rngs=rngs)
        self.feed_forward_norm = layer_norm(config.width, rngs)

    def __call__(
        self,
        x: Float[Array, "*positions dim"],
        keys: DropoutKeys,
        shapes: BucketShapes | None = None,
    ) -> Float[Array, "*positions dim"]:
        x = self._residual(x, lambda y: self.attention(y, keys, shapes), self.attention_norm, keys)
        return self._residual(x, lambda y: self.feed_forward(y, keys), self.feed_forward_norm, keys)

    def at_positions(
        self,
        x: Float[Array, "*positions dim"],
        positions: Int32[Array, " batch"],
        keys: DropoutKeys,
        shapes: BucketShapes | None = None,
    ) -> Float[Array, "*rows dim"]:
        """The block's output at one position per row, without computing the other positions.

        Only the keys and values of attention are computed for all positions.
        """
        attended = self.attention_norm(x) if self.pre_norm else x
        mixed = self.attention.at_positions(attended, positions, keys, shapes)
        mixed = dropout(mixed, self.dropout_rate, keys())
        x = select_positions(x, positions, shapes) + mixed
        x = x if self.pre_norm else self.attention_norm(x)
        return self._residual(x, lambda y: self.feed_forward(y, keys), self.feed_forward_norm, keys)

    def extend(
        self,
        x: Float[Array, "batch length dim"],
        positions: Int32[Array, "batch length"],
        cache: LayerCache,
        selected: Int32[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch queries dim"], LayerCache]:
        """The block's output for inputs that follow cached positions, and the longer cache.

        Args:
            positions: the position of each input.
            cache: keys and values of the positions before.
            selected: the index of the one input of each row whose output is computed; by default
                all are.
        """
        attended = self.attention_norm(x) if self.pre_norm else x
        mixed, cache = self.attention.extend(attended, positions, cache, selected)
        x = x if selected is None else select_positions(x, selected)
        x = x + mixed if self.pre_norm else self.attention_norm(x + mixed)
        keys = DropoutKeys(None)
        x = self._residual(x, lambda y: self.feed_forward(y, keys), self.feed_forward_norm, keys)
        return x, cache

    def _residual(
        self,
        x: Float[Array, "*positions dim"],
        layer: Callable[[Float[Array, "*positions dim"]], Float[Array, "*positions dim"]],
        norm: nnx.LayerNorm,
        keys: DropoutKeys,
    ) -> Float[Array, "*positions dim"]:
        """Apply a layer with its residual connection, normalised before or after."""
        if self.pre_norm:
            return x + dropout(layer(norm(x)), self.dropout_rate, keys())
        return norm(x + dropout(layer(x), self.dropout_rate, keys()))


def select_positions(
    x: Float[Array, "*positions dim"],
    positions: Int32[Array, " batch"],
    shapes: BucketShapes | None = None,
) -> Float[Array, "*rows dim"]:
    """Select one position per row."""
    if shapes is None:
        return jnp.take_along_axis(x, positions[:, None, None], axis=1)
    lengths = [length for rows, length in shapes for _ in range(rows)]
    row_starts = np.array([0, *accumulate(lengths)][:-1], np.int32)
    return x[row_starts + positions]


def bucket_shapes(arrays: Sequence[Int32[Array, "_rows _length"]]) -> BucketShapes:
    """Rows and length of each of some arrays."""
    return [(array.shape[0], array.shape[1]) for array in arrays]


def split_buckets(
    x: Float[Array, "*positions dim"], shapes: BucketShapes | None
) -> list[Float[Array, "batch length dim"]]:
    """The rows of each bucket as an array; without shapes, ``x`` itself is one."""
    if shapes is None:
        return [x]
    ends = list(accumulate(rows * length for rows, length in shapes))
    parts = jnp.split(x, ends[:-1])
    return [part.reshape(*shape, x.shape[-1]) for part, shape in zip(parts, shapes, strict=True)]


def _join_buckets(
    parts: list[Float[Array, "_batch _length dim"]], shapes: BucketShapes | None
) -> Float[Array, "*positions dim"]:
    """The reverse of ``split_buckets``."""
    if shapes is None:
        return parts[0]
    return jnp.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])

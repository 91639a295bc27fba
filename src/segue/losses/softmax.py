"""Exact softmax cross-entropy over the catalogue, computed in blocks of items.

Losses here and in ``sampled_softmax`` are pure, unreduced functions of hidden states and output
embeddings. They return one value per position, in nats, and do not treat padding: the caller
multiplies by weights before summing. ``PAD`` and ``START`` are never predicted, so no loss has
them among its candidates.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32

from segue.tokens import END

FIRST_CANDIDATE = END
"""The lowest index that can be a label: END and UNK, then the catalogue."""

LOGITS_PER_BLOCK = 1 << 24
"""Logits computed at a time by the exact softmax: 64 MiB of float32."""


def weighted_mean(total: Float[Array, ""], weights: Float[Array, " position"]) -> Float[Array, ""]:
    """The weighted mean of losses from their weighted sum; zero if all weights are zero."""
    return total / jnp.maximum(jnp.sum(weights), 1e-9)


def softmax_cross_entropy(
    hidden: Float[Array, "position dim"],
    embeddings: Float[Array, "vocabulary dim"],
    labels: Int32[Array, " position"],
    block_size: int | None = None,
) -> Float[Array, " position"]:
    """Exact cross-entropy over the catalogue, without an array of all logits.

    The catalogue is processed in blocks of rows: the forward pass keeps a running log-sum-exp,
    the backward pass recomputes the probabilities. Memory is proportional to positions times
    ``block_size``, independent of the size of the catalogue.

    Source: Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models", 2024, arXiv
    2411.09009.

    Args:
        hidden: one state per position.
        embeddings: output embeddings, including the rows of special tokens.
        labels: item indices; the loss at label ``PAD`` is finite and has no meaning.
        block_size: rows per block; by default a block takes 64 MiB.

    Returns:
        One loss per position, in nats.
    """
    size = rows_per_block(len(hidden), len(embeddings), block_size)
    return _blockwise_cross_entropy(hidden, embeddings, labels, size)


def rows_per_block(n_positions: int, n_rows: int, block_size: int | None = None) -> int:
    """Rows of the output embeddings per block of the exact softmax.

    Args:
        block_size: the maximum; by default a block of logits takes at most 64 MiB.
    """
    max_rows = max(1, LOGITS_PER_BLOCK // n_positions) if block_size is None else block_size
    # Blocks of equal size, so that the last one overlaps its neighbour as little as possible.
    n_blocks = -(-n_rows // min(max_rows, n_rows))
    return -(-n_rows // n_blocks)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _blockwise_cross_entropy(
    hidden: Float[Array, "position dim"],
    embeddings: Float[Array, "vocabulary dim"],
    labels: Int32[Array, " position"],
    block_size: int,
) -> Float[Array, " position"]:
    return _forward(hidden, embeddings, labels, block_size)[0]


def _block(
    hidden: Float[Array, "position dim"],
    embeddings: Float[Array, "vocabulary dim"],
    number: Int32[Array, ""],
    block_size: int,
) -> tuple[Float[Array, "position block"], Float[Array, "block dim"], Int32[Array, " block"]]:
    """The logits of one block (-inf for masked rows), its rows and their indices."""
    # dynamic_slice moves a block that would reach past the end back into the array, so that the
    # last block repeats rows of the one before; these are masked.
    start = jnp.minimum(number * block_size, len(embeddings) - block_size)
    rows = jax.lax.dynamic_slice_in_dim(embeddings, start, block_size)
    indices = start + jnp.arange(block_size, dtype=jnp.int32)
    is_counted = (indices >= number * block_size) & (indices >= FIRST_CANDIDATE)
    return jnp.where(is_counted, hidden @ rows.T, -jnp.inf), rows, indices


def _forward(
    hidden: Float[Array, "position dim"],
    embeddings: Float[Array, "vocabulary dim"],
    labels: Int32[Array, " position"],
    block_size: int,
):
    def add_block(number, carry):
        largest, total = carry
        logits, _, _ = _block(hidden, embeddings, number, block_size)
        new_largest = jnp.maximum(largest, logits.max(axis=1))
        # Before the first candidate the maximum is -inf, and -inf - -inf would be NaN.
        shift = jnp.where(jnp.isneginf(new_largest), 0, new_largest)
        total = total * jnp.exp(largest - shift) + jnp.exp(logits - shift[:, None]).sum(axis=1)
        return new_largest, total

    start = (jnp.full(len(hidden), -jnp.inf, hidden.dtype), jnp.zeros(len(hidden), hidden.dtype))
    n_blocks = -(-len(embeddings) // block_size)
    largest, total = jax.lax.fori_loop(0, n_blocks, add_block, start)
    normaliser = largest + jnp.log(total)
    label_logits = jnp.sum(hidden * embeddings[labels], axis=1)
    return normaliser - label_logits, (hidden, embeddings, labels, normaliser)


def _backward(block_size: int, residuals, upstream: Float[Array, " position"]):
    hidden, embeddings, labels, normaliser = residuals

    def add_block(number, carry):
        hidden_gradient, embeddings_gradient = carry
        logits, rows, indices = _block(hidden, embeddings, number, block_size)
        logits_gradient = jnp.exp(logits - normaliser[:, None]) * upstream[:, None]
        # The label's one-hot term is subtracted once, in the block that contains its row.
        is_label = (labels[:, None] == indices[None, :]) & ~jnp.isneginf(logits)
        logits_gradient = logits_gradient - jnp.where(is_label, upstream[:, None], 0)
        block = jax.lax.dynamic_slice_in_dim(embeddings_gradient, indices[0], block_size)
        embeddings_gradient = jax.lax.dynamic_update_slice_in_dim(
            embeddings_gradient, block + logits_gradient.T @ hidden, indices[0], 0
        )
        return hidden_gradient + logits_gradient @ rows, embeddings_gradient

    start = (jnp.zeros_like(hidden), jnp.zeros_like(embeddings))
    n_blocks = -(-len(embeddings) // block_size)
    hidden_gradient, embeddings_gradient = jax.lax.fori_loop(0, n_blocks, add_block, start)
    return hidden_gradient, embeddings_gradient, None


_blockwise_cross_entropy.defvjp(_forward, _backward)

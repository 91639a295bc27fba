"""Losses: pure, unreduced functions of hidden states and the output vectors of items.

Each returns one value a position, in nats, and knows nothing of padding: whoever sums them
up multiplies with the weights first. Rows ``PAD`` and ``START`` of the table are never
predicted, so no loss counts them among the candidates.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from segue.axes import END
from segue.config import Estimator

FIRST_CANDIDATE = END
"""The first row of the table that can be a label: END and UNK, then the catalogue."""

LOGITS_PER_BLOCK = 1 << 24
"""Logits held at a time by the exact softmax: 64 MiB of float32."""


def mean_over(
    losses: Float[Array, " position"], weights: Float[Array, " position"]
) -> Float[Array, ""]:
    """The weighted mean; zero where nothing counts."""
    return jnp.sum(losses * weights) / jnp.maximum(jnp.sum(weights), 1e-9)


def softmax_cross_entropy(
    hidden: Float[Array, "position dim"],
    table: Float[Array, "table dim"],
    labels: Int32[Array, " position"],
    block_size: int | None = None,
) -> Float[Array, " position"]:
    """Exact cross-entropy over the whole catalogue, logits never whole.

    The catalogue is walked in blocks of rows, forward with a running log-sum-exp and
    backward with recomputed probabilities, as in "Cut Your Losses in Large-Vocabulary
    Language Models" (Wijmans et al., 2024, arXiv 2411.09009): memory is positions times
    ``block_size``, whatever the catalogue.

    Args:
        hidden: a state a position.
        table: the output table, special rows included.
        labels: rows of the table; a position with label ``PAD`` gets a finite loss that
            means nothing.
        block_size: rows a block; chosen for a 64 MiB block when absent.
    """
    size = rows_per_block(len(hidden), len(table), block_size)
    return _blockwise_cross_entropy(hidden, table, labels, size)


def rows_per_block(positions: int, rows: int, block_size: int | None = None) -> int:
    """Rows of the table that the exact softmax takes at a time.

    Args:
        block_size: the most; chosen for a 64 MiB block when absent.
    """
    most = max(1, LOGITS_PER_BLOCK // positions) if block_size is None else block_size
    # Equal blocks: the last one overlaps its neighbour as little as it can.
    n_blocks = -(-rows // min(most, rows))
    return -(-rows // n_blocks)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _blockwise_cross_entropy(
    hidden: Float[Array, "position dim"],
    table: Float[Array, "table dim"],
    labels: Int32[Array, " position"],
    block_size: int,
) -> Float[Array, " position"]:
    return _forward(hidden, table, labels, block_size)[0]


def _block(
    hidden: Float[Array, "position dim"],
    table: Float[Array, "table dim"],
    number: Int32[Array, ""],
    block_size: int,
) -> tuple[Float[Array, "position block"], Float[Array, "block dim"], Int32[Array, " block"]]:
    """Logits of one block (-inf where a row does not count), its rows and their numbers."""
    # dynamic_slice moves a block that would overhang back into the table, so that the last
    # block repeats rows of the one before; those are masked out.
    start = jnp.minimum(number * block_size, len(table) - block_size)
    rows = jax.lax.dynamic_slice_in_dim(table, start, block_size)
    numbers = start + jnp.arange(block_size, dtype=jnp.int32)
    counts = (numbers >= number * block_size) & (numbers >= FIRST_CANDIDATE)
    return jnp.where(counts, hidden @ rows.T, -jnp.inf), rows, numbers


def _forward(
    hidden: Float[Array, "position dim"],
    table: Float[Array, "table dim"],
    labels: Int32[Array, " position"],
    block_size: int,
):
    def add_block(number, carry):
        largest, total = carry
        logits, _, _ = _block(hidden, table, number, block_size)
        new = jnp.maximum(largest, logits.max(axis=1))
        # A block without any candidate leaves -inf, and -inf - -inf is not a number.
        safe = jnp.where(jnp.isneginf(new), 0, new)
        total = total * jnp.exp(largest - safe) + jnp.exp(logits - safe[:, None]).sum(axis=1)
        return new, total

    start = (jnp.full(len(hidden), -jnp.inf, hidden.dtype), jnp.zeros(len(hidden), hidden.dtype))
    largest, total = jax.lax.fori_loop(0, -(-len(table) // block_size), add_block, start)
    normaliser = largest + jnp.log(total)
    own = jnp.sum(hidden * table[labels], axis=1)
    return normaliser - own, (hidden, table, labels, normaliser)


def _backward(block_size: int, saved, upstream: Float[Array, " position"]):
    hidden, table, labels, normaliser = saved

    def add_block(number, carry):
        to_hidden, to_table = carry
        logits, rows, numbers = _block(hidden, table, number, block_size)
        to_logits = jnp.exp(logits - normaliser[:, None]) * upstream[:, None]
        # The label's logit is subtracted once, in the block that owns its row.
        own = (labels[:, None] == numbers[None, :]) & ~jnp.isneginf(logits)
        to_logits = to_logits - jnp.where(own, upstream[:, None], 0)
        block = jax.lax.dynamic_slice_in_dim(to_table, numbers[0], block_size)
        to_table = jax.lax.dynamic_update_slice_in_dim(
            to_table, block + to_logits.T @ hidden, numbers[0], 0
        )
        return to_hidden + to_logits @ rows, to_table

    start = (jnp.zeros_like(hidden), jnp.zeros_like(table))
    to_hidden, to_table = jax.lax.fori_loop(0, -(-len(table) // block_size), add_block, start)
    return to_hidden, to_table, None


_blockwise_cross_entropy.defvjp(_forward, _backward)


def sampled_softmax(
    hidden: Float[Array, "position dim"],
    own: Float[Array, "position dim"],
    negatives: Float[Array, "*position negative dim"],
    hits: Bool[Array, "position negative"],
    log_expected: Float[Array, "*position negative"] | None = None,
    estimator: Estimator = "with-target",
) -> Float[Array, " position"]:
    """Cross-entropy of the label, with the sum over the catalogue estimated from a sample.

    ``with-target`` takes the label's own term exactly and the others' from the negatives.
    With the log-q correction (Bengio and Senecal, 2008, "Adaptive Importance Sampling to
    Accelerate Training of a Neural Probabilistic Language Model") it estimates the sum
    without bias; its logarithm is then too small in the mean, by about half the sum's
    relative variance. ``bias-corrected`` adds that back, estimated from the same sample.
    ``negatives-only`` leaves the label out and scales the others up to the whole catalogue,
    as the public playlist transformer (trecs) does. A position all of whose negatives are
    its label has no loss.

    Args:
        hidden: a state a position.
        own: output vectors of the labels.
        negatives: output vectors of a draw for each position, or of one that all share.
        hits: where a negative is the label of the position; those are left out.
        log_expected: log of how often each negative is expected in its draw (the number of
            negatives times its probability). Without it the negatives count as they are,
            and the loss is one over the label and its sample.
    """
    own_logit = jnp.sum(hidden * own, axis=1)
    if negatives.ndim == 2:
        logits = hidden @ negatives.T
    else:
        logits = jnp.einsum("pd,pnd->pn", hidden, negatives)
    if log_expected is not None:
        logits = logits - jnp.atleast_2d(log_expected)
    logits = jnp.where(hits, -jnp.inf, logits)
    if estimator == "negatives-only":
        return _negatives_only(own_logit, logits, hits)
    normaliser = jnp.logaddexp(own_logit, jax.nn.logsumexp(logits, axis=1))
    losses = normaliser - own_logit
    if estimator == "bias-corrected":
        losses = losses + _variance_of_sum(jnp.exp(logits - normaliser[:, None])) / 2
    return losses


def _negatives_only(
    own: Float[Array, " position"],
    logits: Float[Array, "position negative"],
    hits: Bool[Array, "position negative"],
) -> Float[Array, " position"]:
    """The label against the sum over those negatives that are not hits, scaled up."""
    n_left = jnp.sum(~hits, axis=1)
    some = n_left > 0
    # Of no terms at all, neither the logarithm nor its gradient is a number.
    sums = jax.nn.logsumexp(jnp.where(some[:, None], logits, 0), axis=1)
    scale = jnp.log(hits.shape[1] / jnp.maximum(n_left, 1))
    return jnp.where(some, sums + scale - own, 0)


def _variance_of_sum(
    terms: Float[Array, "position negative"],
) -> Float[Array, " position"]:
    """Variance of a sum of independent draws, from how these differ; zero for a single one.

    The terms are shares of the estimated whole, at most one altogether, so that neither
    they nor the variance can overflow.
    """
    n_terms = terms.shape[1]
    squares = jnp.square(terms - terms.mean(axis=1, keepdims=True)).sum(axis=1)
    return squares * n_terms / max(n_terms - 1, 1)

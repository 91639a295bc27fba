"""Sampled softmax loss: three estimators of the exact softmax cross-entropy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from segue.config import Estimator


def sampled_softmax(
    hidden: Float[Array, "position dim"],
    label_embeddings: Float[Array, "position dim"],
    negative_embeddings: Float[Array, "*position negative dim"],
    accidental_hits: Bool[Array, "position negative"],
    log_expected_counts: Float[Array, "*position negative"] | None = None,
    estimator: Estimator = "with-target",
) -> Float[Array, " position"]:
    """Cross-entropy with the sum over the catalogue estimated from a sample of negatives.

    ``with-target`` takes the label's own term exactly and estimates the others from the
    negatives. With the log-q correction (Bengio and Senecal, 2008, "Adaptive Importance
    Sampling to Accelerate Training of a Neural Probabilistic Language Model") the estimated sum
    is unbiased; its logarithm is then too small in expectation, by about half the sum's
    relative variance. ``bias-corrected`` adds that amount back, estimated from the same sample.
    ``negatives-only`` omits the label's term and scales the sum of the others up to the
    catalogue, as playlist-decoder (trecs) does. If all negatives of a position are accidental
    hits, its loss is zero.

    Args:
        hidden: one state per position.
        label_embeddings: output embeddings of the labels.
        negative_embeddings: output embeddings of one sample per position, or of one sample
            shared by all positions.
        accidental_hits: where a negative is the label of the position; it is left out.
        log_expected_counts: log of the expected number of occurrences of each negative in its
            sample (sample size times probability). If None, logits are not corrected, and the
            loss is a cross-entropy over the label and its sample.

    Returns:
        One loss per position, in nats.
    """
    label_logits = jnp.sum(hidden * label_embeddings, axis=1)
    if negative_embeddings.ndim == 2:
        logits = hidden @ negative_embeddings.T
    else:
        logits = jnp.einsum("pd,pnd->pn", hidden, negative_embeddings)
    if log_expected_counts is not None:
        logits = logits - jnp.atleast_2d(log_expected_counts)
    logits = jnp.where(accidental_hits, -jnp.inf, logits)
    if estimator == "negatives-only":
        return _negatives_only(label_logits, logits, accidental_hits)
    normaliser = jnp.logaddexp(label_logits, jax.nn.logsumexp(logits, axis=1))
    losses = normaliser - label_logits
    if estimator == "bias-corrected":
        losses = losses + _variance_of_sum(jnp.exp(logits - normaliser[:, None])) / 2
    return losses


def _negatives_only(
    label_logits: Float[Array, " position"],
    logits: Float[Array, "position negative"],
    accidental_hits: Bool[Array, "position negative"],
) -> Float[Array, " position"]:
    """The label against the scaled sum over the negatives that are not accidental hits."""
    n_left = jnp.sum(~accidental_hits, axis=1)
    any_left = n_left > 0
    # logsumexp over no terms is -inf, with a gradient of NaN: such positions get zeros instead.
    sums = jax.nn.logsumexp(jnp.where(any_left[:, None], logits, 0), axis=1)
    scale = jnp.log(accidental_hits.shape[1] / jnp.maximum(n_left, 1))
    return jnp.where(any_left, sums + scale - label_logits, 0)


def _variance_of_sum(
    terms: Float[Array, "position negative"],
) -> Float[Array, " position"]:
    """Estimated variance of the sum of independent terms, from their spread; zero for one term.

    The terms are shares of the estimated total and add up to at most one, so neither they nor
    the variance can overflow.
    """
    n_terms = terms.shape[1]
    squares = jnp.square(terms - terms.mean(axis=1, keepdims=True)).sum(axis=1)
    return squares * n_terms / max(n_terms - 1, 1)

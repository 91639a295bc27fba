"""Random inputs for losses, and the plain cross-entropy that they are compared with."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from segue.losses.softmax import FIRST_CANDIDATE


def plain_cross_entropy(hidden, embeddings, labels):
    """Cross-entropy from all logits at once; PAD and START are not candidates."""
    logits = hidden @ embeddings[FIRST_CANDIDATE:].T
    label_logits = jnp.sum(hidden * embeddings[labels], axis=1)
    return jax.nn.logsumexp(logits, axis=1) - label_logits


def loss_problem(positions: int, rows: int, dim: int = 5, seed: int = 0, scale: float = 1.0):
    """Random hidden states, output embeddings and labels."""
    random = np.random.default_rng(seed)
    hidden = scale * random.normal(size=(positions, dim)).astype(np.float32)
    embeddings = random.normal(size=(rows, dim)).astype(np.float32)
    labels = random.integers(FIRST_CANDIDATE, rows, positions).astype(np.int32)
    return jnp.asarray(hidden), jnp.asarray(embeddings), jnp.asarray(labels)


@partial(jax.jit, static_argnums=0)
def value_and_gradients(loss, hidden, embeddings, labels, weights):
    """Losses per position, and the gradients of their weighted sum."""

    def total(hidden, embeddings):
        losses = loss(hidden, embeddings, labels)
        return jnp.sum(losses * weights), losses

    gradients, losses = jax.grad(total, argnums=(0, 1), has_aux=True)(hidden, embeddings)
    return losses, *gradients

"""Small problems for losses, and the loss that all of them are measured against."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from segue.losses import FIRST_CANDIDATE


def plain_cross_entropy(hidden, table, labels):
    """All logits at once; PAD and START cannot be labels, so they are no candidates."""
    logits = hidden @ table[FIRST_CANDIDATE:].T
    own = jnp.sum(hidden * table[labels], axis=1)
    return jax.nn.logsumexp(logits, axis=1) - own


def problem(positions: int, rows: int, dim: int = 5, seed: int = 0, scale: float = 1.0):
    random = np.random.default_rng(seed)
    hidden = scale * random.normal(size=(positions, dim)).astype(np.float32)
    table = random.normal(size=(rows, dim)).astype(np.float32)
    labels = random.integers(FIRST_CANDIDATE, rows, positions).astype(np.int32)
    return jnp.asarray(hidden), jnp.asarray(table), jnp.asarray(labels)


@partial(jax.jit, static_argnums=0)
def value_and_gradients(loss, hidden, table, labels, weights):
    def total(hidden, table):
        losses = loss(hidden, table, labels)
        return jnp.sum(losses * weights), losses

    gradients, losses = jax.grad(total, argnums=(0, 1), has_aux=True)(hidden, table)
    return losses, *gradients

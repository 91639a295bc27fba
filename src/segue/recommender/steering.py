"""Steering: scores that the dials and examples of a request add, as further dense members.

The popularity dial adds a multiple of an item's standardised log count; liked and disliked items
add multiples of the cosine between their vectors and the item's. Both are inner products of a
state and a vector per item, so the search needs no other code for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int32, Int64

from segue.controls import Controls
from segue.recommender.search import States, Vectors

POPULARITY_NATS = 1.0
"""Added to the score of an item one standard deviation more popular than the mean, with the
popularity dial at 1."""
SIMILARITY_NATS = 5.0
"""Added to the score of an item whose vector has the direction of the liked item's."""
MIN_EXAMPLES = 8
"""Examples per request are padded to a power of two from this one up: few shapes to compile."""


def popularity_vectors(
    counts: Int64[np.ndarray, " vocabulary"], is_candidate: Bool[np.ndarray, " vocabulary"]
) -> Float32[np.ndarray, "vocabulary 1"]:
    """The log count per item, with mean 0 and standard deviation 1 over the candidates."""
    logs = np.log1p(counts.astype(np.float64))
    deviations = logs - logs[is_candidate].mean() if is_candidate.any() else logs
    spread = deviations[is_candidate].std() if is_candidate.any() else 0.0
    return (deviations / (spread or 1.0)).astype(np.float32)[:, None]


def steering_vectors(
    controls: Sequence[Controls],
    popularity: Callable[[], Array],
    unit_vectors: Callable[[], Vectors],
) -> Vectors:
    """The vectors per item that the controls of a block of requests add to the dense members.

    Args:
        controls: of each request.
        popularity: the vectors of ``popularity_vectors``, on the device; called if necessary.
        unit_vectors: the item vectors of each dense member, together of length 1; called if
            necessary.
    """
    vectors: Vectors = ()
    if _have_dials(controls):
        vectors += (popularity(),)
    if _have_examples(controls):
        vectors += unit_vectors()
    return vectors


def steering_states(
    controls: Sequence[Controls], n_rows: int, unit_vectors: Callable[[], Vectors]
) -> States:
    """The states that belong to ``steering_vectors``.

    Args:
        n_rows: number of rows of the states; those beyond the requests are zeros.
    """
    states: States = ()
    if _have_dials(controls):
        dials = np.zeros((n_rows, 1), np.float32)
        dials[: len(controls), 0] = [POPULARITY_NATS * row.popularity for row in controls]
        states += (jnp.asarray(dials),)
    if _have_examples(controls):
        states += _mixed(unit_vectors(), *_examples(controls, n_rows))
    return states


def _have_dials(controls: Sequence[Controls]) -> bool:
    """Whether there are dials, or examples: both at once would be a further shape to compile."""
    return any(row.popularity or row.has_examples for row in controls)


def _have_examples(controls: Sequence[Controls]) -> bool:
    return any(row.has_examples for row in controls)


def _examples(
    controls: Sequence[Controls], n_rows: int
) -> tuple[Int32[np.ndarray, "rows examples"], Float32[np.ndarray, "rows examples"]]:
    """The examples of each request and their weights; those of padding are 0."""
    n_examples = max(len(row.liked) + len(row.disliked) for row in controls)
    width = max(MIN_EXAMPLES, 1 << (n_examples - 1).bit_length())
    items = np.zeros((n_rows, width), np.int32)
    weights = np.zeros((n_rows, width), np.float32)
    for i, row in enumerate(controls):
        n_liked, n = len(row.liked), len(row.liked) + len(row.disliked)
        items[i, :n] = np.concatenate([row.liked, row.disliked])
        weights[i, :n_liked] = SIMILARITY_NATS / max(n_liked, 1)
        weights[i, n_liked:n] = -SIMILARITY_NATS / max(n - n_liked, 1)
    return items, weights


@jax.jit
def _mixed(
    vectors: Vectors,
    items: Int32[Array, "rows examples"],
    weights: Float[Array, "rows examples"],
) -> States:
    """Weighted sums of the vectors of each row's items."""
    return tuple(jnp.einsum("re,red->rd", weights, member[items]) for member in vectors)

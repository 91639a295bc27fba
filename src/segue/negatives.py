"""Where sampled losses draw their negatives from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, Key

from segue.axes import END


class Negatives(NamedTuple):
    """A draw of negatives.

    Attributes:
        items: rows of the item table; the same row can come more than once.
        log_expected: log of how often each is expected in the draw.
    """

    items: Int32[Array, "*axes"]
    log_expected: Float[Array, "*axes"]

    def hits(self, labels: Int32[Array, " position"]) -> Bool[Array, "position negative"]:
        """Where a negative is the label: of one draw a position, or one that all share."""
        return jnp.atleast_2d(self.items) == labels[:, None]


def uniform(key: Key[Array, ""], shape: tuple[int, ...], table_size: int) -> Negatives:
    """Draw from everything that can be a label, each row equally likely, with replacement.

    Args:
        shape: the last axis is the number of negatives of one draw.
        table_size: rows of the item table; END, UNK and the catalogue can be labels.
    """
    items = jax.random.randint(key, shape, END, table_size, dtype=jnp.int32)
    log_expected = math.log(shape[-1]) - math.log(table_size - END)
    return Negatives(items, jnp.full(shape, log_expected))


def log_uniform(key: Key[Array, ""], shape: tuple[int, ...], table_size: int) -> Negatives:
    """Draw by rank of popularity, about one over the rank, with replacement.

    Of n rows that can be labels, the one of rank r (from 0) has the probability
    log((r + 2) / (r + 1)) / log(n + 1), which telescopes to one: Zipf's law, as usual for
    candidates of a sampled softmax over words. Rows are in order of rank: END and UNK come
    first, then the catalogue, whose items are numbered by falling training count.

    Args:
        shape: the last axis is the number of negatives of one draw.
        table_size: rows of the item table; END, UNK and the catalogue can be labels.
    """
    n_ranks = table_size - END
    span = math.log(n_ranks + 1)
    coarse, fine = jax.random.uniform(key, (2, *shape))
    # A uniform float32 has 2**23 values, too few to come by every rank of a large table; a
    # second one spreads each over the gap to the next.
    place = jnp.exp(coarse * span) * (1 + fine * (span / 2**23))
    ranks = jnp.clip(place.astype(jnp.int32) - 1, 0, n_ranks - 1)
    probability = jnp.log1p(1 / (ranks + 1)) / span
    return Negatives(END + ranks, jnp.log(shape[-1] * probability))


PROPOSALS: Mapping[str, Callable[[Key[Array, ""], tuple[int, ...], int], Negatives]] = {
    "uniform": uniform,
    "log-uniform": log_uniform,
}
"""What negatives can be drawn from, by the name in the configuration."""

"""Where sampled losses draw their negatives from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, Key

from segue.axes import END, PAD


class Negatives(NamedTuple):
    """A draw of negatives.

    Attributes:
        items: rows of the item table; the same row can come more than once.
        log_expected: log of how often each is expected in the draw; infinite where a place
            holds no negative.
    """

    items: Int32[Array, "*axes"]
    log_expected: Float[Array, "*axes"]

    def hits(self, labels: Int32[Array, " position"]) -> Bool[Array, "position negative"]:
        """Where a negative is the label: of one draw a position, or one that all share."""
        return jnp.atleast_2d(self.items) == labels[:, None]


@dataclass(frozen=True)
class Proposal:
    """A distribution over the rows of an item table that can be labels.

    Attributes:
        draw: rows, with replacement, from a key, a shape and the rows of the table; END, UNK
            and the catalogue can be labels.
        log_probability: of such rows, in a table of so many.
    """

    draw: Callable[[Key[Array, ""], tuple[int, ...], int], Int32[Array, "*axes"]]
    log_probability: Callable[[Int32[Array, "*axes"], int], Float[Array, "*axes"]]

    def __call__(self, key: Key[Array, ""], shape: tuple[int, ...], table_size: int) -> Negatives:
        """Draw negatives; the last axis of the shape is the number of negatives of one draw."""
        items = self.draw(key, shape, table_size)
        log_expected = math.log(shape[-1]) + self.log_probability(items, table_size)
        return Negatives(items, log_expected)

    def with_labels(
        self,
        drawn: Negatives,
        labels: Int32[Array, " position"],
        log_shares: Float[Array, " table"],
        table_size: int,
    ) -> Negatives:
        """A draw that all positions share, and the labels of the batch as negatives beside it.

        A row is expected as often as both together bring it: it may come by either, and the
        sum over the catalogue that they estimate counts it once.

        Args:
            labels: rows; ``PAD`` is none.
            log_shares: the log of each row's share of the training labels.

        Source: negatives from the batch with a correction for their frequency are those of
        Yi et al., Sampling-bias-corrected neural modeling, RecSys 2019; mixed with another
        proposal, of Yang et al., Mixed negative sampling, WWW 2020.
        """
        items = jnp.concatenate([drawn.items, labels])
        is_label = labels != PAD
        own = math.log(len(drawn.items)) + self.log_probability(items, table_size)
        of_batch = jnp.log(is_label.sum().astype(jnp.float32)) + log_shares[items]
        is_negative = jnp.concatenate([jnp.ones(len(drawn.items), bool), is_label])
        return Negatives(items, jnp.where(is_negative, jnp.logaddexp(own, of_batch), jnp.inf))


def _draw_uniform(
    key: Key[Array, ""], shape: tuple[int, ...], table_size: int
) -> Int32[Array, "*axes"]:
    return jax.random.randint(key, shape, END, table_size, dtype=jnp.int32)


def _log_uniform_share(items: Int32[Array, "*axes"], table_size: int) -> Float[Array, "*axes"]:
    return jnp.full(items.shape, -math.log(table_size - END))


def _draw_by_rank(
    key: Key[Array, ""], shape: tuple[int, ...], table_size: int
) -> Int32[Array, "*axes"]:
    n_ranks = table_size - END
    span = math.log(n_ranks + 1)
    coarse, fine = jax.random.uniform(key, (2, *shape))
    # A uniform float32 has 2**23 values, too few to come by every rank of a large table; a
    # second one spreads each over the gap to the next. Beyond 2**24 a float32 holds every second
    # whole number only, so that in a table of that many rows every other rank is never drawn.
    place = jnp.exp(coarse * span) * (1 + fine * (span / 2**23))
    return END + jnp.clip(place.astype(jnp.int32) - 1, 0, n_ranks - 1)


def _log_share_of_rank(items: Int32[Array, "*axes"], table_size: int) -> Float[Array, "*axes"]:
    ranks = items - END
    return jnp.log(jnp.log1p(1 / (ranks + 1)) / math.log(table_size - END + 1))


uniform = Proposal(_draw_uniform, _log_uniform_share)
"""Each row that can be a label is equally likely."""

log_uniform = Proposal(_draw_by_rank, _log_share_of_rank)
"""By rank of popularity, about one over the rank.

Of n rows that can be labels, the one of rank r (from 0) has the probability
log((r + 2) / (r + 1)) / log(n + 1), which telescopes to one: Zipf's law, as usual for
candidates of a sampled softmax over words. Rows are in order of rank: END and UNK come
first, then the catalogue, whose items are numbered by falling training count.
"""

PROPOSALS: Mapping[str, Proposal] = {"uniform": uniform, "log-uniform": log_uniform}
"""What negatives can be drawn from, by the name in the configuration."""

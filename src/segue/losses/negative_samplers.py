"""Negative samplers for the sampled softmax: uniform and log-uniform."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, Key

from segue.tokens import END, PAD


class Negatives(NamedTuple):
    """A sample of negatives.

    Attributes:
        items: item indices, drawn with replacement.
        log_expected_counts: log of the expected number of occurrences of each item in the
            sample; infinite where an entry is not a negative.
    """

    items: Int32[Array, "*axes"]
    log_expected_counts: Float[Array, "*axes"]

    def accidental_hits(
        self, labels: Int32[Array, " position"]
    ) -> Bool[Array, "position negative"]:
        """Mask of the negatives that are equal to the label of their position.

        Works for negatives of shape (position, negative) and for (negative,), shared by all
        positions."""
        return jnp.atleast_2d(self.items) == labels[:, None]


@dataclass(frozen=True)
class NegativeSampler:
    """A distribution over the item indices that can be labels: END, UNK and the catalogue.

    Attributes:
        draw: draws indices with replacement, given a key, a shape and the vocabulary size.
        log_probability: the log probability of each index, given the vocabulary size.
    """

    draw: Callable[[Key[Array, ""], tuple[int, ...], int], Int32[Array, "*axes"]]
    log_probability: Callable[[Int32[Array, "*axes"], int], Float[Array, "*axes"]]

    def __call__(
        self, key: Key[Array, ""], shape: tuple[int, ...], vocabulary_size: int
    ) -> Negatives:
        """Draw negatives; the last axis of ``shape`` is the number of negatives per sample."""
        items = self.draw(key, shape, vocabulary_size)
        log_expected_counts = math.log(shape[-1]) + self.log_probability(items, vocabulary_size)
        return Negatives(items, log_expected_counts)

    def with_labels(
        self,
        shared: Negatives,
        labels: Int32[Array, " position"],
        log_label_shares: Float[Array, " vocabulary"],
        vocabulary_size: int,
    ) -> Negatives:
        """Append the labels of the batch to a shared sample, as in-batch negatives.

        The expected count of an item is the sum of its expected counts in the sample and among
        the labels. So the estimated sum over the catalogue counts the item once, whichever of
        the two it comes from.

        Args:
            shared: a sample that all positions share.
            labels: item indices; entries ``PAD`` are not negatives.
            log_label_shares: log of each item's share of the training labels.

        Source: in-batch negatives with a correction for their frequency: Yi et al.,
        Sampling-bias-corrected neural modeling, RecSys 2019. Mixed with a second negative
        sampler: Yang et al., Mixed negative sampling, WWW 2020.
        """
        items = jnp.concatenate([shared.items, labels])
        is_label = labels != PAD
        log_drawn = math.log(len(shared.items)) + self.log_probability(items, vocabulary_size)
        log_in_batch = jnp.log(is_label.sum().astype(jnp.float32)) + log_label_shares[items]
        is_negative = jnp.concatenate([jnp.ones(len(shared.items), bool), is_label])
        log_both = jnp.logaddexp(log_drawn, log_in_batch)
        return Negatives(items, jnp.where(is_negative, log_both, jnp.inf))


def _draw_uniform(
    key: Key[Array, ""], shape: tuple[int, ...], vocabulary_size: int
) -> Int32[Array, "*axes"]:
    return jax.random.randint(key, shape, END, vocabulary_size, dtype=jnp.int32)


def _uniform_log_probability(
    items: Int32[Array, "*axes"], vocabulary_size: int
) -> Float[Array, "*axes"]:
    return jnp.full(items.shape, -math.log(vocabulary_size - END))


def _draw_log_uniform(
    key: Key[Array, ""], shape: tuple[int, ...], vocabulary_size: int
) -> Int32[Array, "*axes"]:
    n_ranks = vocabulary_size - END
    log_range = math.log(n_ranks + 1)
    coarse, fine = jax.random.uniform(key, (2, *shape))
    # A uniform float32 has 2**23 values, too few to reach every rank of a large vocabulary; a
    # second one fills the gap to the next value. Beyond 2**24, float32 represents only every
    # second integer, so with that many items every other rank is never drawn.
    ranks_from_1 = jnp.exp(coarse * log_range) * (1 + fine * (log_range / 2**23))
    return END + jnp.clip(ranks_from_1.astype(jnp.int32) - 1, 0, n_ranks - 1)


def _log_uniform_log_probability(
    items: Int32[Array, "*axes"], vocabulary_size: int
) -> Float[Array, "*axes"]:
    ranks = items - END
    return jnp.log(jnp.log1p(1 / (ranks + 1)) / math.log(vocabulary_size - END + 1))


uniform = NegativeSampler(_draw_uniform, _uniform_log_probability)
"""Every index that can be a label is equally likely."""

log_uniform = NegativeSampler(_draw_log_uniform, _log_uniform_log_probability)
"""Probability about proportional to one over the popularity rank (Zipf's law).

Of n indices that can be labels, the one of rank r (from 0) has the probability
log((r + 2) / (r + 1)) / log(n + 1); the sum telescopes to one. This is the usual candidate
sampler of a sampled softmax over words. Indices are in order of rank: END and UNK first, then
the catalogue, whose items are numbered by descending training count.
"""

NEGATIVE_SAMPLERS: Mapping[str, NegativeSampler] = {"uniform": uniform, "log-uniform": log_uniform}
"""Negative samplers by their name in ``LossConfig.negative_sampler``."""

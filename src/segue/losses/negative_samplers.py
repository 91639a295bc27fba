"""Negative samplers for the sampled softmax: uniform and log-uniform."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, Key

from segue.dataset import PopularityOrder
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
class NegativeSampler(ABC):
    """A distribution over the item indices that can be labels: END, UNK and the catalogue.

    Attributes:
        vocabulary_size: number of special tokens and catalogue items.
        popularity_order: the vocabulary in order of popularity; may be None unless
            ``uses_popularity``.
    """

    vocabulary_size: int
    popularity_order: PopularityOrder | None = None

    uses_popularity: ClassVar[bool] = False

    @abstractmethod
    def draw(self, key: Key[Array, ""], shape: tuple[int, ...]) -> Int32[Array, "*axes"]:
        """Draw indices with replacement."""

    @abstractmethod
    def log_probability(self, items: Int32[Array, "*axes"]) -> Float[Array, "*axes"]:
        """The log probability of each index."""

    def sample(self, key: Key[Array, ""], shape: tuple[int, ...]) -> Negatives:
        """Draw negatives; the last axis of ``shape`` is the number of negatives per sample."""
        items = self.draw(key, shape)
        return Negatives(items, math.log(shape[-1]) + self.log_probability(items))

    def with_labels(
        self,
        shared: Negatives,
        labels: Int32[Array, " position"],
        log_label_shares: Float[Array, " vocabulary"],
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
        log_drawn = math.log(len(shared.items)) + self.log_probability(items)
        log_in_batch = jnp.log(is_label.sum().astype(jnp.float32)) + log_label_shares[items]
        is_negative = jnp.concatenate([jnp.ones(len(shared.items), bool), is_label])
        log_both = jnp.logaddexp(log_drawn, log_in_batch)
        return Negatives(items, jnp.where(is_negative, log_both, jnp.inf))


class Uniform(NegativeSampler):
    """Every index that can be a label is equally likely."""

    def draw(self, key: Key[Array, ""], shape: tuple[int, ...]) -> Int32[Array, "*axes"]:
        return jax.random.randint(key, shape, END, self.vocabulary_size, dtype=jnp.int32)

    def log_probability(self, items: Int32[Array, "*axes"]) -> Float[Array, "*axes"]:
        return jnp.full(items.shape, -math.log(self.vocabulary_size - END))


class LogUniform(NegativeSampler):
    """Probability about proportional to one over the popularity rank (Zipf's law).

    Of n indices that can be labels, the one of rank r (from 0) has the probability
    log((r + 2) / (r + 1)) / log(n + 1); the sum telescopes to one. This is the usual candidate
    sampler of a sampled softmax over words. END and UNK have the first ranks, then comes the
    catalogue by descending training count.
    """

    uses_popularity = True

    def draw(self, key: Key[Array, ""], shape: tuple[int, ...]) -> Int32[Array, "*axes"]:
        assert self.popularity_order is not None
        n_ranks = self.vocabulary_size - END
        log_range = math.log(n_ranks + 1)
        coarse, fine = jax.random.uniform(key, (2, *shape))
        # A uniform float32 has 2**23 values, too few to reach every rank of a large vocabulary; a
        # second one fills the gap to the next value. Beyond 2**24, float32 represents only every
        # second integer, so with that many items every other rank is never drawn.
        ranks_from_1 = jnp.exp(coarse * log_range) * (1 + fine * (log_range / 2**23))
        ranks = jnp.clip(ranks_from_1.astype(jnp.int32) - 1, 0, n_ranks - 1)
        return jnp.asarray(self.popularity_order.items)[END + ranks]

    def log_probability(self, items: Int32[Array, "*axes"]) -> Float[Array, "*axes"]:
        assert self.popularity_order is not None
        ranks = jnp.asarray(self.popularity_order.positions)[items] - END
        return jnp.log(jnp.log1p(1 / (ranks + 1)) / math.log(self.vocabulary_size - END + 1))


NEGATIVE_SAMPLERS: Mapping[str, type[NegativeSampler]] = {
    "uniform": Uniform,
    "log-uniform": LogUniform,
}
"""Negative samplers by their name in ``LossConfig.negative_sampler``."""

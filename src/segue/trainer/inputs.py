"""The inputs of a step: the constants of a run, and what the loss of one batch reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Key, Shaped

from segue.batches import Batch
from segue.config import Config, LossConfig
from segue.dataset import Dataset, PopularityOrder, readable_lengths
from segue.features import ItemFeatures
from segue.losses.negative_samplers import NEGATIVE_SAMPLERS, Negatives
from segue.tokens import END, N_SPECIALS, UNK
from segue.trainer.data import rows_are_targets


class StepConstants(NamedTuple):
    """Arrays that every step of a run reads and none changes. They are placed on the device once.

    Attributes:
        item_features: features of all items; None if the model reads none.
        popularity_order: the vocabulary in order of popularity; None unless negatives are drawn by
            it.
        log_shares: log of each row's share of the training labels; None unless the labels of a
            batch serve as negatives.
    """

    item_features: ItemFeatures | None = None
    popularity_order: PopularityOrder | None = None
    log_shares: Float[Array | np.ndarray, " vocabulary"] | None = None


class StepInputs(NamedTuple):
    """What the loss of one batch reads besides the parameters.

    Attributes:
        item_features: features of the items that the model reads, if any.
        batch: tokens, labels, weights and sequence features, in buckets.
        negatives: negatives of the sampled softmax; None for the exact softmax.
    """

    item_features: ItemFeatures | None
    batch: Batch
    negatives: Negatives | None = None


def step_inputs(
    config: LossConfig,
    constants: StepConstants,
    batch: Batch,
    vocabulary_size: int,
    key: Key[Array, ""],
) -> StepInputs:
    """The inputs of the loss of a batch, with negatives drawn for the sampled softmax.

    With ``config.in_batch`` the negatives include the labels of the batch.
    """
    inputs = StepInputs(constants.item_features, batch)
    if config.kind == "softmax":
        return inputs
    labels = flat_labels(batch)
    negative_sampler = NEGATIVE_SAMPLERS[config.negative_sampler](
        vocabulary_size, constants.popularity_order
    )
    draws = () if config.shared_negatives else (len(labels),)
    negatives = negative_sampler.sample(key, (*draws, config.negatives))
    if config.in_batch:
        assert constants.log_shares is not None
        negatives = negative_sampler.with_labels(
            negatives, labels, jnp.asarray(constants.log_shares)
        )
    return inputs._replace(negatives=negatives)


def flat_labels(batch: Batch) -> Int32[Array, " labels"]:
    """The labels of all buckets of a batch, in row-major order."""
    return end_to_end([bucket.labels for bucket in batch])


def end_to_end(arrays: Sequence[Any]) -> Shaped[Array, " values"]:
    """The values of some arrays, such as one of each bucket, in one array."""
    return jnp.concatenate([jnp.asarray(array).reshape(-1) for array in arrays])


def draws_by_popularity(config: LossConfig) -> bool:
    """Whether the loss draws negatives by popularity."""
    sampler = NEGATIVE_SAMPLERS[config.negative_sampler]
    return config.kind == "sampled-softmax" and sampler.uses_popularity


def log_shares(
    data: Dataset, config: Config, unknown_rate: float
) -> Float32[np.ndarray, " vocabulary"]:
    """The log of each row's share of the training labels, for the log-q correction.

    A row that is never a label counts as one that occurs once, so that its log is finite.

    Args:
        unknown_rate: share of the events that training batches replace by UNK.
    """
    counts = data.items.training_counts[: data.vocabulary_size].astype(np.float64)
    if not rows_are_targets(config, data):
        # Events are replaced by UNK before the labels are taken from them.
        counts[UNK] = unknown_rate * counts.sum()
        counts[N_SPECIALS:] *= 1 - unknown_rate
    if config.model.end:
        counts[END] = np.count_nonzero(readable_lengths(data.sequences))
    counts = np.maximum(counts, 1)
    return np.log(counts / counts.sum()).astype(np.float32)

"""The loss of a batch: softmax or sampled softmax cross-entropy, and the draw of negatives."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Key

from segue.batches import Batch
from segue.config import Config, LossConfig
from segue.dataset import Dataset, readable_lengths
from segue.features import Features, ItemFeatures
from segue.losses import sampled_softmax, softmax_cross_entropy, weighted_mean
from segue.losses.negative_samplers import NEGATIVE_SAMPLERS, Negatives
from segue.model import Transformer
from segue.tokens import END, PAD, UNK
from segue.trainer.data import rows_are_targets, unknown_rate


class LossConstants(NamedTuple):
    """Arrays that every step reads and none changes.

    Attributes:
        features: features of all items; None if the model reads none.
        log_shares: log of each row's share of the training labels; None unless the labels of a
            batch serve as negatives.
    """

    features: ItemFeatures | None = None
    log_shares: Float[Array | np.ndarray, " vocabulary"] | None = None


NO_CONSTANTS = LossConstants()


def loss_constants(data: Dataset, config: Config, features: Features) -> LossConstants:
    """Compute the constants of a run from its dataset."""
    return LossConstants(features.items, log_shares(data, config) if config.loss.in_batch else None)


def log_shares(data: Dataset, config: Config) -> Float32[np.ndarray, " vocabulary"]:
    """The log of each row's share of the training labels, for the log-q correction.

    A row that is never a label counts as one that occurs once, so that its log is finite.
    """
    counts = data.items.training_counts[: data.vocabulary_size].astype(np.float64)
    if not rows_are_targets(config, data):
        # Events are replaced by UNK before the labels are taken from them.
        rate = unknown_rate(config.training, data)
        counts[UNK] = rate * counts.sum()
        counts[UNK + 1 :] *= 1 - rate
    if config.model.end:
        counts[END] = np.count_nonzero(readable_lengths(data.sequences))
    counts = np.maximum(counts, 1)
    return np.log(counts / counts.sum()).astype(np.float32)


def draw_negatives(
    config: LossConfig,
    batch: Batch,
    constants: LossConstants,
    vocabulary_size: int,
    key: Key[Array, ""],
) -> Negatives | None:
    """Draw the negatives of a batch for the sampled softmax; None for the exact softmax.

    With ``config.in_batch`` they include the labels of the batch.
    """
    if config.kind == "softmax":
        return None
    labels = jnp.asarray(batch.labels).reshape(-1)
    negative_sampler = NEGATIVE_SAMPLERS[config.negative_sampler]
    draws = () if config.shared_negatives else (len(labels),)
    drawn = negative_sampler(key, (*draws, config.negatives), vocabulary_size)
    if not config.in_batch:
        return drawn
    assert constants.log_shares is not None
    return negative_sampler.with_labels(
        drawn, labels, jnp.asarray(constants.log_shares), vocabulary_size
    )


def batch_loss(
    model: Transformer,
    features: ItemFeatures | None,
    batch: Batch,
    negatives: Negatives | None,
    config: LossConfig,
    key: Key[Array, ""] | None,
) -> Float[Array, ""]:
    """Weighted mean loss over the labels of a batch, in nats; PAD labels have weight 0.

    Args:
        model: the model.
        features: features of the items that the model reads, if any.
        batch: tokens, labels and weights.
        negatives: negatives of the sampled softmax; None for the exact softmax.
        config: of the loss.
        key: random key of dropout; None for no dropout.
    """
    labels = jnp.asarray(batch.labels).reshape(-1)
    hidden = hidden_at_labels(model, features, batch, key)
    if negatives is None:
        losses = softmax_cross_entropy(hidden, model.output_embeddings(features), labels)
    else:
        losses = sampled_softmax(
            hidden,
            model.output_embeddings_at(labels, features),
            model.output_embeddings_at(negatives.items, features),
            negatives.accidental_hits(labels),
            negatives.log_expected_counts if config.log_q else None,
            config.estimator,
        )
    weights = (labels != PAD).astype(losses.dtype)
    if batch.weights is not None:
        weights = weights * jnp.asarray(batch.weights).reshape(-1)
    return weighted_mean(losses, weights)


def hidden_at_labels(
    model: Transformer,
    features: ItemFeatures | None,
    batch: Batch,
    key: Key[Array, ""] | None,
) -> Float[Array, "label dim"]:
    """The hidden state that predicts each label of a batch, in row-major order."""
    tokens = jnp.asarray(batch.tokens)
    if batch.last_positions is not None:
        return model.states_at(
            tokens, jnp.asarray(batch.last_positions), features, batch.sequence_features, key
        )
    hidden = model(tokens, features, batch.sequence_features, key)
    return hidden.reshape(-1, hidden.shape[-1])

"""The loss of a batch: softmax or sampled softmax cross-entropy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from segue.config import LossConfig
from segue.losses import (
    fits_in_rows,
    sampled_softmax,
    softmax_cross_entropy,
    softmax_loss_sum,
    weighted_mean,
)
from segue.model import Transformer
from segue.tokens import PAD
from segue.trainer.inputs import StepInputs, end_to_end, flat_labels


def batch_loss(
    model: Transformer, inputs: StepInputs, config: LossConfig, key: Key[Array, ""] | None
) -> Float[Array, ""]:
    """Weighted mean loss over the labels of a batch, in nats; PAD labels have weight 0.

    Args:
        model: the model.
        inputs: the batch, item features and negatives.
        config: of the loss.
        key: random key of dropout; None for no dropout.
    """
    return loss_of_states(model, hidden_at_labels(model, inputs, key), inputs, config)


def loss_of_states(
    model: Transformer, hidden: Float[Array, "label dim"], inputs: StepInputs, config: LossConfig
) -> Float[Array, ""]:
    """The same loss from the hidden states at the labels."""
    item_features, batch, negatives = inputs
    labels = flat_labels(batch)
    weights = (labels != PAD).astype(hidden.dtype)
    if batch[0].weights is not None:
        weights = weights * end_to_end([bucket.weights for bucket in batch])
    if negatives is None:
        embeddings = model.output_embeddings(item_features)
        if fits_in_rows(len(embeddings)):
            return weighted_mean(softmax_loss_sum(hidden, embeddings, labels, weights), weights)
        losses = softmax_cross_entropy(hidden, embeddings, labels)
    else:
        losses = sampled_softmax(
            hidden,
            model.output_embeddings_at(labels, item_features),
            model.output_embeddings_at(negatives.items, item_features),
            negatives.accidental_hits(labels),
            negatives.log_expected_counts if config.log_q else None,
            config.estimator,
        )
    return weighted_mean(jnp.sum(losses * weights), weights)


def hidden_at_labels(
    model: Transformer, inputs: StepInputs, key: Key[Array, ""] | None
) -> Float[Array, "label dim"]:
    """The hidden state that predicts each label of a batch, in row-major order."""
    item_features, batch, _ = inputs
    tokens = [jnp.asarray(bucket.tokens) for bucket in batch]
    positions, sequence_features = None, None
    if batch[0].last_positions is not None:
        positions = end_to_end([bucket.last_positions for bucket in batch])
    if batch[0].sequence_features is not None:
        sequence_features = jax.tree.map(
            lambda *rows: jnp.concatenate(rows), *(bucket.sequence_features for bucket in batch)
        )
    return model.states_of_buckets(tokens, positions, item_features, sequence_features, key)

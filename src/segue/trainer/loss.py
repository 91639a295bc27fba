"""The loss of a batch: what it compares the labels with, and what it reads of the model."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Key

from segue.axes import END, PAD, UNK
from segue.batches import Batch
from segue.config import Config, LossConfig
from segue.dataset import Dataset
from segue.features import Features, ItemFeatures
from segue.losses import mean_over, sampled_softmax, softmax_cross_entropy
from segue.model import Transformer
from segue.negatives import PROPOSALS, Negatives
from segue.trainer.examples import rows_are_targets, unknown_rate


class Known(NamedTuple):
    """What steps read and never change.

    Attributes:
        features: of the items, where the model reads some.
        log_shares: the log of each row's share of the training labels, where labels are
            negatives.
    """

    features: ItemFeatures | None = None
    log_shares: Float[Array | np.ndarray, " table"] | None = None


NOTHING_KNOWN = Known()


def known_of(data: Dataset, config: Config, features: Features) -> Known:
    """What the steps of a run read of the dataset's items."""
    return Known(features.items, log_shares(data, config) if config.loss.in_batch else None)


def log_shares(data: Dataset, config: Config) -> Float32[np.ndarray, " table"]:
    """The log of each row's share of the training labels.

    A row that was never one counts as one that was once: its logit is corrected by a number.
    """
    counts = data.items.training_counts[: data.table_size].astype(np.float64)
    if not rows_are_targets(config, data):
        # UNK is put in the place of events before some of them become labels.
        unknown = unknown_rate(config.training, data)
        counts[UNK] = unknown * counts.sum()
        counts[UNK + 1 :] *= 1 - unknown
    if config.model.end:
        counts[END] = np.count_nonzero(data.sequences.train_end)
    counts = np.maximum(counts, 1)
    return np.log(counts / counts.sum()).astype(np.float32)


def draw_negatives(
    config: LossConfig, batch: Batch, known: Known, table_size: int, key: Key[Array, ""]
) -> Negatives | None:
    """What a sampled loss compares the labels of a batch with; None for an exact one."""
    if config.kind == "softmax":
        return None
    labels = jnp.asarray(batch.labels).reshape(-1)
    proposal = PROPOSALS[config.proposal]
    draws = () if config.shared_negatives else (len(labels),)
    drawn = proposal(key, (*draws, config.negatives), table_size)
    if not config.in_batch:
        return drawn
    assert known.log_shares is not None
    return proposal.with_labels(drawn, labels, jnp.asarray(known.log_shares), table_size)


def batch_loss(
    model: Transformer,
    features: ItemFeatures | None,
    batch: Batch,
    negatives: Negatives | None,
    config: LossConfig,
    key: Key[Array, ""] | None,
) -> Float[Array, ""]:
    """Weighted mean loss over the labels of a batch, in nats; PAD never counts.

    Args:
        negatives: of a sampled loss.
        key: of dropout, which there is none of without it.
    """
    labels = jnp.asarray(batch.labels).reshape(-1)
    hidden = hidden_at_labels(model, features, batch, key)
    if negatives is None:
        losses = softmax_cross_entropy(hidden, model.output_table(features), labels)
    else:
        losses = sampled_softmax(
            hidden,
            model.output_rows(labels, features),
            model.output_rows(negatives.items, features),
            negatives.hits(labels),
            negatives.log_expected if config.log_q else None,
            config.estimator,
        )
    weights = (labels != PAD).astype(losses.dtype)
    if batch.weights is not None:
        weights = weights * jnp.asarray(batch.weights).reshape(-1)
    return mean_over(losses, weights)


def hidden_at_labels(
    model: Transformer,
    features: ItemFeatures | None,
    batch: Batch,
    key: Key[Array, ""] | None,
) -> Float[Array, "label dim"]:
    """The state that predicts each label of a batch, row by row."""
    tokens = jnp.asarray(batch.tokens)
    if batch.last is not None:
        return model.last(tokens, jnp.asarray(batch.last), features, batch.told, key)
    hidden = model(tokens, features, batch.told, key)
    return hidden.reshape(-1, hidden.shape[-1])

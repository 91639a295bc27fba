"""The training and validation batches of a run, from its dataset and configuration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segue.batches import (
    SequenceBatches,
    SequenceFeatureTable,
    TargetBatches,
    TrainingBatches,
    check_ratings,
)
from segue.config import Config, TrainingConfig
from segue.dataset import Dataset, training_targets
from segue.errors import ConfigError
from segue.features import SequenceVocabulary
from segue.model import HEADS
from segue.recommender import prompt_layout

VALIDATION_SEED = 0
"""Seed of the sample of validation sequences: independent of ``training.seed``, so that runs with
different seeds validate on the same sequences and can be compared."""


def training_batches(
    data: Dataset, config: Config, vocabulary: SequenceVocabulary
) -> TrainingBatches:
    """Create the training batches of a run; there is at least one.

    Args:
        data: the dataset.
        config: the configuration.
        vocabulary: values of the sequence features that the model reads.

    Raises:
        ConfigError: the configuration does not fit the dataset or the model, or no sequence has
            enough training events.
        DatasetError: a rating is outside ``training.rating_scale``, or there are no ratings.
    """
    training = config.training.model_copy(
        update={"unknown_rate": unknown_rate(config.training, data)}
    )
    if training.rating_scale is not None:
        check_ratings(data.sequences, training.rating_scale)
    layout = prompt_layout(config.model, data.vocabulary_size)
    sequence_features = _sequence_feature_table(data, vocabulary)
    batches: TrainingBatches
    if rows_are_targets(config, data):
        _check_target_rows(training)
        batches = TargetBatches(
            data.sequences,
            training_targets(data.sequences, data.split_rule),
            layout,
            training,
            _history_length(config, data),
            sequence_features,
        )
    else:
        batches = SequenceBatches(data.sequences, layout, training, sequence_features)
    if not len(batches):
        raise ConfigError(
            "no sequence of the dataset has enough training events",
            "a sequence needs two, or one if model.start is true, or four if training.rows is "
            "'targets'",
        )
    return batches


def validation_batches(
    data: Dataset, config: Config, vocabulary: SequenceVocabulary
) -> TrainingBatches:
    """Create the batches for the validation loss: each held-out label once.

    At most ``training.validation_sequences`` sequences are sampled. If the split holds out whole
    sequences, a row is a whole sequence; otherwise it is one target and the events before it.

    Args:
        data: the dataset.
        config: the configuration.
        vocabulary: values of the sequence features that the model reads.
    """
    changes = {"unknown_rate": 0.0, "feature_dropout": 0.0, "epochs": 1, "window": "last"}
    changes |= {"horizon": 1, "rating_scale": None}
    training = config.training.model_copy(update=changes)
    sequences = data.sequences
    layout = prompt_layout(config.model, data.vocabulary_size)
    sequence_features = _sequence_feature_table(data, vocabulary)
    # A model without START cannot predict the first event of a sequence.
    earliest = 0 if layout.start else 1
    rows = data.target_rows("validation", earliest=earliest)
    limit = min(training.validation_sequences, len(rows))
    sample = np.random.default_rng(VALIDATION_SEED).choice(rows, limit, replace=False)
    if data.split_rule.whole_sequences and not rows_are_targets(config, data):
        ends = np.zeros_like(sequences.train_end)
        ends[sample] = sequences.lengths[sample]
        held_out = replace(sequences, train_end=ends)
        return SequenceBatches(held_out, layout, training, sequence_features)
    targets = data.targets("validation", "every", rows=np.sort(sample), earliest=earliest)
    events = sequences.offsets[targets.rows] + targets.positions
    window = _history_length(config, data)
    return TargetBatches(sequences, events, layout, training, window, sequence_features)


def rows_are_targets(config: Config, data: Dataset) -> bool:
    """Whether a row of a batch is one target and the events before it, not a whole sequence.

    Raises:
        ConfigError: the split or the head needs such rows, but ``training.rows`` is 'sequences'.
    """
    head_needs_targets = HEADS[config.model.head].one_state_per_sequence
    needed = data.split_rule.needs_target_rows or head_needs_targets
    if needed and config.training.rows == "sequences":
        reason = (
            f"the head {config.model.head}"
            if head_needs_targets
            else f"the split {data.split_rule.kind}"
        )
        raise ConfigError(
            f"training.rows is 'sequences', but {reason} has one label per row",
            "leave training.rows out, or set it to 'targets'",
        )
    return needed or config.training.rows == "targets"


def _check_target_rows(training: TrainingConfig) -> None:
    """Refuse options that have no effect if a row of a batch is one target."""
    if training.horizon > 1:
        message = f"training.horizon is {training.horizon}, but a row has one target as its label"
        raise ConfigError(message, "set training.horizon=1")
    if training.bucket_by_length:
        message = "training.bucket_by_length sorts whole sequences, but a row is one target"
        raise ConfigError(message, "set training.bucket_by_length=false")


def _history_length(config: Config, data: Dataset) -> int:
    """Number of events that a target is predicted from: the split's window, or the context."""
    window = data.split_rule.window
    return config.model.context if window is None else window


def _sequence_feature_table(
    data: Dataset, vocabulary: SequenceVocabulary
) -> SequenceFeatureTable | None:
    if not vocabulary.values:
        return None
    return SequenceFeatureTable(vocabulary.encode_rows(data.sequences), vocabulary.feature_slots)


def unknown_rate(training: TrainingConfig, data: Dataset) -> float:
    """The share of the training events to replace by UNK: ``training.unknown_rate``.

    With ``good-turing`` it is the Good-Turing estimate of the share of events whose item does
    not occur in training: the share of training events whose item occurs once.

    Source: Good, The population frequencies of species and the estimation of population
    parameters, Biometrika 40, 1953.
    """
    if training.unknown_rate != "good-turing":
        return training.unknown_rate
    counts = data.items.training_counts
    return float(np.count_nonzero(counts == 1) / max(counts.sum(), 1))

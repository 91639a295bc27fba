"""The training and validation batches of a run, from its dataset and configuration."""

from __future__ import annotations

import numpy as np

from segue.batches import Batches, BatchOptions, SequenceBatches, TargetBatches, check_ratings
from segue.config import Config, TrainingConfig
from segue.dataset import Dataset, part_spans, training_spans, training_targets
from segue.errors import ConfigError
from segue.features import Features
from segue.model import HEADS
from segue.recommender import prompt_layout

VALIDATION_SEED = 0
"""Seed of the sample of validation sequences: independent of ``training.seed``, so that runs with
different seeds validate on the same sequences and can be compared."""


def batch_options(training: TrainingConfig, data: Dataset) -> BatchOptions:
    """How the training batches are drawn: as the configuration says."""
    return BatchOptions(
        batch_size=training.batch_size,
        epochs=training.epochs,
        seed=training.seed,
        window=training.window,
        horizon=training.horizon,
        bucket_by_length=training.bucket_by_length,
        unknown_rate=_unknown_rate(training, data),
        feature_dropout=training.feature_dropout,
        rating_scale=training.rating_scale,
    )


def training_batches(
    data: Dataset, config: Config, features: Features, options: BatchOptions | None = None
) -> Batches:
    """Create the training batches of a run; there is at least one.

    Args:
        data: the dataset.
        config: the configuration.
        features: the features that the model reads.
        options: how the batches are drawn; by default as the configuration says.

    Raises:
        ConfigError: the configuration does not fit the dataset or the model, or no sequence has
            enough training events.
        DatasetError: a rating is outside ``training.rating_scale``, or there are no ratings.
    """
    sequences = data.sequences
    options = options or batch_options(config.training, data)
    if options.rating_scale is not None:
        check_ratings(sequences, options.rating_scale)
    layout = prompt_layout(config.model, data.vocabulary_size)
    batches: Batches
    if rows_are_targets(config, data):
        _check_target_rows(options)
        # A model without START cannot predict the first event of a sequence.
        earliest = 0 if layout.start else 1
        targets = training_targets(sequences, data.split_rule, earliest=earliest)
        history_length = _history_length(config, data)
        batches = TargetBatches(sequences, targets, layout, options, history_length, features)
    else:
        spans = training_spans(sequences)
        batches = SequenceBatches(sequences, spans, layout, options, features)
    if not len(batches):
        raise ConfigError(
            "no sequence of the dataset has enough training events",
            "a sequence needs two, or one if model.start is true, or four under the split windows",
        )
    return batches


def validation_batches(data: Dataset, config: Config, features: Features) -> Batches:
    """Create the batches for the validation loss: each held-out label once, unchanged.

    At most ``training.validation_sequences`` sequences are sampled. If the split holds out whole
    sequences, a row is a whole sequence; otherwise it is one target and the events before it.

    Args:
        data: the dataset.
        config: the configuration.
        features: the features that the model reads.
    """
    training, sequences = config.training, data.sequences
    options = BatchOptions(
        training.batch_size, seed=training.seed, bucket_by_length=training.bucket_by_length
    )
    layout = prompt_layout(config.model, data.vocabulary_size)
    # A model without START cannot predict the first event of a sequence.
    earliest = 0 if layout.start else 1
    rows = data.target_rows("validation", earliest=earliest)
    limit = min(training.validation_sequences, len(rows))
    rows = np.sort(np.random.default_rng(VALIDATION_SEED).choice(rows, limit, replace=False))
    if data.split_rule.whole_sequences and not rows_are_targets(config, data):
        spans = part_spans(sequences, "validation", rows)
        return SequenceBatches(sequences, spans, layout, options, features)
    targets = data.targets("validation", "every", rows=rows, earliest=earliest)
    events = sequences.offsets[targets.rows] + targets.positions
    history_length = _history_length(config, data)
    return TargetBatches(sequences, events, layout, options, history_length, features)


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


def _check_target_rows(options: BatchOptions) -> None:
    """Refuse options that have no effect if a row of a batch is one target."""
    if options.horizon > 1:
        message = f"training.horizon is {options.horizon}, but a row has one target as its label"
        raise ConfigError(message, "set training.horizon=1")


def _history_length(config: Config, data: Dataset) -> int:
    """Number of events that a target is predicted from: the split's window, or the context."""
    window = data.split_rule.window
    return config.model.context if window is None else window


def _unknown_rate(training: TrainingConfig, data: Dataset) -> float:
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

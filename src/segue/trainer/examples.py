"""What a run trains and validates on: the batches that go with a dataset and a configuration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segue.batches import (
    Layout,
    SequenceBatches,
    TargetBatches,
    Told,
    TrainingBatches,
    check_ratings,
)
from segue.config import Config, TrainingConfig
from segue.dataset import Dataset, target_rows, targets
from segue.errors import ConfigError
from segue.features import SequenceVocabulary

VALIDATION_SEED = 0
"""Of the draw of sequences to validate on: the same for runs of every seed, to be compared."""


def training_batches(
    data: Dataset, config: Config, vocabulary: SequenceVocabulary
) -> TrainingBatches:
    """The training batches of a run; there is at least one.

    Raises:
        ConfigError: the configuration asks for what the dataset or the model does not have,
            or leaves nothing to train on.
        DatasetError: a rating lies outside the scale.
    """
    training = config.training.model_copy(
        update={"unknown_rate": unknown_rate(config.training, data)}
    )
    if training.rating_scale is not None:
        check_ratings(data.sequences, training.rating_scale)
    layout, told = Layout.of(config.model, data.table_size), _told(data, vocabulary)
    batches: TrainingBatches
    if rows_are_targets(config, data):
        _check_for_targets(training)
        batches = TargetBatches(data.sequences, layout, training, _window(config, data), told)
    else:
        batches = SequenceBatches(data.sequences, layout, training, told)
    if not len(batches):
        raise ConfigError(
            "no sequence of the dataset has anything to train on",
            "it takes two training events, or one where model.start is set; four where a row "
            "is a target",
        )
    return batches


def validation_batches(
    data: Dataset, config: Config, vocabulary: SequenceVocabulary
) -> TrainingBatches:
    """Batches of held-out labels, of at most ``validation_sequences`` sequences, once each.

    Under the split ``holdout`` these are whole sequences, elsewhere single targets with
    the events before them.
    """
    chosen = {"unknown_rate": 0.0, "feature_dropout": 0.0, "epochs": 1, "window": "last"}
    chosen |= {"horizon": 1, "rating_scale": None}
    training = config.training.model_copy(update=chosen)
    sequences, split = data.sequences, data.manifest.split
    layout, told = Layout.of(config.model, data.table_size), _told(data, vocabulary)
    # Nothing can be predicted from nothing: the first events of all are not asked for.
    earliest = 0 if layout.start else 1
    rows = target_rows(sequences, split, "validation", earliest=earliest)
    limit = min(training.validation_sequences, len(rows))
    drawn = np.random.default_rng(VALIDATION_SEED).choice(rows, limit, replace=False)
    if split.kind == "holdout" and not rows_are_targets(config, data):
        ends = np.zeros_like(sequences.train_end)
        ends[drawn] = sequences.lengths[drawn]
        held_out = replace(sequences, train_end=ends)
        return SequenceBatches(held_out, layout, training, told)
    found = targets(sequences, split, "validation", "every", rows=np.sort(drawn), earliest=earliest)
    places = sequences.offsets[found.rows] + found.positions
    window = _window(config, data)
    return TargetBatches(sequences, layout, training, window, told, places)


def rows_are_targets(config: Config, data: Dataset) -> bool:
    """Whether a row of a batch is one target and the events before it.

    Raises:
        ConfigError: it has to be, and the configuration says otherwise.
    """
    needed = data.manifest.split.kind == "windows" or config.model.head == "flatten"
    if needed and config.training.rows == "sequences":
        why = "the split windows" if config.model.head != "flatten" else "the head flatten"
        raise ConfigError(
            f"training.rows is 'sequences', but {why} has one label a row",
            "leave it out, or set it to 'targets'",
        )
    return needed or config.training.rows == "targets"


def _check_for_targets(training: TrainingConfig) -> None:
    """Refuse what has no effect where a row of a batch is one target."""
    if training.horizon > 1:
        message = f"training.horizon is {training.horizon}, but the label of a row is its target"
        raise ConfigError(message, "set training.horizon=1")
    if training.bucket:
        message = "training.bucket sorts sequences by length, but a row is a target"
        raise ConfigError(message, "set training.bucket=false")


def _window(config: Config, data: Dataset) -> int:
    """Events that a target is predicted from: those of the split, where it says so."""
    split = data.manifest.split
    return split.window if split.kind == "windows" else config.model.context


def _told(data: Dataset, vocabulary: SequenceVocabulary) -> Told | None:
    if not vocabulary.values:
        return None
    return Told(vocabulary.encode_rows(data.sequences), vocabulary.slots)


def unknown_rate(training: TrainingConfig, data: Dataset) -> float:
    """The share of the events that are replaced by UNK, as a number.

    Source: Good, The population frequencies of species and the estimation of population
    parameters, Biometrika 40, 1953: what is met once estimates what was never met.
    """
    if training.unknown_rate != "good-turing":
        return training.unknown_rate
    counts = data.items.training_counts
    return float(np.count_nonzero(counts == 1) / max(counts.sum(), 1))

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


def training_batches(
    data: Dataset, config: Config, vocabulary: SequenceVocabulary
) -> TrainingBatches:
    """The training batches of a run; there is at least one.

    Raises:
        ConfigError: the configuration asks for what the dataset or the model does not have,
            or leaves nothing to train on.
        DatasetError: a rating lies outside the scale.
    """
    training = _settled(config.training, data)
    if training.rating_scale is not None:
        check_ratings(data.sequences, training.rating_scale)
    layout, told = Layout.of(config.model, data.table_size), _told(data, vocabulary)
    batches: TrainingBatches
    if _rows_are_targets(config, data):
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
    drawn = np.random.default_rng(training.seed).choice(rows, limit, replace=False)
    if split.kind == "holdout" and not _rows_are_targets(config, data):
        ends = np.zeros_like(sequences.train_end)
        ends[drawn] = sequences.lengths[drawn]
        held_out = replace(sequences, train_end=ends)
        return SequenceBatches(held_out, layout, training, told)
    found = targets(sequences, split, "validation", "every", rows=np.sort(drawn), earliest=earliest)
    places = sequences.offsets[found.rows] + found.positions
    window = _window(config, data)
    return TargetBatches(sequences, layout, training, window, told, places)


def _rows_are_targets(config: Config, data: Dataset) -> bool:
    needed = data.manifest.split.kind == "windows" or config.model.head == "flatten"
    if needed and config.training.rows == "sequences":
        why = "the split windows" if config.model.head != "flatten" else "the head flatten"
        raise ConfigError(
            f"training.rows is 'sequences', but {why} has one label a row",
            "leave it out, or set it to 'targets'",
        )
    return needed or config.training.rows == "targets"


def _window(config: Config, data: Dataset) -> int:
    """Events that a target is predicted from: those of the split, where it says so."""
    split = data.manifest.split
    return split.window if split.kind == "windows" else config.model.context


def _told(data: Dataset, vocabulary: SequenceVocabulary) -> Told | None:
    if not vocabulary.values:
        return None
    return Told(vocabulary.encode_all(data.sequences), vocabulary.slots)


def _settled(training: TrainingConfig, data: Dataset) -> TrainingConfig:
    """The configuration with the rate of unknown items as a number.

    Source: Good, The population frequencies of species and the estimation of population
    parameters, Biometrika 40, 1953: what is met once estimates what was never met.
    """
    if training.unknown_rate != "good-turing":
        return training
    counts = data.items.training_counts
    rate = float(np.count_nonzero(counts == 1) / max(counts.sum(), 1))
    return training.model_copy(update={"unknown_rate": rate})

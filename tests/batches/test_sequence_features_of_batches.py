"""Sequence features of training batches: alignment with the rows, and feature dropout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import batch_options, sequence_batches, small_sequences, target_batches

from segue.batches import Batches, PromptLayout, SequenceBatches, TargetBatches
from segue.features import (
    MAX_FEATURE_IDS,
    USER,
    FeatureIds,
    Features,
    FeatureSizes,
    SequenceVocabulary,
)
from segue.tokens import N_SPECIALS

N_ROWS, LENGTH = 30, 5
VOCABULARY = SequenceVocabulary({USER: [], "name": []})
"""Two features: the first with one slot, the second with ``MAX_FEATURE_IDS``."""


def row_features() -> Features:
    """The ids of each sequence follow from its row number."""
    numbers = np.arange(1, N_ROWS + 1, dtype=np.int32)[:, None]
    ids = numbers + 100 * np.arange(1 + MAX_FEATURE_IDS, dtype=np.int32)
    feature_ids = FeatureIds(ids, np.full(ids.shape, 0.5, np.float32))
    return Features(None, feature_ids, VOCABULARY, FeatureSizes())


def feature_batches(kind: type[Batches], features: Features, **options) -> Batches:
    """Sequences whose items identify the row; every other one has no training events."""
    rows = [[N_SPECIALS + row] * LENGTH for row in range(N_ROWS)]
    sequences = small_sequences(rows, [LENGTH * (row % 2) for row in range(N_ROWS)])
    layout = PromptLayout(4, N_SPECIALS + N_ROWS, start=True, end=False)
    if kind is TargetBatches:
        return target_batches(sequences, layout, batch_options(**options), 4, features)
    return sequence_batches(sequences, layout, batch_options(**options), features)


kinds = pytest.mark.parametrize("kind", [SequenceBatches, TargetBatches])


@kinds
@given(seed=st.integers(0, 9), batch_size=st.integers(1, 9))
def test_features_belong_to_the_sequence_of_the_row(kind, seed, batch_size):
    features = row_features()
    assert features.sequences is not None
    batches = feature_batches(kind, features, seed=seed, batch_size=batch_size, epochs=1)
    for number in range(len(batches)):
        (batch,) = batches[number]
        assert batch.sequence_features is not None
        is_real = batch.labels.any(axis=1)
        rows = batch.labels[is_real].max(axis=1) - N_SPECIALS
        np.testing.assert_array_equal(
            batch.sequence_features.ids[is_real], features.sequences.ids[rows]
        )
        np.testing.assert_array_equal(batch.sequence_features.weights[is_real], 0.5)
        assert not batch.sequence_features.ids[~is_real].any()
        assert not batch.sequence_features.weights[~is_real].any()


def dropped(kind: type[Batches], features: Features, rate: float) -> np.ndarray:
    """Whether each slot was dropped, in all rows of many epochs."""
    options = {"feature_dropout": rate, "epochs": 200, "batch_size": 15}
    batches = feature_batches(kind, features, **options)
    weights = []
    for number in range(200):
        (batch,) = batches[number]
        assert batch.sequence_features is not None
        weights.append(batch.sequence_features.weights[batch.labels.any(axis=1)])
    return np.concatenate(weights) == 0


@kinds
@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_features_are_dropped_as_a_whole_and_independently(kind, rate):
    is_dropped = dropped(kind, row_features(), rate)
    first, second = is_dropped[:, 0], is_dropped[:, 1]
    np.testing.assert_array_equal(is_dropped[:, 1:], np.stack([second] * MAX_FEATURE_IDS, axis=1))
    assert first.mean() == pytest.approx(rate, abs=0.03)
    assert second.mean() == pytest.approx(rate, abs=0.03)
    assert (first & second).mean() == pytest.approx(rate**2, abs=0.03)


def test_dropout_does_not_modify_the_features():
    features = row_features()
    assert features.sequences is not None
    dropped(SequenceBatches, features, 0.6)
    np.testing.assert_array_equal(features.sequences.weights, 0.5)


@kinds
def test_feature_dropout_changes_neither_tokens_nor_labels(kind):
    without, with_dropout = (
        feature_batches(kind, row_features(), feature_dropout=rate, unknown_rate=0.3)
        for rate in (0.0, 0.5)
    )
    for number in range(len(without)):
        np.testing.assert_array_equal(without[number][0].tokens, with_dropout[number][0].tokens)
        np.testing.assert_array_equal(without[number][0].labels, with_dropout[number][0].labels)


@kinds
def test_feature_dropout_depends_only_on_the_batch_number(kind):
    once, again = (feature_batches(kind, row_features(), feature_dropout=0.5) for _ in range(2))
    for number in (3, 0, 3):
        first, second = once[number][0].sequence_features, again[number][0].sequence_features
        assert first is not None
        assert second is not None
        np.testing.assert_array_equal(first.weights, second.weights)

"""What a model is told of sequences: with the right rows, and left out now and then."""

from __future__ import annotations

import numpy as np
import pytest
from batch_worlds import sequences_of, training_of
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import N_SPECIALS
from segue.batches import Layout, SequenceBatches, TargetBatches, Told, TrainingBatches
from segue.features import Bag

N_ROWS, LENGTH = 30, 5
SLOTS = [slice(0, 1), slice(1, 4)]
"""Two features: one code of the first, three of the second."""


def told() -> Told:
    """Of each row its own number, as codes that begin at 1."""
    numbers = np.arange(1, N_ROWS + 1, dtype=np.int32)[:, None]
    codes = np.concatenate([numbers, 100 + numbers, 200 + numbers, 300 + numbers], axis=1)
    return Told(Bag(codes, np.full(codes.shape, 0.5, np.float32)), SLOTS)


def batches_of(kind: type[TrainingBatches], known: Told, **options) -> TrainingBatches:
    """Sequences that tell by their items which row they are; the second half has no training."""
    rows = [[N_SPECIALS + row] * LENGTH for row in range(N_ROWS)]
    sequences = sequences_of(rows, [LENGTH * (row % 2) for row in range(N_ROWS)])
    layout = Layout(4, N_SPECIALS + N_ROWS, start=True, end=False)
    if kind is TargetBatches:
        return TargetBatches(sequences, layout, training_of(**options), window=4, told=known)
    return SequenceBatches(sequences, layout, training_of(**options), told=known)


kinds = pytest.mark.parametrize("kind", [SequenceBatches, TargetBatches])


@kinds
@given(seed=st.integers(0, 9), batch_size=st.integers(1, 9))
def test_each_row_hears_of_its_own_sequence(kind, seed, batch_size):
    batches = batches_of(kind, told(), seed=seed, batch_size=batch_size, epochs=1)
    for number in range(len(batches)):
        batch = batches[number]
        assert batch.told is not None
        real = batch.labels.any(axis=1)
        rows = batch.labels[real].max(axis=1) - N_SPECIALS
        np.testing.assert_array_equal(batch.told.codes[real], told().bag.codes[rows])
        np.testing.assert_array_equal(batch.told.weights[real], 0.5)
        assert not batch.told.codes[~real].any()
        assert not batch.told.weights[~real].any()


def dropped(kind: type[TrainingBatches], known: Told, rate: float) -> np.ndarray:
    """Which slots were left out, in all rows of many epochs."""
    options = {"feature_dropout": rate, "epochs": 200, "batch_size": 15}
    batches = batches_of(kind, known, **options)
    weights = []
    for number in range(200):
        batch = batches[number]
        assert batch.told is not None
        weights.append(batch.told.weights[batch.labels.any(axis=1)])
    return np.concatenate(weights) == 0


@kinds
@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_a_feature_is_left_out_at_its_rate_whole_and_by_itself(kind, rate):
    out = dropped(kind, told(), rate)
    first, second = out[:, 0], out[:, 1]
    np.testing.assert_array_equal(out[:, 1:], np.stack([second] * 3, axis=1))
    assert first.mean() == pytest.approx(rate, abs=0.03)
    assert second.mean() == pytest.approx(rate, abs=0.03)
    assert (first & second).mean() == pytest.approx(rate**2, abs=0.03)


def test_leaving_out_changes_nothing_for_good():
    known = told()
    dropped(SequenceBatches, known, 0.6)
    np.testing.assert_array_equal(known.bag.weights, told().bag.weights)


@kinds
def test_what_is_told_changes_nothing_else(kind):
    silent, heard = (
        batches_of(kind, told(), feature_dropout=rate, unknown_rate=0.3) for rate in (0.0, 0.5)
    )
    for number in range(len(silent)):
        np.testing.assert_array_equal(silent[number].tokens, heard[number].tokens)
        np.testing.assert_array_equal(silent[number].labels, heard[number].labels)


@kinds
def test_a_batch_is_a_function_of_its_number_here_too(kind):
    once, again = (batches_of(kind, told(), feature_dropout=0.5) for _ in range(2))
    for number in (3, 0, 3):
        one, other = once[number].told, again[number].told
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.weights, other.weights)

"""Singular vectors of the training sequences against a full decomposition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segue.baselines import singular_vectors
from segue.baselines.singular_vectors import POPULARITY_EXPONENT, singular_item_vectors
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.tokens import N_SPECIALS
from small_datasets import dataset_of, random_log


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = random_log(n_sequences=60, n_items=25, seed=3)
    split = SplitConfig(kind="holdout", catalogue="all")
    return dataset_of(tmp_path_factory.mktemp("singular"), log, split)


def reference_matrix(data: Dataset) -> np.ndarray:
    """The weighted matrix (sequences, vocabulary), computed entry by entry."""
    rows = [
        set(data.sequences.row(i)[:end].tolist()) for i, end in enumerate(data.sequences.train_end)
    ]
    rows = [row for row in rows if row]
    counts = [sum(item in row for row in rows) for item in range(data.vocabulary_size)]
    matrix = np.zeros((len(rows), data.vocabulary_size))
    for i, row in enumerate(rows):
        for item in row:
            matrix[i, item] = 1 / np.sqrt(len(row)) / counts[item] ** POPULARITY_EXPONENT
    return matrix


@pytest.mark.parametrize("width", [4, 8])
def test_the_vectors_span_the_same_space_as_a_full_decomposition(data: Dataset, width: int):
    vectors = singular_item_vectors(data, width, seed=0).astype(np.float64)
    exact = np.linalg.svd(reference_matrix(data))[2][:width].T
    # Signs and rotations may differ; the projection onto the spanned space is unique.
    basis = np.linalg.qr(vectors)[0]
    np.testing.assert_allclose(basis @ basis.T, exact @ exact.T, atol=1e-3)


def test_the_block_size_does_not_change_the_vectors(data: Dataset, monkeypatch):
    expected = singular_item_vectors(data, 8, seed=0)
    monkeypatch.setattr(singular_vectors, "BLOCK_ROWS", 7)
    np.testing.assert_allclose(singular_item_vectors(data, 8, seed=0), expected, atol=1e-4)


def test_orthonormalise_gives_unit_columns_and_zeros_for_noise():
    random = np.random.default_rng(0)
    basis = random.standard_normal((30, 5)).astype(np.float32)
    basis[:, 3] = basis[:, 0] + basis[:, 1]
    before = basis.astype(np.float64)
    singular_vectors._orthonormalise(basis)
    lengths = np.linalg.norm(basis, axis=0)
    np.testing.assert_allclose(np.sort(lengths), [0, 1, 1, 1, 1], atol=1e-5)
    # The spanned space is unchanged.
    columns = basis[:, lengths > 0.5].astype(np.float64)
    np.testing.assert_allclose(columns @ (columns.T @ before), before, atol=1e-5)


def test_the_mean_square_of_the_entries_is_one_over_events(data: Dataset):
    vectors = singular_item_vectors(data, 8, seed=0)
    counts = data.items.training_counts[: data.vocabulary_size]
    assert np.average(np.square(vectors).mean(axis=1), weights=counts) == pytest.approx(1, rel=1e-5)
    assert not vectors[:N_SPECIALS].any()
    assert not vectors[counts == 0].any()


def test_surplus_dimensions_are_zero(data: Dataset):
    vectors = singular_item_vectors(data, 64, seed=0)
    is_used = np.abs(vectors).sum(axis=0) > 0
    assert is_used.sum() <= 25
    assert np.isfinite(vectors).all()


def test_only_training_events_are_used(data: Dataset, monkeypatch: pytest.MonkeyPatch):
    before = singular_item_vectors(data, 4, seed=0)
    held_out = np.flatnonzero(data.sequences.train_end == 0)
    changed = data.sequences.items.copy()
    for row in held_out:
        start, end = data.sequences.offsets[row : row + 2]
        changed[start:end] = changed[start:end][::-1]
        changed[start] = N_SPECIALS
    monkeypatch.setattr(data, "_sequences", replace(data.sequences, items=changed))
    np.testing.assert_array_equal(singular_item_vectors(data, 4, seed=0), before)

"""Item embeddings that begin with singular vectors of the training sequences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.axes import N_SPECIALS
from segue.config import Config, SplitConfig
from segue.dataset import Dataset
from segue.trainer import Trainer, singular_vectors, train
from segue.trainer.singular_vectors import POPULARITY_POWER, WARM_SCALE, singular_item_vectors
from small_datasets import dataset_of, random_log


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    log = random_log(n_sequences=60, n_items=25, seed=3)
    split = SplitConfig(kind="holdout", catalogue="all")
    return dataset_of(tmp_path_factory.mktemp("warm"), log, split)


def slow_matrix(data: Dataset) -> np.ndarray:
    """(sequences, table): the weighted matrix, an entry at a time."""
    rows = [
        set(data.sequences.row(i)[:end].tolist()) for i, end in enumerate(data.sequences.train_end)
    ]
    rows = [row for row in rows if row]
    counts = [sum(item in row for row in rows) for item in range(data.table_size)]
    matrix = np.zeros((len(rows), data.table_size))
    for i, row in enumerate(rows):
        for item in row:
            matrix[i, item] = 1 / np.sqrt(len(row)) / counts[item] ** POPULARITY_POWER
    return matrix


@pytest.mark.parametrize("width", [4, 8])
def test_they_span_what_a_full_decomposition_finds(data: Dataset, width: int):
    vectors = singular_item_vectors(data, width, seed=0).astype(np.float64)
    exact = np.linalg.svd(slow_matrix(data))[2][:width].T
    # Directions are compared, not signs: the projection onto what they span is unique.
    found = np.linalg.qr(vectors)[0]
    np.testing.assert_allclose(found @ found.T, exact @ exact.T, atol=1e-3)


def test_blocks_of_sequences_give_the_same_vectors(data: Dataset, monkeypatch):
    whole = singular_item_vectors(data, 8, seed=0)
    monkeypatch.setattr(singular_vectors, "BLOCK_ROWS", 7)
    np.testing.assert_allclose(singular_item_vectors(data, 8, seed=0), whole, atol=1e-4)


def test_a_basis_is_orthonormal_but_for_directions_that_are_noise():
    random = np.random.default_rng(0)
    basis = random.standard_normal((30, 5)).astype(np.float32)
    basis[:, 3] = basis[:, 0] + basis[:, 1]
    before = basis.astype(np.float64)
    singular_vectors._orthonormalise(basis)
    lengths = np.linalg.norm(basis, axis=0)
    np.testing.assert_allclose(np.sort(lengths), [0, 1, 1, 1, 1], atol=1e-5)
    # They span what they spanned.
    kept = basis[:, lengths > 0.5].astype(np.float64)
    np.testing.assert_allclose(kept @ (kept.T @ before), before, atol=1e-5)


def test_entries_are_of_unit_size_over_events(data: Dataset):
    vectors = singular_item_vectors(data, 8, seed=0)
    counts = data.items.training_counts[: data.table_size]
    assert np.average(np.square(vectors).mean(axis=1), weights=counts) == pytest.approx(1, rel=1e-5)
    assert not vectors[:N_SPECIALS].any()
    assert not vectors[counts == 0].any()


def test_more_dimensions_than_there_are_to_find_stay_zero(data: Dataset):
    vectors = singular_item_vectors(data, 64, seed=0)
    used = np.abs(vectors).sum(axis=0) > 0
    assert used.sum() <= 25
    assert np.isfinite(vectors).all()


def test_only_the_training_part_is_looked_at(data: Dataset, monkeypatch: pytest.MonkeyPatch):
    before = singular_item_vectors(data, 4, seed=0)
    held_out = np.flatnonzero(data.sequences.train_end == 0)
    changed = data.sequences.items.copy()
    for row in held_out:
        begin, end = data.sequences.offsets[row : row + 2]
        changed[begin:end] = changed[begin:end][::-1]
        changed[begin] = N_SPECIALS
    monkeypatch.setattr(data, "sequences", data.sequences.__class__(
        **{**vars(data.sequences), "items": changed}
    ))  # fmt: skip
    np.testing.assert_array_equal(singular_item_vectors(data, 4, seed=0), before)


def test_a_run_begins_with_them(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    begun = []

    def noting(self: Trainer, *_: object) -> None:
        begun.append(np.asarray(self.state.params["item_table"][...]))

    monkeypatch.setattr(Trainer, "run", noting)
    model = config.model.model_copy(update={"initialisation": "singular-vectors"})
    train(cycles, tmp_path / "warm", config=config.model_copy(update={"model": model}))
    train(cycles, tmp_path / "cold", config=config)
    warm, cold = begun
    expected = singular_item_vectors(cycles, model.width, config.training.seed)
    known = np.abs(expected).sum(axis=1) > 0
    scale = WARM_SCALE * model.initial_scale
    np.testing.assert_allclose(warm[known], expected[known] * scale, rtol=1e-6)
    np.testing.assert_array_equal(warm[~known], cold[~known])

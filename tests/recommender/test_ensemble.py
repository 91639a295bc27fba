"""The PureSVD ensemble member: scores, weights, files and refused options."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from segue.config import Config, EnsembleConfig, ModelConfig, TrainingConfig
from segue.dataset import Dataset
from segue.errors import RequestError, RunError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import PureSVD, Recommender
from segue.tokens import UNK
from segue.trainer import train

CONFIG = Config(
    model=ModelConfig(layers=1, heads=1, width=8, feed_forward=16, context=8),
    ensemble=EnsembleConfig(puresvd_factors=6, puresvd_weight=40.0),
    training=TrainingConfig(batch_size=16, max_steps=2, log_every=1),
)


@pytest.fixture(scope="module")
def run(cycles: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(cycles, tmp_path_factory.mktemp("ensemble") / "run", config=CONFIG)


def query_of(rows: list[list[int]]) -> Query:
    histories = Ragged.from_rows(rows)
    return Query(histories, histories, np.full(len(rows), -1))


def test_states_are_normalised_sums_of_item_vectors():
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    vectors[UNK] = 0
    states = PureSVD(vectors, 2.0).states(query_of([[4, 5, 5], [], [UNK], [8, 100]]), 6)
    total = vectors[4] + 2 * vectors[5]
    np.testing.assert_allclose(states[0], 2 * total / np.linalg.norm(total), rtol=1e-5)
    np.testing.assert_array_equal(states[1:3], 0)
    np.testing.assert_allclose(states[3], 2 * vectors[8] / np.linalg.norm(vectors[8]), rtol=1e-5)
    np.testing.assert_array_equal(states[4:], 0)
    assert states.dtype == np.float32


def test_scores_are_the_sum_of_both_members(run: Path) -> None:
    ensemble = Recommender.load(run).ensemble
    query = query_of([[5, 6]])
    transformer = ensemble.encoder.states(query, 1) @ ensemble.encoder.vectors.T
    puresvd = PureSVD.load(run / "item_vectors.safetensors", (transformer.shape[1], 6), 40.0)
    expected = transformer + puresvd.states(query, 1) @ puresvd.vectors.T
    all_items = np.arange(transformer.shape[1])
    scores = ensemble.scores(query, Ragged.from_rows([all_items]))
    np.testing.assert_allclose(scores, expected[0], rtol=1e-3, atol=1e-4)
    in_one_product = ensemble.states(query) @ ensemble.item_vectors().T
    np.testing.assert_allclose(in_one_product, expected, rtol=1e-3, atol=1e-4)


def test_the_weight_can_be_changed_or_set_to_zero(run: Path) -> None:
    ensemble, query = Recommender.load(run).ensemble, query_of([[5, 6]])
    width, states = CONFIG.model.width, ensemble.states(query)
    half_weight, zero_weight = (ensemble.with_puresvd_weight(weight) for weight in (20.0, 0.0))
    np.testing.assert_array_equal(zero_weight.states(query), states[:, :width])
    expected = states * np.where(np.arange(states.shape[1]) < width, 1, 0.5)
    np.testing.assert_allclose(half_weight.states(query), expected, rtol=1e-6)
    with pytest.raises(RunError, match="the model has no PureSVD ensemble member"):
        zero_weight.with_puresvd_weight(1.0)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(RequestError, match=f"weight is {weight}, expected"):
            ensemble.with_puresvd_weight(weight)


def test_an_empty_history_gets_recommendations(run: Path) -> None:
    assert len(Recommender.load(run).recommend([], k=5).items) == 5


def test_the_vectors_are_part_of_the_run(run: Path, tmp_path: Path) -> None:
    assert "item_vectors.safetensors" in json.loads((run / "card.json").read_text())["checksums"]
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "item_vectors.safetensors").write_bytes(b"no vectors")
    with pytest.raises(RunError, match=r"item_vectors\.safetensors"):
        Recommender.load(copy)


def test_vectors_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "item_vectors.safetensors"
    save_file({"item_vectors": np.zeros((5, 2), np.float32)}, path)
    for shape in ((6, 2), (5, 3)):
        with pytest.raises(RunError, match=r"cannot read .* has the dtype and shape .*\[5, 2\]"):
            PureSVD.load(path, shape, 1.0)
    with pytest.raises(RunError, match="cannot read"):
        PureSVD.load(tmp_path / "missing", (5, 2), 1.0)

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
from segue.errors import ConfigError, RequestError, RunError
from segue.ragged import Ragged
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
    return train(cycles, tmp_path_factory.mktemp("ensemble") / "run", config=CONFIG).path


def test_states_are_normalised_sums_of_item_vectors():
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    vectors[UNK] = 0
    histories = Ragged.from_rows([[4, 5, 5], [], [UNK], [8, 100]])
    states = PureSVD(vectors, 2.0).states(histories)
    total = vectors[4] + 2 * vectors[5]
    np.testing.assert_allclose(states[0], 2 * total / np.linalg.norm(total), rtol=1e-5)
    np.testing.assert_array_equal(states[1:3], 0)
    np.testing.assert_allclose(states[3], 2 * vectors[8] / np.linalg.norm(vectors[8]), rtol=1e-5)
    assert states.dtype == np.float32


def test_scores_are_the_sum_of_both_members(run: Path) -> None:
    model = Recommender.load(run)
    history = Ragged.from_rows([model.items.find(["i3", "i4"])])
    no_features = model.encoder.vocabulary.encode([{}])
    ensemble_scores = (
        model.encoder.hidden(history, no_features) @ np.asarray(model.encoder.output_embeddings).T
    )
    vectors = PureSVD.load(run / "item_vectors.safetensors", (ensemble_scores.shape[1], 6), 40.0)
    width = CONFIG.model.width
    transformer_scores = (
        model.encoder.hidden(history, no_features)[:, :width]
        @ np.asarray(model.encoder.output_embeddings[:, :width]).T
    )
    np.testing.assert_allclose(
        ensemble_scores - transformer_scores,
        vectors.states(history) @ vectors.vectors.T,
        rtol=1e-3,
        atol=1e-4,
    )


def test_the_weight_can_be_changed_or_set_to_zero(run: Path) -> None:
    encoder = Recommender.load(run).encoder
    history = Ragged.from_rows([[5, 6]])
    no_features = encoder.vocabulary.encode([{}])
    width, hidden = CONFIG.model.width, encoder.hidden(history, no_features)
    half_weight, zero_weight = (encoder.with_puresvd_weight(weight) for weight in (20.0, 0.0))
    np.testing.assert_array_equal(zero_weight.hidden(history, no_features), hidden[:, :width])
    expected = hidden * np.where(np.arange(hidden.shape[1]) < width, 1, 0.5)
    np.testing.assert_allclose(half_weight.hidden(history, no_features), expected, rtol=1e-6)
    with pytest.raises(RunError, match="the model has no PureSVD ensemble member"):
        zero_weight.with_puresvd_weight(1.0)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(RequestError, match=f"weight is {weight}, expected"):
            encoder.with_puresvd_weight(weight)


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


def test_a_model_with_end_cannot_have_a_puresvd_member(cycles: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not that of END"):
        train(cycles, tmp_path / "run", end=True, puresvd_factors=4)

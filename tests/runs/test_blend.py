"""Scores blended with those of singular vectors: what is added, kept, and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from segue.axes import UNK, Ragged
from segue.config import BlendConfig, Config, ModelConfig, TrainingConfig
from segue.dataset import Dataset
from segue.errors import ConfigError, RequestError, RunError
from segue.recommender import Blend, Recommender
from segue.trainer import train

CONFIG = Config(
    model=ModelConfig(layers=1, heads=1, width=8, feed_forward=16, context=8),
    blend=BlendConfig(vectors=6, weight=40.0),
    training=TrainingConfig(batch_size=16, max_steps=2, log_every=1),
)


@pytest.fixture(scope="module")
def run(cycles: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(cycles, tmp_path_factory.mktemp("blend") / "run", config=CONFIG)


def test_states_are_directions_of_sums():
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    vectors[UNK] = 0
    histories = Ragged.of([[4, 5, 5], [], [UNK], [8, 100]])
    found = Blend(vectors, 2.0).states(histories)
    total = vectors[4] + 2 * vectors[5]
    np.testing.assert_allclose(found[0], 2 * total / np.linalg.norm(total), rtol=1e-5)
    np.testing.assert_array_equal(found[1:3], 0)
    np.testing.assert_allclose(found[3], 2 * vectors[8] / np.linalg.norm(vectors[8]), rtol=1e-5)
    assert found.dtype == np.float32


def test_scores_are_the_models_and_the_sums(run: Path) -> None:
    blended = Recommender.load(run)
    history = Ragged.of([blended.items.find(["i3", "i4"])])
    told = blended.network.vocabulary.encode([{}])
    both = blended.network.hidden(history, told) @ np.asarray(blended.network.output_table).T
    vectors = Blend.load(run / "item_vectors.safetensors", (both.shape[1], 6), 40.0)
    width = CONFIG.model.width
    own = (
        blended.network.hidden(history, told)[:, :width]
        @ np.asarray(blended.network.output_table[:, :width]).T
    )
    np.testing.assert_allclose(
        both - own, vectors.states(history) @ vectors.vectors.T, rtol=1e-3, atol=1e-4
    )


def test_the_weight_can_be_another_or_none(run: Path) -> None:
    network = Recommender.load(run).network
    history = Ragged.of([[5, 6]])
    told = network.vocabulary.encode([{}])
    width, hidden = CONFIG.model.width, network.hidden(history, told)
    halved, alone = (network.blended_by(weight) for weight in (20.0, 0.0))
    np.testing.assert_array_equal(alone.hidden(history, told), hidden[:, :width])
    expected = hidden * np.where(np.arange(hidden.shape[1]) < width, 1, 0.5)
    np.testing.assert_allclose(halved.hidden(history, told), expected, rtol=1e-6)
    with pytest.raises(RunError, match="blended with nothing"):
        alone.blended_by(1.0)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(RequestError, match=f"weight is {weight}, expected"):
            network.blended_by(weight)


def test_an_empty_history_is_answered_by_the_model_alone(run: Path) -> None:
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
        with pytest.raises(RunError, match=r"cannot read .* another shape: .*\[5, 2\]"):
            Blend.load(path, shape, 1.0)
    with pytest.raises(RunError, match="cannot read"):
        Blend.load(tmp_path / "missing", (5, 2), 1.0)


def test_an_end_cannot_be_compared(cycles: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="that of the end"):
        train(cycles, tmp_path / "run", overrides={"model.end": True, "blend.vectors": 4})

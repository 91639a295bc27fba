"""Runs that start with singular vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.baselines.singular_vectors import singular_item_vectors
from segue.config import Config
from segue.dataset import Dataset
from segue.trainer import Trainer, train
from segue.trainer.singular_vectors import WARM_START_SCALE


def test_a_run_starts_with_singular_vectors(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    initial = []

    def record(self: Trainer, *_: object) -> None:
        initial.append(np.asarray(self.state.params["item_embeddings"][...]))

    monkeypatch.setattr(Trainer, "run", record)
    model = config.model.model_copy(update={"initialisation": "singular-vectors"})
    train(cycles, tmp_path / "singular", config=config.model_copy(update={"model": model}))
    train(cycles, tmp_path / "random", config=config)
    from_vectors, random = initial
    expected = singular_item_vectors(cycles, model.width, config.training.seed)
    has_vector = np.abs(expected).sum(axis=1) > 0
    scale = WARM_START_SCALE * model.initial_scale
    np.testing.assert_allclose(from_vectors[has_vector], expected[has_vector] * scale, rtol=1e-6)
    np.testing.assert_array_equal(from_vectors[~has_vector], random[~has_vector])

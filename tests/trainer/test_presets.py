"""Every preset trains for a few steps on a small dataset and gives recommendations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.config import PrepareOptions, SplitKind, load_config, presets
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.preparation import prepare
from segue.trainer import train

SPLITS: dict[str, SplitKind] = {
    "next-movie": "windows",
    "next-movie-wide": "windows",
    "sasrec": "leave-one-out",
}
"""The split that a preset is meant for, if it is not ``holdout``."""
FEW_STEPS = {"max_steps": 2, "batch_size": 4, "log_every": 1}
ONE_LAYER = {"layers": 1}
"""Further layers would add only compilation time."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    """A function that prepares a small demo dataset with a given split."""
    folder = tmp_path_factory.mktemp("worlds")
    size: PrepareOptions = {"sequences": 60, "items": 100, "mean_length": 8}

    def prepared(split: SplitKind) -> Dataset:
        if not (folder / split).exists():
            out = folder / split
            prepare(None, out, split=split, catalogue="all", validation_share=0.2, **size)
        return Dataset.open(folder / split)

    return prepared


@pytest.mark.slow
@pytest.mark.parametrize("preset", presets())
def test_every_preset_trains_and_recommends(world, tmp_path: Path, preset: str) -> None:
    data = world(SPLITS.get(preset, "holdout"))
    run = train(data, tmp_path / "run", preset=preset, **FEW_STEPS | ONE_LAYER)
    shipped, card = load_config(preset), run.card
    assert run.config.model == shipped.model.model_copy(update={"layers": 1})
    assert card["steps"] == 2
    assert card["validation"]["metric"] == shipped.training.validation_metric
    assert np.isfinite(card["validation"]["best"])
    model = run.load()
    answer = model.recommend(data.items.ids[:2], k=5)
    assert answer.unknown_items == []
    assert len(answer.items) == 5
    assert all(np.isfinite(item.score) for item in answer.items)
    assert len(model.generate(data.items.ids[:1], length=3).items) == 3
    # The request has no sequence features: a model that always had them in training notes this.
    always_has_features = shipped.model.sequence_features and not shipped.training.feature_dropout
    assert len(answer.notes) == int(bool(always_has_features))
    assert all("which the model always had in training" in note for note in answer.notes)
    if not shipped.model.start:
        with pytest.raises(RequestError, match="no START to predict from"):
            model.recommend()

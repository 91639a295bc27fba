"""A small dataset of playlists and a barely trained model, for tests of benchmarks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from segue.config import (
    Config,
    DemoConfig,
    ModelConfig,
    PrepareConfig,
    SourceConfig,
    TrainingConfig,
)
from segue.dataset import Dataset
from segue.preparation import prepare
from segue.trainer import train

# Benchmarks are scripts outside the package; they import each other from their folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

CONFIG = Config(
    model=ModelConfig(
        layers=1,
        width=16,
        feed_forward=16,
        context=12,
        end=True,
        item_features=("artist",),
        sequence_features=("name",),
    ),
    training=TrainingConfig(batch_size=64, max_steps=6),
)


@pytest.fixture(scope="session")
def playlists(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    world = DemoConfig(sequences=240, items=160, mean_length=18)
    config = PrepareConfig(source=SourceConfig(format="demo", demo=world))
    return prepare(None, tmp_path_factory.mktemp("playlists") / "world", config=config)


@pytest.fixture(scope="session")
def playlist_run(playlists: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(playlists, tmp_path_factory.mktemp("playlist-runs") / "tiny", config=CONFIG).path

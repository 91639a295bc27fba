"""Two small datasets whose answers are known, and one trained run of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from cycles import write_cycles
from genre_world import prepare_genres
from segue.config import (
    Config,
    ModelConfig,
    OptimizerConfig,
    PrepareConfig,
    SplitConfig,
    TrainingConfig,
)
from segue.dataset import Dataset, prepare
from segue.trainer import Progress, train

CONFIG = Config(
    model=ModelConfig(layers=1, heads=2, width=16, feed_forward=32, context=8, dropout=0.1),
    optimizer=OptimizerConfig(learning_rate=1e-2),
    training=TrainingConfig(
        batch_size=16, epochs=40, max_steps=120, validate_every=30, checkpoint_every=20
    ),
)


READER = Config(
    model=ModelConfig(
        layers=1,
        heads=2,
        width=16,
        feed_forward=32,
        context=12,
        item_features=("genres", "sound"),
        sequence_features=("gender", "user"),
    ),
    optimizer=OptimizerConfig(learning_rate=1e-2),
    training=TrainingConfig(
        batch_size=32,
        epochs=50,
        max_steps=160,
        validate_every=20,
        feature_dropout=0.3,
        validation_metric="loss",
    ),
)
"""A model that reads all there is to know of the world of genres."""


@pytest.fixture(scope="session")
def cycles(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("cycles")
    log = write_cycles(folder / "log.csv")
    split = SplitConfig(kind="leave-one-out")
    return prepare(log, folder / "dataset", PrepareConfig(split=split))


@pytest.fixture(scope="session")
def cycle_progress() -> list[Progress]:
    """What a watcher of the run of cycles hears; nothing before there is that run."""
    return []


@pytest.fixture(scope="session")
def cycle_run(
    cycles: Dataset, cycle_progress: list[Progress], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "cycles"
    return train(cycles, folder, config=CONFIG, watch=cycle_progress.append)


@pytest.fixture
def config() -> Config:
    return CONFIG


@pytest.fixture(scope="session")
def genres(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_genres(tmp_path_factory.mktemp("genres"))


@pytest.fixture(scope="session")
def genre_run(genres: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(genres, tmp_path_factory.mktemp("runs") / "genres", config=READER)


@pytest.fixture
def reader() -> Config:
    return READER

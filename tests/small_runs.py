"""Trained runs on two small worlds with known answers: cycles of items, and genres of movies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segue.config import (
    Config,
    ModelConfig,
    OptimizerConfig,
    TrainingConfig,
)
from segue.dataset import Dataset
from segue.preparation import prepare
from segue.trainer import Progress, train

N_ITEMS = 12
N_USERS = 60

CONFIG = Config(
    model=ModelConfig(layers=1, heads=2, width=16, feed_forward=32, context=8, dropout=0.1),
    optimizer=OptimizerConfig(learning_rate=1e-2),
    training=TrainingConfig(
        batch_size=16, epochs=40, max_steps=120, validate_every=30, checkpoint_every=20
    ),
)
"""A small model for the cycles."""

FEATURE_CONFIG = Config(
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
"""A small model for the world of genres, with all its item and sequence features."""


def write_cycles(path: Path) -> Path:
    """A log in which item i is always followed by item i + 1 (mod 12)."""
    random = np.random.default_rng(5)
    lines = ["user_id,item_id,timestamp"]
    for user in range(N_USERS):
        first, length = random.integers(0, N_ITEMS), random.integers(5, 10)
        for position in range(length):
            item = (first + position) % N_ITEMS
            lines.append(f"u{user},i{item},{1_600_000_000 + position}")
    path.write_text("\n".join(lines) + "\n")
    return path


def prepare_cycles(folder: Path) -> Dataset:
    """The log of ``write_cycles``, prepared with leave-one-out."""
    log = write_cycles(folder / "log.csv")
    return prepare(log, folder / "dataset", split="leave-one-out")


def train_cycles(data: Dataset, folder: Path, progress: list[Progress]) -> Path:
    """Train on the cycles, and append every progress report to ``progress``."""
    return train(data, folder, config=CONFIG, watch=progress.append).path


def train_genres(data: Dataset, folder: Path) -> Path:
    """Train on the world of genres."""
    return train(data, folder, config=FEATURE_CONFIG).path

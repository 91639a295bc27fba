"""Small runs for the page: songs of four artists in a circle, some with hostile titles and ids, the
built-in world, and MovieLens."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from segue.config import (
    Config,
    DemoConfig,
    ModelConfig,
    OptimizerConfig,
    PrepareConfig,
    SourceConfig,
    SplitConfig,
    TrainingConfig,
)
from segue.preparation import prepare
from segue.trainer import train

N_ITEMS, N_USERS = 32, 60
ARTISTS = ("Ada Lund", "Bix & the Byways", "Coro", "Dune Quartet")
GENRES = ("jazz", "folk", "rock", "choir")
HOSTILE_IDS = {3: "<b>id</b>", 4: "a,b 'c' \"d\"", 5: "../../etc/passwd", 6: "ü/ß?x=1&y=2#z"}
HOSTILE_TITLES = {
    3: "<img src=x onerror=alert(1)>",
    4: "מתנות \u202e\u202eevil\u202c and 🎉🧑🏽‍🚀",
    5: "W" * 500,
    6: "line\ttab \u0007bell {{7*7}} ${8*8}",
    7: "</script><script>alert(2)</script>",
}
CONFIG = Config(
    model=ModelConfig(layers=1, heads=2, width=16, feed_forward=32, context=8, dropout=0.1),
    optimizer=OptimizerConfig(learning_rate=1e-2),
    training=TrainingConfig(
        batch_size=16,
        epochs=40,
        max_steps=100,
        validate_every=50,
        validation_sequences=200,
        checkpoint_every=50,
    ),
)


def item_id(number: int) -> str:
    """The id of a song, from 0."""
    return HOSTILE_IDS.get(number % N_ITEMS, f"s{number % N_ITEMS}")


def title(number: int) -> str:
    """The title of a song, from 0."""
    return HOSTILE_TITLES.get(number % N_ITEMS, f"Song {number % N_ITEMS}")


def train_songs(folder: Path) -> Path:
    """Train a run in which song i is always followed by song i + 1; its folder."""
    random = np.random.default_rng(11)
    with (folder / "items.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["item_id", "title", "artist", "genre", "year"])
        for number in range(N_ITEMS):
            group = number // 8
            rows.writerow(
                [item_id(number), title(number), ARTISTS[group], GENRES[group], 1970 + number]
            )
    with (folder / "log.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user_id", "item_id", "timestamp"])
        for user in range(N_USERS):
            first = int(random.integers(N_ITEMS))
            for step in range(int(random.integers(6, 12))):
                rows.writerow([f"u{user}", item_id(first + step), 1_600_000_000 + step])
    source = SourceConfig(format="tabular", items_file=str(folder / "items.csv"))
    config = PrepareConfig(source=source, split=SplitConfig(kind="leave-one-out", catalogue="all"))
    data = prepare(folder / "log.csv", folder / "data", config=config)
    return train(data, folder / "songs", config=CONFIG).path


def train_built_in(folder: Path) -> Path:
    """Train a run on a small built-in world; its folder."""
    source = SourceConfig(format="demo", demo=DemoConfig(sequences=300, items=300))
    data = prepare(None, folder / "data", config=PrepareConfig(source=source))
    return train(data, folder / "built-in", config=CONFIG).path


def train_movielens(source: Path, folder: Path) -> Path:
    """Train a run on a release of MovieLens for a moment; its folder."""
    return train(prepare(source, folder / "data"), folder / "movielens", config=CONFIG).path

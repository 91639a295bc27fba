"""A small run whose items have titles that are difficult to draw."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from segue.config import Config, ModelConfig, PrepareConfig, SourceConfig, TrainingConfig
from segue.preparation import prepare
from segue.recommender import Recommender
from segue.trainer import train

N_ITEMS, N_USERS, LENGTH = 30, 24, 20

TITLES = (
    "A title of more than eighty characters, which no card has lines enough for, no, not one",
    r"Costs $5 and $10_000 or \frac{1}{2 ^_^",
    "Двадцать тысяч лье под водой",
    "千と千尋の神隠し",
    "Donaudampfschifffahrtsgesellschaftskapitänsmütze",
    "<b>bold</b> & [red]markup[/red]",
)
"""Too long; like a formula; Cyrillic; Japanese, which few fonts have; one long word; markup."""


@pytest.fixture(scope="session")
def picture_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        log.writerow(("user_id", "item_id", "timestamp"))
        for user in range(N_USERS):
            for position in range(LENGTH):
                item = f"i{(user + position) % N_ITEMS}"
                log.writerow((f"u{user}", item, 1_600_000_000 + position))
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        items = csv.writer(file)
        items.writerow(("item_id", "title", "artist", "year", "genres"))
        for item, title in enumerate(TITLES):
            items.writerow((f"i{item}", title, f"Artist {item % 3}", 1990 + item, "Drama|Sci-Fi"))
    source = SourceConfig(items_file=str(folder / "items.csv"))
    data = prepare(folder / "log.csv", folder / "data", config=PrepareConfig(source=source))
    config = Config(
        model=ModelConfig(layers=2, heads=2, width=8, feed_forward=8, context=8),
        training=TrainingConfig(batch_size=8, max_steps=4, validate_every=2, log_every=1),
    )
    return train(data, folder / "run", config=config).path


@pytest.fixture(scope="session")
def model(picture_run: Path) -> Recommender:
    return Recommender.load(picture_run)

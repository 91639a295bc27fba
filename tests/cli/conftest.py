"""Fixtures made with the command line itself: a small prepared dataset, a tiny run, a log."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import segue

SMALL_WORLD = ("--format", "demo", "--sequences", 240, "--items", 160, "--mean-length", 12)
TINY_CONFIG = """
[model]
layers = 1
width = 16
feed_forward = 16
context = 12

[training]
batch_size = 64
max_steps = 6
validate_every = 3
validation_sequences = 20
log_every = 2
"""


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all session fixtures."""
    return tmp_path_factory.mktemp("command-line")


@pytest.fixture(scope="session")
def tiny_config(workspace: Path) -> Path:
    """A configuration file of a model that trains in a moment."""
    file = workspace / "tiny.toml"
    file.write_text(TINY_CONFIG)
    return file


@pytest.fixture(scope="session")
def world(workspace: Path) -> Path:
    """A prepared dataset of the built-in world."""
    folder = workspace / "world"
    outcome = segue("prepare", *SMALL_WORLD, "-o", folder)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture(scope="session")
def run(workspace: Path, world: Path, tiny_config: Path) -> Path:
    """A run trained on ``world``."""
    folder = workspace / "tiny-run"
    outcome = segue("train", world, "-o", folder, "--config", tiny_config)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture(scope="session")
def mixed_run(workspace: Path, world: Path, run: Path) -> Path:
    """A copy of ``run`` with an ensemble."""
    from segue.dataset import Dataset
    from small_ensembles import mixed_copy

    return mixed_copy(run, Dataset.open(world), workspace / "mixed")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A CSV log of six users with ratings, event types and pauses between sessions."""
    lines = ["user_id,item_id,timestamp,rating,event"]
    for user in range(6):
        for position in range(5):
            time = 1_600_000_000 + 100 * position + (10_000 if position > 2 else 0)
            event_type = "view" if position == 0 else "buy"
            lines.append(f"u{user},i{(user + position) % 7},{time},{position + 1},{event_type}")
    file = tmp_path / "log.csv"
    file.write_text("\n".join(lines) + "\n")
    return file

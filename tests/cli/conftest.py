"""A tiny world, prepared and trained through the command line itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import segue

WORLD = ("--format", "demo", "--sequences", 240, "--items", 160, "--mean-length", 12)
TINY_MODEL = """
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
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("command-line")


@pytest.fixture(scope="session")
def tiny_model(work: Path) -> Path:
    file = work / "tiny.toml"
    file.write_text(TINY_MODEL)
    return file


@pytest.fixture(scope="session")
def world(work: Path) -> Path:
    folder = work / "world"
    outcome = segue("prepare", *WORLD, "-o", folder)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture(scope="session")
def run(work: Path, world: Path, tiny_model: Path) -> Path:
    folder = work / "tiny-run"
    outcome = segue("train", world, "-o", folder, "--config", tiny_model)
    assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A CSV log of six users, with what filters act on."""
    lines = ["user_id,item_id,timestamp,rating,event"]
    for user in range(6):
        for place in range(5):
            time = 1_600_000_000 + 100 * place + (10_000 if place > 2 else 0)
            kind = "view" if place == 0 else "buy"
            lines.append(f"u{user},i{(user + place) % 7},{time},{place + 1},{kind}")
    file = tmp_path / "log.csv"
    file.write_text("\n".join(lines) + "\n")
    return file

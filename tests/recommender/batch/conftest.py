"""A model with an ensemble, and parts so small that few rows make several."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.dataset import Dataset
from segue.recommender import Recommender
from segue.recommender.batch.rows import BatchInput
from small_ensembles import mixed_copy


@pytest.fixture(scope="session")
def mixed_genre_run(
    genre_run: Path, genres: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run of the world of genres with an ensemble."""
    return mixed_copy(genre_run, genres, tmp_path_factory.mktemp("batch") / "mixed")


@pytest.fixture(scope="session")
def model(mixed_genre_run: Path) -> Recommender:
    return Recommender.load(mixed_genre_run)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 8 rows, read in blocks of 4."""
    monkeypatch.setattr(BatchInput, "rows_per_block", 4)
    monkeypatch.setattr(BatchInput, "rows_per_part", 8)

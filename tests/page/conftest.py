"""A small run with titles, shared by the tests of the page."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def song_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from page_world import train_songs

    return train_songs(tmp_path_factory.mktemp("songs"))

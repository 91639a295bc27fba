"""What the tests of the page share: a small run with titles, its server, and a browser."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from browser import Tab
    from page_server import PageServer

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""


@pytest.fixture(scope="session")
def song_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from page_world import train_songs

    return train_songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture(scope="package")
def server(song_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """A server of two models, with the people of the run and a cover of one item.

    People and map are written into a copy of the run.
    """
    from page_server import PageServer

    from segue.recommender import Run

    folder = tmp_path_factory.mktemp("served")
    run = shutil.copytree(song_run, folder / "songs")
    (folder / "covers").mkdir()
    (folder / "covers/s11.png").write_bytes(PIXEL)
    Run.open(run).attach(song_run.parent / "data")
    server = PageServer({"songs": run, "others": run}, folder / "covers")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser per module: while one is open, no test can run an event loop of its own."""
    from browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def tab(browser: Any, server: PageServer) -> Iterator[Tab]:
    """A tab of a wide window, which must not complain."""
    from browser import DESKTOP, Tab

    tab = Tab(browser, server.url, DESKTOP, "light")
    yield tab
    tab.close()
    assert tab.complaints == []
    assert not [request for request in tab.requests if "://" in request]

"""A server of a small run inside the test process, shared by the tests of a module."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from app_client import AppClient
from real_server import Served, real_server

if TYPE_CHECKING:
    from segue.recommender import Recommender
    from segue.server.settings import ServerSettings


@pytest.fixture(scope="session")
def small_settings() -> ServerSettings:
    """Few shapes to compile."""
    from segue.server.settings import ServerSettings

    return ServerSettings(max_k=12, max_batch=4, max_list=50, warms_controls=False)


@pytest.fixture(scope="session")
def cycle_run(cycle_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run, as a server keeps the map of its items in the folder."""
    copy = tmp_path_factory.mktemp("served") / cycle_run.name
    return Path(shutil.copytree(cycle_run, copy))


@pytest.fixture(scope="session")
def cycle_model(cycle_run: Path) -> Recommender:
    from segue.recommender import Recommender

    return Recommender.load(cycle_run)


@pytest.fixture(scope="module")
def log_stream() -> io.BytesIO:
    """What the server of the module logs."""
    return io.BytesIO()


@pytest.fixture(scope="module")
def event_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of events of the server of the module."""
    return tmp_path_factory.mktemp("events") / "events.db"


@pytest.fixture(scope="module")
def client(
    cycle_run: Path, small_settings: ServerSettings, log_stream: io.BytesIO, event_file: Path
) -> Iterator[AppClient]:
    """A client of a server of the run ``cycles``, with a store of events, without API keys."""
    from segue.event_store import open_event_store
    from segue.server.app import create_app
    from segue.server.log import Log
    from segue.server.registry import ModelRegistry

    registry = ModelRegistry({"cycles": cycle_run})
    store = open_event_store(event_file, creates=True)
    app = create_app(registry, settings=small_settings, log=Log(log_stream), events=store)
    with AppClient(app) as client:
        yield client


@pytest.fixture(scope="module")
def address(cycle_run: Path, small_settings: ServerSettings, event_file: Path) -> Iterator[Served]:
    """A real server of the run ``cycles``, with a store of events."""
    with real_server(cycle_run, small_settings, event_file) as address:
        yield address

"""Stores of both kinds, each new and empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from segue.event_store import EventStore


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be created."""
    if request.param == "sqlite":
        return str(tmp_path / "events.db")
    return request.getfixturevalue("postgres").create_database()


@pytest.fixture
def open_store(location: str) -> Iterator[Callable[[], EventStore]]:
    """Opens the store of the test; the first call creates it."""
    from segue.event_store import open_event_store

    stores: list[EventStore] = []

    def open_one() -> EventStore:
        stores.append(open_event_store(location, creates=True))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], EventStore]) -> EventStore:
    return open_store()

"""The event store of a server: a call that fails alone, slow erasure, and a database that hangs."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segue.event_store import Event, EventStoreUnavailableError
from segue.event_store.sqlite import SqliteEventStore
from segue.event_store.store import EventCallError, Outcome
from segue.server import user_events
from segue.server.errors import ApiError
from segue.server.log import Log
from segue.server.metrics import Metrics
from segue.server.settings import ServerSettings
from segue.server.user_events import UserEvents

EVENT = Event("e", "u", "i", 0, "view")


class Store(SqliteEventStore):
    """A database whose calls wait or fail as a test says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, creates=True)
        self.is_free = threading.Event()
        self.is_free.set()
        self.may_erase = threading.Event()
        self.errors: list[Exception] = []
        self.n_erasures = 0

    def delete_user(self, user_id: str) -> int:
        assert self.is_free.wait(20)
        if self.errors:
            raise self.errors.pop()
        return super().delete_user(user_id) or 1

    def add(self, events: Sequence[Event]) -> list[Outcome]:
        assert self.is_free.wait(20)
        return super().add(events)

    def erase(self) -> bool:
        self.n_erasures += 1
        assert self.may_erase.wait(20)
        return self.n_erasures > 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "events.db")
    yield store
    store.is_free.set()
    store.may_erase.set()


def events_of(store: Store, **settings: Any) -> UserEvents:
    limits = replace(ServerSettings(), **settings)
    return UserEvents(store, limits, Metrics(), Log(io.BytesIO()))


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


def test_a_call_that_fails_alone_does_not_make_the_database_unavailable(store: Store) -> None:
    async def scenario() -> None:
        events = events_of(store)
        store.errors = [EventStoreUnavailableError("away"), EventCallError("too long")]
        with pytest.raises(EventCallError):
            await events.delete_user("u")
        assert events.is_available
        with pytest.raises(EventStoreUnavailableError):
            await events.delete_user("u")
        assert not events.is_available
        assert await events.close()

    run(scenario())


def test_erasure_runs_once_at_a_time_and_again_until_it_is_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_events, "TICK_S", 0.001)
    monkeypatch.setattr(user_events, "ERASURE_S", 0.0)

    async def scenario() -> None:
        events = events_of(store)
        task = asyncio.create_task(events.run())
        await events.delete_user("u")
        while not store.n_erasures:
            await asyncio.sleep(0.001)
        for _ in range(6):  # more than there are threads for calls
            await events.delete_user("u")
            await asyncio.sleep(0.002)
        assert store.n_erasures == 1
        store.may_erase.set()
        while store.n_erasures < 3:  # the first two were not complete
            await asyncio.sleep(0.001)
        task.cancel()
        assert await events.close()

    run(scenario())


def test_a_deletion_that_nobody_waits_for_is_erased_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_events, "TICK_S", 0.001)

    async def scenario() -> None:
        events = events_of(store, timeout_s=0.01)
        store.is_free.clear()
        with pytest.raises(ApiError):
            await events.delete_user("u")
        task = asyncio.create_task(events.run())
        await asyncio.sleep(0.01)
        assert not store.n_erasures
        store.is_free.set()
        while not store.n_erasures:
            await asyncio.sleep(0.001)
        task.cancel()
        assert await events.close()

    run(scenario())


@pytest.mark.parametrize("call", ["add", "delete"])
def test_closing_does_not_wait_for_a_database_that_hangs(store: Store, call: str) -> None:
    async def scenario() -> None:
        events = events_of(store, shutdown_timeout_s=0.02)
        store.is_free.clear()
        waiting = events.add([EVENT]) if call == "add" else events.delete_user("u")
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0)
        assert not await events.close()
        store.is_free.set()
        await task

    run(scenario())

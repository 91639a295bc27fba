"""The format ``events``: an event store of ``segue serve``, in SQLite or PostgreSQL.

A sequence is the history of a user as the server reads it: the events with a positive weight, by
time. Events with other weights are left out.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from segue.config import SourceConfig
from segue.errors import quantity
from segue.event_store import Event, check_kinds, open_event_store, parse_event_weights
from segue.event_store.sqlite import is_sqlite
from segue.event_store.weights import history_of
from segue.ragged import offsets_of
from segue.sources.schema import ITEM_IDS, NO_ITEMS, TIMES, Chunk, Source, sequence_batch

BLOCK_EVENTS = 50_000
"""Events that are read, and at least written, at a time."""


def recognises(path: Path) -> bool:
    """Whether a path is a database of SQLite; opening it checks whose it is."""
    return is_sqlite(path)


class EventStoreSource(Source):
    """Users in the order of their ids; every event has a time."""

    format = "events"
    sequences_are_users = True

    def __init__(self, location: str | Path, config: SourceConfig) -> None:
        """Open the store.

        Args:
            location: as ``open_event_store`` takes it.
            config: only ``event_weight`` is used.

        Raises:
            EventStoreError: there is no event store.
            ConfigError: a weight cannot be read, or a kind of event in the store has none.
        """
        self._weights = parse_event_weights(config.event_weight)
        self._store = open_event_store(location)
        check_kinds(self._store.kinds(), self._weights)
        self._digest = hashlib.sha256()
        self._n_read = self._n_kept = 0
        self._is_read = False

    def chunks(self) -> Iterator[Chunk]:
        users: list[tuple[str, list[Event]]] = []
        n_events = self._n_kept = 0
        for user, events in groupby(self._events(), lambda event: event.user_id):
            history = history_of(events, self._weights)
            if history:
                users.append((user, history))
                n_events += len(history)
                self._n_kept += len(history)
            if n_events >= BLOCK_EVENTS:
                yield _chunk(users)
                users, n_events = [], 0
        if users:
            yield _chunk(users)
        self._is_read = True
        self._store.close()

    def fingerprint(self) -> dict[str, Any]:
        if not self._is_read:
            deque(self._events(), maxlen=0)
            self._is_read = True
        digest = self._digest.hexdigest()
        return {"format": self.format, "events": self._n_read, "sha256": digest}

    def report(self) -> dict[str, Any]:
        if self._n_read == self._n_kept:
            return {"warnings": []}
        left_out = quantity(self._n_read - self._n_kept, "event")
        return {"warnings": [f"left out {left_out} without a positive weight"]}

    def _events(self) -> Iterator[Event]:
        """All events, which are counted and hashed."""
        self._n_read, self._digest = 0, hashlib.sha256()
        for block in self._store.blocks(BLOCK_EVENTS):
            self._n_read += len(block)
            for event in block:
                self._digest.update(repr(tuple(event)).encode())
                yield event


def _chunk(users: list[tuple[str, list[Event]]]) -> Chunk:
    events = [event for _, history in users for event in history]
    lengths = [len(history) for _, history in users]
    sequences = sequence_batch(
        pa.array([user for user, _ in users], pa.string()),
        pa.array(offsets_of(np.array(lengths, np.int64))),
        pa.array([event.item_id for event in events], pa.string()).cast(ITEM_IDS),
        times=pa.array([event.time_us for event in events], pa.int64()).cast(TIMES),
    )
    return Chunk(sequences, NO_ITEMS)

"""The event store: what users did, in SQLite or PostgreSQL, durable and without duplicates."""

from segue.event_store.event import Event
from segue.event_store.location import is_store_url, open_event_store
from segue.event_store.store import (
    CONFLICT,
    EXISTING,
    STORED,
    EventStore,
    EventStoreUnavailableError,
)
from segue.event_store.weights import DEFAULT_WEIGHTS, check_kinds, parse_event_weights

__all__ = [
    "CONFLICT",
    "DEFAULT_WEIGHTS",
    "EXISTING",
    "STORED",
    "Event",
    "EventStore",
    "EventStoreUnavailableError",
    "check_kinds",
    "is_store_url",
    "open_event_store",
    "parse_event_weights",
]

"""Milliseconds to read the stored events of the users of one call: all at once, and one by one.

    python benchmarks/stored_histories.py [EVENTS] [--users 64] [--events 100] [--repeats 20]

``EVENTS`` is a new store: a file of SQLite (by default a temporary one) or an empty database
``postgresql://...``. A tenth of the events are skips. Both ways are measured in turns, with the
limits of the server.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from segue.event_store import DEFAULT_WEIGHTS, Event, EventStore, open_event_store
from segue.event_store.weights import kinds_by_sign
from segue.server.user_events import HISTORY_EVENTS, REJECTING_EVENTS

OTHER_USERS = 2_000
"""Users who are not read, so that the database has reason to use its indexes."""
ITEMS = 1_000


def fill(store: EventStore, n_users: int, n_events: int) -> list[str]:
    """Store the events of some users and of others; returns the former."""
    rng = np.random.default_rng(0)
    users = [f"user-{number}" for number in range(n_users + OTHER_USERS)]
    for time_us in range(n_events):
        items = rng.integers(ITEMS, size=len(users))
        kinds = np.where(rng.random(len(users)) < 0.1, "skip", "view")
        store.add(
            [
                Event(f"{user}-{time_us}", user, f"item-{item}", time_us, str(kind))
                for user, item, kind in zip(users, items, kinds, strict=True)
            ]
        )
    return users[:n_users]


def read(store: EventStore, users: list[str]) -> tuple[list[list[Event]], list[set[str]]]:
    """What the server reads of the users of a call."""
    signs = kinds_by_sign(DEFAULT_WEIGHTS)
    latest = store.latest(users, HISTORY_EVENTS)
    return latest, store.rejected_items(users, *signs, REJECTING_EVENTS)


def took_ms(operation: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    operation()
    return 1e3 * (time.perf_counter() - start_s)


def main() -> None:
    """Measure, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("store", nargs="?", metavar="EVENTS")
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        location = arguments.store or str(Path(folder) / "events.db")
        store = open_event_store(location, creates=True)
        users = fill(store, arguments.users, arguments.events)
        ways: dict[str, Callable[[], object]] = {
            "at_once_ms": lambda: read(store, users),
            "one_by_one_ms": lambda: [read(store, [user]) for user in users],
        }
        for way in ways.values():
            way()  # opens the connection, prepares the statements
        took = [
            {name: took_ms(way) for name, way in ways.items()} for _ in range(arguments.repeats)
        ]
        store.close()
    kind = "postgresql" if location.startswith("postgres") else "sqlite"
    medians = {name: round(float(np.median([turn[name] for turn in took])), 1) for name in ways}
    print(json.dumps({**vars(arguments), "store": kind, **medians}))


if __name__ == "__main__":
    main()

"""The ``EventStore`` interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol, runtime_checkable

from segue.errors import EventStoreError
from segue.event_store.event import Event

Outcome = Literal["stored", "already_stored", "conflict"]
"""What became of an event: it is new; the same event is there already; another event has its id."""
STORED: Outcome = "stored"
EXISTING: Outcome = "already_stored"
CONFLICT: Outcome = "conflict"

FORMAT_VERSION = 1
"""Version of the tables."""

Position = tuple[int, int]
"""Of an event among those of its user: its time in microseconds, and its number in the store."""


class EventStoreUnavailableError(EventStoreError):
    """The database does not answer, or refuses; it may do so later."""


class EventCallError(EventStoreUnavailableError):
    """The database answers, but not this call: it took too long or was in the way of another."""


@runtime_checkable
class EventStore(Protocol):
    """A database of events. All methods may be called from several threads.

    Every method raises ``EventStoreUnavailableError`` if the database cannot be used now. It can be
    called again as it is: nothing is stored twice.
    """

    @property
    def name(self) -> str:
        """Where the store is, for messages: without a password."""
        ...

    def add(self, events: Sequence[Event]) -> list[Outcome]:
        """Store some events in one transaction, which is on disk when this returns.

        Returns:
            What became of each. An event whose id is there with another content is not stored.
        """
        ...

    def latest(self, user_ids: Sequence[str], limit: int) -> list[list[Event]]:
        """The latest events of some users, oldest first, at most ``limit`` each."""
        ...

    def rejected_items(
        self,
        user_ids: Sequence[str],
        negative: Sequence[str],
        positive: Sequence[str],
        limit: int,
    ) -> list[set[str]]:
        """The items that users rejected: the last event of the user with it is negative.

        The time of the events counts, not their arrival, and no events of other kinds.

        Args:
            user_ids: the users.
            negative: kinds of events that reject their item.
            positive: kinds of events that accept it again.
            limit: for each negative kind, only the items of this many latest events are considered.
        """
        ...

    def page(
        self, user_id: str, after: Position | None, limit: int
    ) -> tuple[list[Event], Position | None]:
        """Some events of a user, oldest first.

        Args:
            user_id: the user.
            after: where the last page ended; None for the first one.
            limit: largest number of events.

        Returns:
            The events, and where the next page begins; None if there is none.
        """
        ...

    def delete_user(self, user_id: str) -> int:
        """Delete all events of a user; returns how many there were.

        If it fails, some may be deleted already.
        """
        ...

    def delete_before(self, time_us: int, limit: int) -> int:
        """Delete some events older than a time in one transaction; returns how many.

        Args:
            time_us: in microseconds since 1970.
            limit: largest number of events; fewer were deleted if no more are that old.
        """
        ...

    def erase(self) -> bool:
        """Overwrite or free what deleted rows left on disk. Never makes other calls wait.

        Returns:
            Whether it is done; otherwise others read at the moment, and a later call can do it.
        """
        ...

    def kinds(self) -> list[str]:
        """The distinct kinds of all events, sorted."""
        ...

    def blocks(self, size: int) -> Iterator[list[Event]]:
        """All events as of one moment: by user (in the order of code points), time and arrival.

        Args:
            size: largest number of events per block.
        """
        ...

    def check(self) -> None:
        """Check that the database answers."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


def outcomes(events: Sequence[Event], new_ids: set[str], stored: dict[str, Event]) -> list[Outcome]:
    """What became of each of some events.

    Args:
        events: in the order in which they were inserted; an id may occur several times.
        new_ids: ids that were not in the store before.
        stored: what the store now has, by event id.

    Raises:
        EventStoreUnavailableError: an event was deleted by someone else at the same moment.
    """
    results: list[Outcome] = []
    remaining = set(new_ids)
    for event in events:
        there = stored.get(event.event_id)
        if there is None:
            raise EventStoreUnavailableError("events were deleted while they were stored")
        if event.event_id in remaining:
            remaining.remove(event.event_id)
            results.append(STORED)
        else:
            results.append(EXISTING if there == event else CONFLICT)
    return results

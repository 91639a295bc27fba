"""The shapes of responses about events, for OpenAPI only; see ``schemas``."""

from __future__ import annotations

from typing import Literal

from segue.config.section import ConfigSection


class EventResult(ConfigSection):
    """What became of an event: it is new; it is there already; its id is that of another one."""

    event_id: str
    status: Literal["stored", "already_stored", "conflict"]


class EventResultsShape(ConfigSection):
    """The results in the order of the call, and how many there are of each."""

    results: list[EventResult]
    stored: int
    already_stored: int
    conflicts: int


class StoredEvent(ConfigSection):
    """An event with its time in UTC."""

    event_id: str
    user_id: str
    item_id: str
    time: str
    kind: str


class UserEventsShape(ConfigSection):
    """Events of a user, oldest first; ``next`` is the parameter ``after`` of the next page."""

    user_id: str
    events: list[StoredEvent]
    next: str | None


class DeletedEventsShape(ConfigSection):
    """How many events of a user were deleted."""

    user_id: str
    deleted: int

"""Events of users, and the rules for their ids and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from segue.ids import InvalidIdError, id_of

MAX_KEY = 256
"""Characters of an event id or user id: the indexes of PostgreSQL take no more."""
MAX_ITEM_ID = 1_000
"""Characters of an item id."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_US = 315_532_800_000_000
"""1980-01-01."""
_AHEAD = timedelta(days=1)
"""Clocks of clients differ; a time further ahead is a mistake, and would never be too old."""


class Event(NamedTuple):
    """One user did one thing with one item.

    Attributes:
        event_id: the client's id of the event, unique in the store.
        user_id: who.
        item_id: what with.
        time_us: when, in microseconds since 1970 in UTC.
        kind: what the user did, such as ``view``.
    """

    event_id: str
    user_id: str
    item_id: str
    time_us: int
    kind: str


def stored_id(value: Any, name: str, limit: int = MAX_KEY) -> str:
    """The text by which an id is stored, by the rule for ids.

    Args:
        value: text or an integer.
        name: what it is, for the message.
        limit: largest number of characters.

    Raises:
        ValueError: it cannot be an id, is missing, or is too long.
    """
    try:
        text = id_of(value)
    except InvalidIdError as error:
        raise ValueError(f"{name} {error}, expected text or an integer") from None
    if text is None:
        raise ValueError(f"{name} {value!r} stands for a missing id")
    if len(text) > limit:
        raise ValueError(f"{name} has more than {limit:,} characters")
    if "\0" in text:
        raise ValueError(f"{name} has a NUL character")
    return text


def time_from_text(text: str, now: datetime) -> int:
    """The time of an event in microseconds since 1970.

    Args:
        text: ISO 8601 with an offset.
        now: the present time.

    Raises:
        ValueError: it is no such text, or is not between 1980 and one day ahead.
    """
    expected = "expected ISO 8601 with an offset, such as 2026-11-30T12:00:00Z"
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"time cannot be read, {expected}") from None
    if time.tzinfo is None:
        raise ValueError(f"time has no offset, {expected}")
    # As numbers: near the years 1 and 9999, a time may have no equal in UTC.
    time_us = microseconds_of(time)
    if not _FIRST_US <= time_us <= microseconds_of(now + _AHEAD):
        raise ValueError("time is before 1980 or more than a day ahead")
    return time_us


def time_to_text(time_us: int) -> str:
    """A time as ISO 8601 in UTC."""
    return (_EPOCH + time_us * _MICROSECOND).isoformat().replace("+00:00", "Z")


def microseconds_of(time: datetime) -> int:
    """A time with an offset in microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND

"""``SqlEventStore``: the statements that SQLite and PostgreSQL have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, ClassVar

from segue.event_store.event import Event
from segue.event_store.store import Position

COLUMNS = "event_id, user_id, item_id, time_us, kind"
IN_ORDER = "user_id, time_us, number"
"""Events by user, time and arrival."""
LATEST_FIRST = "ORDER BY time_us DESC, number DESC"

_TIME_AND_NUMBER = itemgetter(3, 5)
"""Of a row with ``COLUMNS`` and the number."""


class SqlEventStore(ABC):
    """Reading and deleting; each database has its own way of storing and erasing."""

    _table: ClassVar[str]
    """The table of events."""
    _item_key: ClassVar[str]
    """By what an index finds the events of a user with an item, as SQL of a column ``{item}``."""

    @abstractmethod
    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a statement gives; its values are written as question marks.

        Raises:
            EventStoreUnavailableError: the database cannot be used now.
        """

    @abstractmethod
    def _rows_of_users(
        self, statement: str, user_ids: Sequence[str], *values: Any
    ) -> list[list[tuple[Any, ...]]]:
        """The rows that a statement gives for each of some users, in any order.

        Args:
            statement: for one user, who is written as ``{user}`` before the first question mark.
            user_ids: the users; one may occur several times.
            values: of the question marks, the same for all users.

        Raises:
            EventStoreUnavailableError: the database cannot be used now.
        """

    def latest(self, user_ids: Sequence[str], limit: int) -> list[list[Event]]:
        query = (
            f"SELECT {COLUMNS}, number FROM {self._table} "
            f"WHERE user_id = {{user}} {LATEST_FIRST} LIMIT ?"
        )
        return [
            events_of(row[:-1] for row in sorted(rows, key=_TIME_AND_NUMBER))
            for rows in self._rows_of_users(query, user_ids, limit)
        ]

    def rejected_items(
        self,
        user_ids: Sequence[str],
        negative: Sequence[str],
        positive: Sequence[str],
        limit: int,
    ) -> list[set[str]]:
        if not negative:
            return [set() for _ in user_ids]
        # For each item of the latest negative events: is the last event of either sign negative?
        # Each of the inner SELECTs reads one range of an index, from its end.
        last_key, key = (self._item_key.format(item=f"{t}.item_id") for t in ("last", "negative"))
        latest = (
            f"SELECT item_id FROM (SELECT item_id FROM {self._table} "
            f"WHERE user_id = {{user}} AND kind = ? {LATEST_FIRST} LIMIT ?) AS latest"
        )
        query = (
            f"SELECT item_id FROM ({' UNION '.join([latest] * len(negative))}) AS negative "
            f"WHERE (SELECT kind FROM {self._table} AS last WHERE user_id = {{user}} "
            f"AND {last_key} = {key} AND last.item_id = negative.item_id "
            f"AND kind IN ({_marks([*negative, *positive])}) {LATEST_FIRST} LIMIT 1"
            f") IN ({_marks(negative)})"
        )
        limits = [value for kind in negative for value in (kind, limit)]
        rows_of_users = self._rows_of_users(
            query, user_ids, *limits, *negative, *positive, *negative
        )
        return [{item for (item,) in rows} for rows in rows_of_users]

    def page(
        self, user_id: str, after: Position | None, limit: int
    ) -> tuple[list[Event], Position | None]:
        query = (
            f"SELECT {COLUMNS}, number FROM {self._table} "
            "WHERE user_id = ? AND (time_us, number) > (CAST(? AS bigint), CAST(? AS bigint)) "
            "ORDER BY time_us, number LIMIT ?"
        )
        # One more than the page has, to know whether there is a next one.
        rows = self._rows(query, user_id, *(after or (-(2**63), 0)), limit + 1)
        events = events_of(row[:-1] for row in rows[:limit])
        return events, (events[-1].time_us, rows[limit - 1][-1]) if len(rows) > limit else None

    def kinds(self) -> list[str]:
        rows = self._rows(f"SELECT DISTINCT kind FROM {self._table} ORDER BY kind")
        return [kind for (kind,) in rows]

    def check(self) -> None:
        self._rows(f"SELECT number FROM {self._table} LIMIT 1")


def events_of(rows: Any) -> list[Event]:
    """Rows with ``COLUMNS`` as events."""
    return [Event._make(row) for row in rows]


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))

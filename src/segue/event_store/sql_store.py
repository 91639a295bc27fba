"""``SqlEventStore``: the statements that SQLite and PostgreSQL have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from segue.event_store.event import Event
from segue.event_store.store import Position

COLUMNS = "event_id, user_id, item_id, time_us, kind"
IN_ORDER = "user_id, time_us, number"
"""Events by user, time and arrival."""
LATEST_FIRST = "ORDER BY time_us DESC, number DESC"


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

    def latest(self, user_ids: Sequence[str], limit: int) -> list[list[Event]]:
        query = f"SELECT {COLUMNS} FROM {self._table} WHERE user_id = ? {LATEST_FIRST} LIMIT ?"
        return [events_of(reversed(self._rows(query, user, limit))) for user in user_ids]

    def rejected_items(
        self,
        user_ids: Sequence[str],
        negative: Sequence[str],
        positive: Sequence[str],
        limit: int,
    ) -> list[set[str]]:
        # For each item of the latest negative events: is the last event of either sign negative?
        # Each of the two inner SELECTs reads one range of an index, from its end.
        last_key, key = (self._item_key.format(item=f"{t}.item_id") for t in ("last", "negative"))
        query = (
            "SELECT item_id FROM (SELECT DISTINCT item_id FROM ("
            f"SELECT item_id FROM {self._table} WHERE user_id = ? AND kind = ? "
            f"{LATEST_FIRST} LIMIT ?) AS latest) AS negative "
            f"WHERE (SELECT kind FROM {self._table} AS last WHERE user_id = ? "
            f"AND {last_key} = {key} AND last.item_id = negative.item_id "
            f"AND kind IN ({_marks([*negative, *positive])}) {LATEST_FIRST} LIMIT 1"
            f") IN ({_marks(negative)})"
        )
        return [
            {
                item
                for kind in negative
                for (item,) in self._rows(
                    query, user, kind, limit, user, *negative, *positive, *negative
                )
            }
            for user in user_ids
        ]

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

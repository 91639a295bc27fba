"""The response types ``Answer``, ``Explanation`` and ``Recommendation``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int32

from segue.errors import quantity
from segue.recommender.explaining.reasons import Why
from segue.tables import pandas_of
from segue.tokens import END, N_SPECIALS

ITEM_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("score", pa.float64()),
        ("rank", pa.int64()),
    ]
)
"""Columns of ``Answer.to_arrow``."""

HISTORY = pa.field("history", pa.int64())
"""Additional first column of ``Answers.to_arrow``."""


class Recommendation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of a list, with its score and its rank from 1.

    Attributes:
        probability: that it is the next item, if that was requested.
        why: the events that it is because of, if that was requested.
        attributes: what the source of the log says of the item, and its ``training_count``; in
            answers of a server only.
    """

    item_id: str
    title: str
    score: float
    rank: int
    probability: float | None = None
    why: Why | None = None
    attributes: dict[str, Any] | None = None


class Answer(msgspec.Struct, frozen=True):
    """A list of recommended or generated items, with information about the request.

    Attributes:
        items: recommendations, best first, or generated items in order.
        unknown_items: item ids of the request that are not in the model's catalogue; each was
            replaced with UNK in the context.
        truncated: number of oldest events that did not fit in the model's context.
        model: the name of the run.
        took_ms: time taken, in milliseconds.
        notes: caveats, such as a user id that was not in the training data, or why the list is
            shorter than requested.
        seen: whether items of the history could be recommended: ``include`` or ``exclude``; None
            for similar items, and where the candidates were given.
    """

    items: list[Recommendation]
    unknown_items: list[str]
    truncated: int
    model: str
    took_ms: float
    notes: list[str] = []
    seen: Literal["include", "exclude"] | None = None

    def __iter__(self) -> Iterator[Recommendation]:
        """Iterate over ``items``."""
        return iter(self.items)

    def __len__(self) -> int:
        """Number of ``items``."""
        return len(self.items)

    def __getitem__(self, position: int) -> Recommendation:
        """The item at a position of ``items``, from 0."""
        return self.items[position]

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values, as ``--json`` prints them."""
        return msgspec.to_builtins(self)

    def to_arrow(self) -> pa.Table:
        """Convert ``items`` to a table with the columns item_id, title, score and rank.

        If they were requested, it also has the probability, and the text of ``why``.
        """
        return _table(self.items, _schema(self.items))

    def to_pandas(self) -> Any:
        """Convert ``items`` to a pandas data frame with the columns of ``to_arrow``.

        Raises:
            RequestError: pandas is not installed.
        """
        return pandas_of(self.to_arrow())


class Answers(list[Answer]):
    """The answers to many histories, in their order: a list that converts to one table."""

    def to_arrow(self) -> pa.Table:
        """Convert the items of all answers to a table with one row per item.

        Its columns are ``history``, the number of the history from 0, and those of
        ``Answer.to_arrow``. A history without items has no row.
        """
        schema = _schema([item for answer in self for item in answer.items])
        tables = [_table(answer.items, schema) for answer in self]
        numbers = [pa.repeat(pa.scalar(i, HISTORY.type), len(t)) for i, t in enumerate(tables)]
        columns = [t.add_column(0, HISTORY, n) for t, n in zip(tables, numbers, strict=True)]
        empty = pa.schema([HISTORY, *schema]).empty_table()
        return pa.concat_tables([empty, *columns])

    def to_pandas(self) -> Any:
        """Convert to a pandas data frame with the columns of ``to_arrow``.

        Raises:
            RequestError: pandas is not installed.
        """
        return pandas_of(self.to_arrow())


@dataclass(frozen=True, repr=False)
class Explanation:
    """Why the items of an answer are recommended.

    Attributes:
        answer: the items, each with ``why``.
        events: the item id of each event of the history, oldest first, that of the user included.
        contributions: in nats, one row per item of the answer and one column per event: the score
            of the item minus its score for the history without the event. Without it, later events
            move up, and older ones into the context; seen items stay excluded. The contributions
            of two events that say the same are small, because either can stand in for the other:
            so they do not add up to the score. An item that occurs several times has a
            contribution per event.
        member_ranks: for each member of the ensemble, the transformer first, the rank of every
            item by this member alone, from 1, whatever controls say; None unless requested.
    """

    answer: Answer
    events: list[str]
    contributions: Float32[np.ndarray, "items events"]
    member_ranks: dict[str, list[int]] | None = None

    def __iter__(self) -> Iterator[Recommendation]:
        """Iterate over the items of the answer."""
        return iter(self.answer)

    def __len__(self) -> int:
        """Number of items of the answer."""
        return len(self.answer)

    def __getitem__(self, position: int) -> Recommendation:
        """The item of the answer at a position, from 0."""
        return self.answer[position]

    def __repr__(self) -> str:
        """The numbers of items and events, and why each item is recommended."""
        lines = [f"  {item.rank}. {item.title}: {_text(item.why)}" for item in self]
        head = f"Explanation of {len(self)} items by {len(self.events)} events"
        return "\n".join([head, *lines])

    def to_arrow(self) -> pa.Table:
        """The contributions as a table with one row per item and event.

        Its columns are ``item_id``, ``rank``, ``position`` (of the event, from 0, oldest first),
        ``event`` (its item id) and ``contribution``, in nats. The table of the items is
        ``answer.to_arrow()``.
        """
        n_items, n_events = self.contributions.shape
        ids = [item.item_id for item in self]
        return pa.table(
            {
                "item_id": pa.array(ids, pa.string()).take(_repeated(n_items, n_events)),
                "rank": np.repeat(np.arange(1, n_items + 1), n_events),
                "position": np.tile(np.arange(n_events), n_items),
                "event": pa.array(self.events * n_items, pa.string()),
                "contribution": self.contributions.ravel().astype(np.float64),
            }
        )

    def to_pandas(self) -> Any:
        """Convert to a pandas data frame with the columns of ``to_arrow``.

        Raises:
            RequestError: pandas is not installed.
        """
        return pandas_of(self.to_arrow())

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values: those of the answer, ``events``, ``contributions``, and
        ``member_ranks`` if they were requested.
        """
        values: dict[str, Any] = {
            "events": self.events,
            "contributions": self.contributions.tolist(),
        }
        if self.member_ranks is not None:
            values["member_ranks"] = self.member_ranks
        return self.answer.to_dict() | values


def _text(reason: Why | None) -> str:
    return "no event has a contribution above 0" if reason is None else reason.text


def _repeated(n_items: int, n_events: int) -> pa.Array:
    return pa.array(np.repeat(np.arange(n_items), n_events))


def _schema(items: list[Recommendation]) -> pa.Schema:
    """``ITEM_SCHEMA``, with a column for each optional value that an item has."""
    schema = ITEM_SCHEMA
    if any(item.probability is not None for item in items):
        schema = schema.append(pa.field("probability", pa.float64()))
    if any(item.why is not None for item in items):
        schema = schema.append(pa.field("why", pa.string()))
    return schema


def _table(items: list[Recommendation], schema: pa.Schema) -> pa.Table:
    rows = [msgspec.structs.asdict(item) for item in items]
    for row in rows:
        row["why"] = None if row["why"] is None else row["why"].text
    return pa.Table.from_pylist(rows, schema)


def short_list_notes(
    items: Int32[np.ndarray, " k"],
    includes_seen: bool | None,
    restriction: Callable[[], str | None] = lambda: None,
) -> list[str]:
    """Why a list has fewer items than requested, and what to do; empty for a complete list.

    Args:
        items: a row of ``Ranked``; missing entries are special tokens.
        includes_seen: whether items of the history were candidates; None without a history.
        restriction: what else restricts the list, in words; called for a short list.
    """
    n_items = int(np.count_nonzero(items >= N_SPECIALS))
    if n_items == len(items):
        return []
    listed = f"the list has {n_items:,} of the {quantity(len(items), 'item')} requested: "
    if END in items:
        return [listed + "the model ended the sequence there (end_weight 0 never ends it)"]
    if (reason := restriction()) is not None:
        seen = "; items of the history are left out" if includes_seen is False else ""
        return [f"{listed}no other item is left under its controls ({reason}{seen})"]
    if includes_seen is False:
        return [
            listed + "every other item that may be recommended is in the history or the list "
            "already (include_seen=True or --include-seen admits items of the history)"
        ]
    return [listed + "the catalogue has no more items that may be recommended (request fewer)"]

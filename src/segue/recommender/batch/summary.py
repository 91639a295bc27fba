"""What a batch reports: its progress, and the summary of what it has written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segue.errors import quantity


class BatchProgress(NamedTuple):
    """How far a batch is.

    Attributes:
        phase: ``check`` reads all rows, ``answer`` computes their lists, ``write`` makes one file
            of the parts.
        rows: rows done in this phase.
        total: all rows; None while they are counted.
        resumed: rows that were computed before the batch was started again.
    """

    phase: Literal["check", "answer", "write"]
    rows: int
    total: int | None
    resumed: int = 0


class BatchSummary(msgspec.Struct, frozen=True):
    """What a batch has written, and what was not as it should be.

    Attributes:
        output: the file with the lists.
        notes_output: the file with the unknown items, truncated events and notes of requests;
            None if no request has any.
        rows: requests.
        events: events of their histories, as given.
        items: items of all lists.
        rows_without_items: requests with an empty list.
        rows_with_unknown_items: requests with events outside the catalogue of the model.
        unknown_items: the number of these events.
        rows_truncated: requests whose oldest events did not fit in the context of the model.
        rows_with_notes: requests with other caveats, such as a list that is too short.
        ignored_columns: columns of the input without a meaning.
        resumed_rows: rows that were computed before the batch was started again.
        notes: caveats of the whole batch, such as that no event is an item of the model.
        model: the name of the run.
        took_s: time taken, in seconds.
    """

    output: str
    notes_output: str | None
    rows: int
    events: int
    items: int
    rows_without_items: int
    rows_with_unknown_items: int
    unknown_items: int
    rows_truncated: int
    rows_with_notes: int
    ignored_columns: list[str]
    resumed_rows: int
    notes: list[str]
    model: str
    took_s: float

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values, as ``--json`` prints them."""
        return msgspec.to_builtins(self)


Watch = Callable[[BatchProgress], object]


def counts_of(part: pa.Table) -> dict[str, int]:
    """The counts of ``BatchSummary`` for a part."""
    n_items, n_unknown, n_notes = (
        pc.call_function("list_value_length", [part.column(name)]).to_numpy()
        for name in ("items", "unknown_items", "notes")
    )
    return {
        "rows": len(part),
        "events": int(part.column("events").to_numpy().sum()),
        "items": int(n_items.sum()),
        "rows_without_items": int(np.count_nonzero(n_items == 0)),
        "rows_with_unknown_items": int(np.count_nonzero(n_unknown)),
        "unknown_items": int(n_unknown.sum()),
        "rows_truncated": int(np.count_nonzero(part.column("truncated").to_numpy())),
        "rows_with_notes": int(np.count_nonzero(n_notes)),
    }


def notes_of(counts: Mapping[str, int]) -> list[str]:
    """What is wrong with a batch as a whole, by the counts of its summary."""
    if not counts["events"] or counts["unknown_items"] < counts["events"]:
        return []
    return [
        f"none of the {quantity(counts['events'], 'event')} is an item of the model: are the ids "
        "those of its training dataset?"
    ]

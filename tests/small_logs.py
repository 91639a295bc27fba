"""Small logs written out in the test, and sequences made from them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from segue.config import FilterConfig, PrepareConfig, SourceConfig, SplitConfig, validated
from segue.dataset import Cuts, Sequences
from segue.preparation.filters import RawEvents
from segue.ragged import offsets_of
from segue.sources.schema import NO_ITEMS, TIMES, Chunk, Source, sequence_batch

SECOND = 1_000_000


class InMemorySource(Source):
    """A source in memory.

    Args:
        log: the events of each sequence by its id. An event is an item id, ``(id, time in
            seconds)`` or ``(id, time, rating)``.
        items: descriptions, one dictionary per item.
        chunk_rows: sequences per chunk.
        attributes: columns of the sequences.
    """

    format: ClassVar[str] = "tabular"
    sequences_are_users: ClassVar[bool] = True

    def __init__(
        self,
        log: dict[str, Sequence[Any]],
        items: Sequence[dict[str, Any]] = (),
        chunk_rows: int = 2,
        attributes: dict[str, list[Any]] | None = None,
    ) -> None:
        self.log, self.items = log, items
        self.chunk_rows, self.attributes = chunk_rows, attributes or {}

    def chunks(self) -> Iterator[Chunk]:
        ids = list(self.log)
        described = pa.RecordBatch.from_pylist(list(self.items)) if self.items else NO_ITEMS
        for start in range(0, len(ids), self.chunk_rows):
            rows = ids[start : start + self.chunk_rows]
            columns = {k: v[start : start + self.chunk_rows] for k, v in self.attributes.items()}
            yield Chunk(self._batch(rows, columns), described)

    def _batch(self, rows: list[str], columns: dict[str, list[Any]]) -> pa.RecordBatch:
        events = [e if isinstance(e, tuple) else (e,) for row in rows for e in self.log[row]]
        width = max((len(event) for event in events), default=1)
        times = [event[1] * SECOND for event in events] if width > 1 else None
        ratings = [event[2] for event in events] if width > 2 else None
        lengths = np.array([len(self.log[row]) for row in rows])
        return sequence_batch(
            pa.array(rows),
            pa.array(offsets_of(lengths)),
            pa.array([e[0] for e in events], pa.string()).dictionary_encode(),
            times=None if times is None else pa.array(times, pa.int64()).cast(TIMES),
            ratings=None if ratings is None else pa.array(ratings, pa.float32()),
            attributes={name: pa.array(values) for name, values in columns.items()},
        )

    def fingerprint(self) -> dict[str, Any]:
        return {"sequences": len(self.log)}

    def report(self) -> dict[str, Any]:
        return {"warnings": ["the log is small"]}


def prepare_config(**values: Any) -> PrepareConfig:
    """A configuration from the names of options, whichever section they belong to."""
    sections = {"source": SourceConfig, "filters": FilterConfig, "split": SplitConfig}
    options_by_section = {
        name: {key: value for key, value in values.items() if key in section.model_fields}
        for name, section in sections.items()
    }
    assert sum(map(len, options_by_section.values())) == len(values), values
    return validated(PrepareConfig, options_by_section)


def events_of(rows: Sequence[Sequence[tuple[int, int, float]]]) -> RawEvents:
    """Events from rows of ``(item, time, rating)``."""
    flat = [event for row in rows for event in row]
    return RawEvents(
        offsets_of(np.array([len(row) for row in rows], dtype=np.int64)),
        np.array([event[0] for event in flat], dtype=np.int32),
        np.array([event[1] for event in flat], dtype=np.int64),
        np.array([event[2] for event in flat], dtype=np.float32),
    )


def rows_of(events: RawEvents) -> list[list[tuple[int, int, float]]]:
    """The inverse of ``events_of``."""
    assert events.times is not None
    assert events.ratings is not None
    columns = (events.items.tolist(), events.times.tolist(), events.ratings.tolist())
    flat = list(zip(*columns, strict=True))
    bounds = events.offsets.tolist()
    return [flat[a:b] for a, b in itertools.pairwise(bounds)]


def sequences_of(
    rows: Sequence[Sequence[int]], cuts: Cuts, times: Sequence[Sequence[int]] | None = None
) -> Sequences:
    """Sequences in memory, named ``s0``, ``s1``, ..., with an attribute ``name``."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    return Sequences(
        ids=pa.array([f"s{i}" for i in range(len(rows))], pa.string()),
        offsets=offsets_of(lengths),
        items=np.array([item for row in rows for item in row], dtype=np.int32),
        times=None if times is None else np.array([t for row in times for t in row], np.int64),
        ratings=None,
        train_end=cuts.train_end,
        valid_end=cuts.valid_end,
        target_parts=cuts.target_parts,
        attributes=pa.table({"name": [f"name {i}" for i in range(len(rows))]}),
    )

"""Ingestion, the first half of ``prepare``: read a source once, filter it and spill it to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64

from segue.config import FilterConfig, PrepareConfig
from segue.dataset.sequences import SESSION_OF
from segue.dataset.sequences_file import SEQUENCE_FIELDS
from segue.errors import DatasetError, ResourceError
from segue.preparation import filters
from segue.preparation.event_spill import EventSpill
from segue.preparation.filters import RawEvents
from segue.preparation.item_encoder import ItemEncoder
from segue.sources.schema import ItemsFile, Source
from segue.storage.paths import checked_path

_US_PER_SECOND = 1_000_000

HELD_SHARE = 0.5
"""Largest share of the memory limit for what stays in memory: the ids of items, and the ids and
attributes of sequences. DuckDB takes the other half; see ``DUCKDB_MEMORY_SHARE``."""


class Ingested(NamedTuple):
    """A log after reading and filtering, with its events on disk.

    Attributes:
        log: the events, items as codes of ``encoder``.
        rows: ``sequence_id`` and the attributes of each sequence.
        encoder: ids and attributes of the items with an event or a description.
        admitted: whether each code may be in the dataset, by ``min_item_events``.
        report: the report of the source, extended by that of the items file.
    """

    log: EventSpill
    rows: pa.Table
    encoder: ItemEncoder
    admitted: Bool[np.ndarray, " codes"]
    report: dict[str, Any]


def ingest(source: Source, config: PrepareConfig, folder: Path) -> Ingested:
    """Read a source, apply the filters, and write the events to ``folder``.

    Raises:
        SourceError: from the source or the items file.
        DatasetError: a filter needs ratings or times that the log does not have, or no
            event is left.
        ResourceError: the ids do not fit within the memory limit.
    """
    items_file = _items_file(config)  # first, so that a bad file fails before the log is read
    log, encoder, rows = EventSpill(folder / "read"), ItemEncoder(folder / "items"), []
    n_bytes = 0
    for chunk in source.chunks():
        events = _events_of(chunk.sequences, encoder)
        encoder.describe(chunk.items)
        events, chunk_rows, session_numbers = _filter_rows(events, config.filters)
        log.append(events)
        rows.append(_rows_of(chunk.sequences, chunk_rows, session_numbers))
        n_bytes += rows[-1].nbytes
        _check_memory(n_bytes + encoder.nbytes, config.source.memory_limit)
    report = source.report()
    if items_file is not None:
        report = _with_items_file(report, items_file, encoder)
    log, row_mask, admitted = _drop_rare(log, len(encoder), config.filters, folder)
    if not len(log.lengths):
        message = "the log has no events, or the filters drop all of them"
        raise DatasetError(message, "check the log, or filter less")
    table = pa.concat_tables(rows, promote_options="permissive")
    table = table if row_mask is None else table.filter(row_mask)
    return Ingested(log, table, encoder, admitted, report)


def _check_memory(n_bytes: int, memory_limit: int) -> None:
    """Check that ids and sequence attributes, which stay in memory, leave room for sorting."""
    if n_bytes > memory_limit * HELD_SHARE:
        message = (
            f"the ids of the log take more than {HELD_SHARE:.0%} of the memory limit of "
            f"{memory_limit:,} bytes, and sorting takes the rest"
        )
        raise ResourceError(message, "raise --memory-limit")


def _items_file(config: PrepareConfig) -> ItemsFile | None:
    """The file of item attributes; None if the options name none."""
    if config.source.items_file is None:
        return None
    from segue.sources.items.items_file import read_items_file

    return read_items_file(checked_path(config.source.items_file), config.source)


def _with_items_file(
    report: dict[str, Any], items_file: ItemsFile, encoder: ItemEncoder
) -> dict[str, Any]:
    """Override the log's item attributes by those of the file, and report how many ids match."""
    file_report = dict(items_file.report)
    warnings = [*report["warnings"], *file_report.pop("warnings")]
    id_of_log, n_items = encoder.first_id(), len(encoder)
    n_described = encoder.override(items_file.items)
    if id_of_log is not None and not n_described:
        id_of_file = items_file.items.column("item_id")[0].as_py()
        warnings.append(
            f"the items file describes none of the log's {n_items:,} items: it has ids such as "
            f"{id_of_file!r}, the log has {id_of_log!r}"
        )
    counts = {"described": n_described, "of": n_items}
    return report | {"items_file": file_report | counts, "warnings": warnings}


def _events_of(sequences: pa.RecordBatch, encoder: ItemEncoder) -> RawEvents:
    """The events of a chunk as flat arrays, items as codes."""
    names, items = sequences.schema.names, sequences.column("items")
    offsets = items.offsets.to_numpy()
    times = ratings = None
    if "times" in names:
        times = sequences.column("times").flatten().cast(pa.int64()).to_numpy()
    if "ratings" in names:  # missing ratings become NaN
        ratings = sequences.column("ratings").flatten().to_numpy(zero_copy_only=False)
    return RawEvents(offsets - offsets[0], encoder.encode(items.flatten()), times, ratings)


def _filter_rows(
    events: RawEvents, config: FilterConfig
) -> tuple[RawEvents, Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"] | None]:
    """Apply the filters that need only one sequence at a time, and drop empty rows.

    Returns:
        The events; the row of the chunk that each row comes from; and the number of each
        session from 1, None where rows were not cut into sessions.
    """
    rows, session_numbers = np.arange(len(events.lengths)), None
    if config.min_rating is not None:
        if events.ratings is None:
            raise DatasetError("min_rating needs ratings, but the log has none", "leave it out")
        events = filters.drop_low_ratings(events, config.min_rating)
    if config.session_gap_s is not None:
        if events.times is None:
            raise DatasetError("session_gap needs times, but the log has none", "leave it out")
        events, rows = filters.split_sessions(events, round(config.session_gap_s * _US_PER_SECOND))
        session_numbers = filters.session_numbers(rows)
    if config.drop_consecutive_repeats:
        events = filters.drop_consecutive_repeats(events)
    has_events = events.lengths > 0
    if not has_events.all():
        events, rows = filters.select_rows(events, has_events), rows[has_events]
    return events, rows, session_numbers


def _rows_of(
    sequences: pa.RecordBatch,
    chunk_rows: Int64[np.ndarray, " rows"],
    session_numbers: Int64[np.ndarray, " rows"] | None,
) -> pa.Table:
    """Ids and attributes of some rows of a chunk.

    Sessions get the ids ``user:1``, ``user:2``, ... and the attribute ``SESSION_OF``.
    """
    names = [name for name in sequences.schema.names if name not in SEQUENCE_FIELDS]
    rows = sequences.select(["sequence_id", *names]).take(pa.array(chunk_rows))
    columns = {name: rows.column(name) for name in names}
    ids = rows.column("sequence_id")
    if session_numbers is not None:
        columns[SESSION_OF] = ids
        numbers = pa.array(session_numbers).cast(pa.string())
        ids = pc.call_function("binary_join_element_wise", [ids, numbers, ":"])
    return pa.table({"sequence_id": ids} | columns)


def _drop_rare(
    log: EventSpill, n_codes: int, config: FilterConfig, folder: Path
) -> tuple[EventSpill, pa.Array | None, Bool[np.ndarray, " codes"]]:
    """Drop items with too few events in the whole log, then sequences with too few events left.

    Returns:
        The remaining log, a mask of the rows that remain (None for all), and whether each item
        may be in the dataset.
    """
    if config.min_item_events == 1 and config.min_sequence_events == 1:
        return log, None, np.ones(n_codes, dtype=bool)
    admitted = np.ones(n_codes, dtype=bool)
    if config.min_item_events > 1:
        admitted = log.item_counts(n_codes) >= config.min_item_events
    remaining, row_masks = EventSpill(folder / "kept"), [np.zeros(0, dtype=bool)]
    for block in log.blocks():
        events = filters.select_events(block, admitted[block.items])
        row_mask = events.lengths >= config.min_sequence_events
        remaining.append(filters.select_rows(events, row_mask))
        row_masks.append(row_mask)
    log.remove()
    return remaining, pa.array(np.concatenate(row_masks)), admitted

"""The first half of ``prepare``: read a source once, and keep the events that are wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64

from segue.config import FilterConfig, PrepareConfig
from segue.dataset import filters
from segue.dataset.encoding import ItemEncoder
from segue.dataset.filters import Events
from segue.dataset.prepared import SEQUENCE_FIELDS
from segue.dataset.spill import EventLog
from segue.errors import DatasetError
from segue.sources.schema import ItemsFile, Source

_US_PER_SECOND = 1_000_000

SESSION_OF = "session_of"
"""The attribute of a session that names the sequence it was cut from. Not ``user``, which as a
feature is the sequence's own id."""


class Ingested(NamedTuple):
    """A log that has been read: its events on disk, and whose they are.

    Attributes:
        log: the events, items as codes of ``encoder``.
        rows: ``sequence_id`` and the attributes of each sequence.
        encoder: the items met or described.
        admitted: whether each code may be in the dataset, by ``min_item_events``.
        report: what reading found: the source's own report, and the items file's.
    """

    log: EventLog
    rows: pa.Table
    encoder: ItemEncoder
    admitted: Bool[np.ndarray, " codes"]
    report: dict[str, Any]


def ingest(source: Source, config: PrepareConfig, folder: Path) -> Ingested:
    """Read a source, keep what the filters keep, and lay the events down in ``folder``.

    Raises:
        SourceError: from the source, or the file of items.
        DatasetError: a filter needs ratings or times that the log does not have, or no
            event is left.
    """
    items_file = _items_file(config)  # first, so that a bad file is found before the log
    log, encoder, rows = EventLog(folder / "read"), ItemEncoder(folder / "items"), []
    for chunk in source.chunks():
        events = _events_of(chunk.sequences, encoder)
        encoder.describe(chunk.items)
        events, kept, ordinals = _filter_rows(events, config.filters)
        log.append(events)
        rows.append(_rows_of(chunk.sequences, kept, ordinals))
    report = source.report()
    if items_file is not None:
        report = _with_items_file(report, items_file, encoder)
    log, kept, admitted = _drop_rare(log, len(encoder), config.filters, folder)
    if not len(log.lengths):
        message = "the log has no events, or the filters leave none of them"
        raise DatasetError(message, "check the log, or filter less")
    table = pa.concat_tables(rows, promote_options="permissive")
    rest = table if kept is None else table.filter(kept)
    return Ingested(log, rest, encoder, admitted, report)


def _items_file(config: PrepareConfig) -> ItemsFile | None:
    """The file of item attributes, where there is one."""
    if config.source.items_file is None:
        return None
    from segue.sources.items_file import read_items_file  # needs DuckDB

    return read_items_file(Path(config.source.items_file), config.source)


def _with_items_file(
    report: dict[str, Any], items_file: ItemsFile, encoder: ItemEncoder
) -> dict[str, Any]:
    """Let the file's descriptions precede the log's, and report how well the two match."""
    found = dict(items_file.report)
    warnings = [*report["warnings"], *found.pop("warnings")]
    id_of_log, n_items = encoder.first_id(), len(encoder)
    n_described = encoder.override(items_file.items)
    if id_of_log is not None and not n_described:
        id_of_file = items_file.items.column("item_id")[0].as_py()
        warnings.append(
            f"the items file describes none of the log's {n_items:,} items: it has ids such as "
            f"{id_of_file!r}, the log has {id_of_log!r}"
        )
    counts = {"described": n_described, "of": n_items}
    return report | {"items_file": found | counts, "warnings": warnings}


def _events_of(sequences: pa.RecordBatch, encoder: ItemEncoder) -> Events:
    """The events of a chunk as flat arrays, items as codes."""
    names, items = sequences.schema.names, sequences.column("items")
    offsets = items.offsets.to_numpy()
    times = ratings = None
    if "times" in names:
        times = sequences.column("times").flatten().cast(pa.int64()).to_numpy()
    if "ratings" in names:  # a missing rating becomes NaN
        ratings = sequences.column("ratings").flatten().to_numpy(zero_copy_only=False)
    return Events(offsets - offsets[0], encoder.encode(items.flatten()), times, ratings)


def _filter_rows(
    events: Events, config: FilterConfig
) -> tuple[Events, Int64[np.ndarray, " rows"], Int64[np.ndarray, " rows"] | None]:
    """Apply the filters that look at one sequence alone, and drop rows left empty.

    Returns:
        The events, the row of the chunk that each row comes from, and where rows were cut
        into sessions the number of each, from 1.
    """
    rows, ordinals = np.arange(len(events.lengths)), None
    if config.min_rating is not None:
        if events.ratings is None:
            raise DatasetError("min_rating needs ratings, but the log has none", "leave it out")
        events = filters.at_least_rated(events, config.min_rating)
    if config.session_gap_s is not None:
        if events.times is None:
            raise DatasetError("session_gap needs times, but the log has none", "leave it out")
        events, rows = filters.sessions(events, round(config.session_gap_s * _US_PER_SECOND))
        ordinals = filters.ordinals(rows)
    if config.drop_consecutive_repeats:
        events = filters.drop_consecutive_repeats(events)
    filled = events.lengths > 0
    if not filled.all():
        events, rows = filters.drop_rows(events, filled), rows[filled]
    return events, rows, ordinals


def _rows_of(
    sequences: pa.RecordBatch,
    kept: Int64[np.ndarray, " rows"],
    ordinals: Int64[np.ndarray, " rows"] | None,
) -> pa.Table:
    """Ids and attributes of the kept rows; for sessions ``user:1``, ... and ``SESSION_OF``."""
    names = [name for name in sequences.schema.names if name not in SEQUENCE_FIELDS]
    rows = sequences.select(["sequence_id", *names]).take(pa.array(kept))
    columns = {name: rows.column(name) for name in names}
    ids = rows.column("sequence_id")
    if ordinals is not None:
        columns[SESSION_OF] = ids
        numbers = pa.array(ordinals).cast(pa.string())
        ids = pc.call_function("binary_join_element_wise", [ids, numbers, ":"])
    return pa.table({"sequence_id": ids} | columns)


def _drop_rare(
    log: EventLog, n_codes: int, config: FilterConfig, folder: Path
) -> tuple[EventLog, pa.Array | None, Bool[np.ndarray, " codes"]]:
    """Drop items with too few events in the whole log, then sequences, each counted once.

    Returns:
        What is left of the log, which of its rows (None for all), and which items may stay.
    """
    if config.min_item_events == 1 and config.min_sequence_events == 1:
        return log, None, np.ones(n_codes, dtype=bool)
    admitted = np.ones(n_codes, dtype=bool)
    if config.min_item_events > 1:
        admitted = log.item_counts(n_codes) >= config.min_item_events
    rest, kept_rows = EventLog(folder / "kept"), [np.zeros(0, dtype=bool)]
    for block in log.blocks():
        events = filters.keep_events(block, admitted[block.items])
        kept = events.lengths >= config.min_sequence_events
        rest.append(filters.drop_rows(events, kept))
        kept_rows.append(kept)
    log.remove()
    return rest, pa.array(np.concatenate(kept_rows)), admitted

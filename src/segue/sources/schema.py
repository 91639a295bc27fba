"""The Arrow schema of sequences and items that every source yields, and the ``Source`` interface.

A source is read as a stream of chunks, so that a log larger than memory can be prepared. Each
chunk contains complete sequences and the descriptions of items.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

ITEM_IDS = pa.dictionary(pa.int32(), pa.string())
TIMES = pa.timestamp("us", tz="UTC")

SEQUENCE_COLUMNS = {
    "sequence_id": pa.string(),
    "items": pa.large_list(ITEM_IDS),
    "times": pa.large_list(TIMES),
    "ratings": pa.large_list(pa.float32()),
}
"""Columns of sequences with a fixed meaning. ``sequence_id`` and ``items`` are required.
``times`` and ``ratings`` are present if the source has them, in every chunk or in none. Any
additional column is an attribute of the sequence and is stored with it."""

ITEM_COLUMNS = {
    "item_id": pa.string(),
    "title": pa.string(),
    "artist": pa.string(),
    "album": pa.string(),
    "genres": pa.list_(pa.string()),
    "year": pa.int32(),
}
"""Columns of items with a fixed meaning. Only ``item_id`` is required; additional columns are
stored too."""

RESERVED_COLUMNS = ("index", "item_id", "training_count", "is_candidate")
"""Names of the item columns of the prepared dataset itself; no additional column may use them."""

VECTOR = pa.list_(pa.float32())
"""Type of an additional item column with precomputed vectors, such as text or audio embeddings:
finite numbers, the same width for every item, null for an item without a vector."""

NO_ITEMS = pa.RecordBatch.from_pylist([], schema=pa.schema([("item_id", pa.string())]))


class Chunk(NamedTuple):
    """Some complete sequences, and descriptions of items.

    Attributes:
        sequences: one row per sequence, events in order; see ``SEQUENCE_COLUMNS``. A
            ``sequence_id`` occurs only once in a source.
        items: one row per item; see ``ITEM_COLUMNS``. If an id occurs in several rows, the
            first is used. An item may be described without occurring in any event (it then
            belongs to the catalogue ``all``), and an item of an event may have no description.
    """

    sequences: pa.RecordBatch
    items: pa.RecordBatch


class ItemsFile(NamedTuple):
    """The contents of an items file (``--items-file``); see ``segue.sources.items.items_file``.

    Attributes:
        items: one row per row of the file, in its order, with ``item_id``, those columns of
            ``ITEM_COLUMNS`` that it has, and then the additional columns.
        report: how the columns were used, as JSON: ``columns``, the name of the column of the
            ``item`` and of each attribute with a fixed meaning; ``further``, the names of
            additional columns; ``vectors``, the names of vector columns with their widths; and
            ``warnings``.
    """

    items: pa.RecordBatch
    report: dict[str, Any]


class Source(ABC):
    """An interaction log in one of the formats, opened but not yet read.

    A new format is a module with a subclass and a function ``recognises(path)``, listed in
    ``open_source`` and in ``SourceConfig.format``.
    """

    format: ClassVar[str]
    """The name of the format on the command line: ``mpd``, ``movielens``, ``tabular``,
    ``events``, ``demo``."""

    sequences_are_users: bool
    """Whether a sequence is the history of a user (default split: leave-one-out) rather than
    complete in itself, such as a playlist (default split: hold out entire sequences)."""

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Read the log once, in a fixed order and in bounded memory.

        Raises:
            SourceError: at the first row that cannot be read, with the file and the row.
        """

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """The identity of the input, as JSON: file names with sizes, or the generator's options.

        It contains no absolute path and no clock time, so that the same input has the same
        fingerprint on another machine.
        """

    def report(self) -> dict[str, Any]:
        """Observations made while reading, as JSON; complete once ``chunks`` is exhausted.

        Contains a list ``warnings`` of sentences for the user and, for sources that guess
        columns, ``columns``.
        """
        return {"warnings": []}


def sequence_batch(
    sequence_ids: pa.Array,
    offsets: pa.Array,
    items: pa.Array,
    *,
    times: pa.Array | None = None,
    ratings: pa.Array | None = None,
    attributes: dict[str, pa.Array] | None = None,
) -> pa.RecordBatch:
    """Build the ``sequences`` of a chunk from the concatenated events of all sequences.

    Args:
        sequence_ids: one string per sequence.
        offsets: int64, one more than the number of sequences; sequence ``i`` has the events
            ``offsets[i]`` to ``offsets[i + 1]`` (exclusive).
        items: the item ids of all events, dictionary-encoded (``ITEM_IDS``).
        times: the times of all events (``TIMES``).
        ratings: the ratings of all events, float32.
        attributes: additional columns, one value per sequence.
    """
    columns: dict[str, pa.Array] = {
        "sequence_id": sequence_ids,
        "items": pa.LargeListArray.from_arrays(offsets, items),
    }
    if times is not None:
        columns["times"] = pa.LargeListArray.from_arrays(offsets, times)
    if ratings is not None:
        columns["ratings"] = pa.LargeListArray.from_arrays(offsets, ratings)
    return pa.RecordBatch.from_pydict(columns | (attributes or {}))

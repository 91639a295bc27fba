"""What every source yields: one Arrow schema of sequences and of items.

A source is read as a stream of chunks, so that a log larger than memory can be prepared.
Each chunk holds whole sequences, and describes items as it meets them.
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
"""Columns with a fixed meaning. ``sequence_id`` and ``items`` are required, ``times`` and
``ratings`` are there when the source has them, in every chunk or in none. Any further
column is an attribute of the sequence, and is kept with it."""

ITEM_COLUMNS = {
    "item_id": pa.string(),
    "title": pa.string(),
    "artist": pa.string(),
    "album": pa.string(),
    "genres": pa.list_(pa.string()),
    "year": pa.int32(),
}
"""Columns with a fixed meaning; only ``item_id`` is required, further ones are kept."""

RESERVED_COLUMNS = ("index", "item_id", "training_count")
"""Columns that the dataset gives items itself: no further column may take these names."""

VECTOR = pa.list_(pa.float32())
"""Type of a further column of items that holds vectors computed elsewhere, of a text or a
sound: finite numbers, as many for every item, null for an item that has none."""

NO_ITEMS = pa.RecordBatch.from_pylist([], schema=pa.schema([("item_id", pa.string())]))


class Chunk(NamedTuple):
    """Some whole sequences, and descriptions of items.

    Attributes:
        sequences: one row a sequence, events in order; see ``SEQUENCE_COLUMNS``. The same
            ``sequence_id`` never comes twice in a source.
        items: one row an item; see ``ITEM_COLUMNS``. Of several rows for one id the first
            counts. An item may be described without any event (it then belongs to the
            catalogue ``all``), and an event's item need not be described.
    """

    sequences: pa.RecordBatch
    items: pa.RecordBatch


class ItemsFile(NamedTuple):
    """A table of items beside the log, read; see ``segue.sources.items_file``.

    Attributes:
        items: one row a row of the table, in its order, with ``item_id`` and whichever
            columns of ``ITEM_COLUMNS`` it has, then the further ones.
        report: what was found, as JSON: ``columns``, the column of the ``item`` and of each
            attribute with a fixed meaning; ``further``, the names of other columns;
            ``vectors``, those of vectors with the numbers in each; and ``warnings``.
    """

    items: pa.RecordBatch
    report: dict[str, Any]


class Source(ABC):
    """A foreign log, opened but not yet read."""

    format: ClassVar[str]
    """Its name on the command line: ``mpd``, ``movielens``, ``tabular`` or ``demo``."""

    sequences_are_users: bool
    """Whether a sequence is a user's history (split by leave-one-out unless told otherwise)
    rather than a thing complete in itself, as a playlist is (split by whole sequences)."""

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """Read everything once, in a fixed order, in bounded memory.

        Raises:
            SourceError: at the first thing that cannot be read, naming file and row.
        """

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """What identifies the input, as JSON: file names with sizes, or a generator's options.

        No path of the machine and no clock time: the same input elsewhere gives the same.
        """

    def report(self) -> dict[str, Any]:
        """What was noticed while reading, as JSON; complete once ``chunks`` is exhausted.

        Holds at least ``columns`` for sources that guess them, and a ``warnings`` list of
        sentences for a person.
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
    """Build the ``sequences`` of a chunk from arrays laid end to end.

    Args:
        sequence_ids: one string a sequence.
        offsets: int64, one more than there are sequences; sequence ``i`` owns the events
            ``offsets[i]`` up to ``offsets[i + 1]``.
        items: the item ids of all events, dictionary-encoded (``ITEM_IDS``).
        times: the times of all events (``TIMES``).
        ratings: the ratings of all events, float32.
        attributes: further columns, one value a sequence.
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

"""One slice of the Million Playlist Dataset as it was published: from JSON straight to Arrow.

Arrow's own reader parses the text into columns, and what is checked is checked on columns:
no track becomes an object of Python. It takes nothing that it is not sure of; any other
slice is decoded record by record (``mpd_decoding``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from jaxtyping import Bool, Int64

from segue.sources.schema import TIMES, Chunk, sequence_batch

LAST_SECOND = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""

ITEM_FIELDS = {
    "item_id": ("track_uri", pa.string()),
    "title": ("track_name", pa.string()),
    "artist": ("artist_name", pa.string()),
    "album": ("album_name", pa.string()),
    "artist_uri": ("artist_uri", pa.string()),
    "album_uri": ("album_uri", pa.string()),
    "duration_ms": ("duration_ms", pa.int64()),
}
"""The columns of an item, each with the field of a track that it comes from."""

_TRACK = pa.struct([("pos", pa.int64()), *ITEM_FIELDS.values()])
_PLAYLIST = pa.struct(
    {
        "pid": pa.int64(),
        "tracks": pa.list_(_TRACK),
        "name": pa.string(),
        "description": pa.string(),
        "collaborative": pa.string(),
        "modified_at": pa.int64(),
        "num_followers": pa.int64(),
        "num_edits": pa.int64(),
        "num_tracks": pa.int64(),
        "duration_ms": pa.int64(),
    }
)
_SLICE = pa.schema({"playlists": pa.list_(_PLAYLIST)})


class DecodedSlice(NamedTuple):
    """A slice as Arrow columns, with what is inconsistent in it.

    Attributes:
        chunk: one row a playlist, one item row a distinct track. The columns are the same for
            every slice; what a slice lacks is null.
        inconsistent: the ids of the playlists that fail a check, by its name: ``positions``
            are not 0, 1, 2, ... in order, ``counts`` or ``durations`` disagree with the tracks.
    """

    chunk: Chunk
    inconsistent: dict[str, list[str]]


def decode_columns(data: bytes) -> DecodedSlice | None:
    """Decode a slice, or None if there is anything unusual about it, such as an error."""
    try:
        playlists = _parse(data)
        if playlists is None:
            return None
        tracks = playlists.field("tracks").flatten()
        lengths = np.diff(playlists.field("tracks").offsets.to_numpy()).astype(np.int64)
        if not _is_usual(playlists, tracks) or not _in_order(tracks.field("pos"), lengths):
            return None
        attributes = _attributes(playlists)
    except pa.ArrowException:
        return None
    ids = playlists.field("pid").cast(pa.string())
    items = tracks.field("track_uri").dictionary_encode()
    offsets = pa.array(np.append(0, np.cumsum(lengths, dtype=np.int64)))
    sequences = sequence_batch(ids, offsets, items, attributes=attributes)
    checks = {
        "positions": np.zeros(0, np.int64),
        "counts": _miscounted(playlists, lengths),
        "durations": _mistimed(playlists, tracks, lengths),
    }
    inconsistent = {check: ids.take(pa.array(rows)).to_pylist() for check, rows in checks.items()}
    return DecodedSlice(Chunk(sequences, _items(tracks, items)), inconsistent)


def _parse(data: bytes) -> pa.StructArray | None:
    """The playlists, if the text is one object that has them."""
    table = pyarrow.json.read_json(
        pa.BufferReader(data),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        pyarrow.json.ParseOptions(
            explicit_schema=_SLICE, newlines_in_values=True, unexpected_field_behavior="ignore"
        ),
    )
    if table.num_rows != 1 or table.column("playlists").null_count:
        return None
    playlists = pa.concat_arrays(table.column("playlists").chunks).flatten()
    if not data.isascii():  # Arrow does not look whether text is UTF-8 unless asked
        playlists.validate(full=True)
    return playlists


def _is_usual(playlists: pa.StructArray, tracks: pa.StructArray) -> bool:
    """Whether all that is required is there, and all values are such as were published."""
    required = (playlists, playlists.field("pid"), playlists.field("tracks"))
    if any(array.null_count for array in (*required, tracks, tracks.field("track_uri"))):
        return False
    shared = set(playlists.field("collaborative").unique().to_pylist())
    seconds = _numbers(playlists.field("modified_at"))
    in_time = np.all((seconds >= 0) & (seconds <= LAST_SECOND))
    return shared <= {None, "true", "false"} and bool(in_time)


def _in_order(positions: pa.Array, lengths: Int64[np.ndarray, " playlists"]) -> bool:
    """Whether every playlist has the positions 0, 1, 2, ..., or none has any."""
    if positions.null_count:
        return positions.null_count == len(positions)
    begins = np.cumsum(lengths) - lengths
    expected = np.arange(len(positions)) - np.repeat(begins, lengths)
    return np.array_equal(positions.to_numpy(), expected)


def _miscounted(
    playlists: pa.StructArray, lengths: Int64[np.ndarray, " playlists"]
) -> Int64[np.ndarray, " found"]:
    """Playlists whose ``num_tracks`` is there, and wrong."""
    told = playlists.field("num_tracks")
    return np.flatnonzero(_is_there(told) & (_numbers(told) != lengths))


def _mistimed(
    playlists: pa.StructArray, tracks: pa.StructArray, lengths: Int64[np.ndarray, " playlists"]
) -> Int64[np.ndarray, " found"]:
    """Playlists that do not last as long as their tracks, where all of them say how long."""
    told, durations = playlists.field("duration_ms"), tracks.field("duration_ms")
    ends = np.cumsum(lengths)
    missing = _sums(~_is_there(durations), ends)
    differs = _numbers(told) != _sums(_numbers(durations), ends)
    return np.flatnonzero(_is_there(told) & (missing == 0) & differs)


def _sums(values: np.ndarray, ends: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    """Sums over rows laid end to end."""
    totals = np.append(0, np.cumsum(values, dtype=np.int64))[ends]
    return np.diff(totals, prepend=0)


def _is_there(numbers: pa.Array) -> Bool[np.ndarray, " n"]:
    return numbers.is_valid().to_numpy(zero_copy_only=False)


def _numbers(numbers: pa.Array) -> Int64[np.ndarray, " n"]:
    return numbers.fill_null(0).to_numpy()


def _attributes(playlists: pa.StructArray) -> dict[str, pa.Array]:
    shared = playlists.field("collaborative")
    seconds = playlists.field("modified_at").cast(pa.timestamp("s", "UTC"))
    return {
        "name": playlists.field("name"),
        "description": playlists.field("description"),
        "collaborative": pc.call_function("equal", [shared, pa.scalar("true")]),
        "modified_at": seconds.cast(TIMES),
        "num_followers": playlists.field("num_followers"),
        "num_edits": playlists.field("num_edits"),
    }


def _items(tracks: pa.StructArray, items: pa.DictionaryArray) -> pa.RecordBatch:
    """The tracks as they were first met."""
    codes = items.indices.to_numpy()  # in the order in which values turn up
    first = pa.array(np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1)))
    columns = {name: tracks.field(field).take(first) for name, (field, _) in ITEM_FIELDS.items()}
    return pa.RecordBatch.from_pydict(columns)

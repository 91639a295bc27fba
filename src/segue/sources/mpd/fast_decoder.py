"""Fast decoder for regular slices of the Million Playlist Dataset: JSON to Arrow columns.

Arrow's JSON reader parses the text, and all checks run on columns, without Python objects for
tracks. A slice with anything irregular is left to the record-by-record decoder
(``segue.sources.mpd.decoder``).
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

MAX_BYTES = 2**31 - 1
"""Arrow's reader counts the bytes of a text in 32 bits."""

ITEM_FIELDS = {
    "item_id": ("track_uri", pa.string()),
    "title": ("track_name", pa.string()),
    "artist": ("artist_name", pa.string()),
    "album": ("album_name", pa.string()),
    "artist_uri": ("artist_uri", pa.string()),
    "album_uri": ("album_uri", pa.string()),
    "duration_ms": ("duration_ms", pa.int64()),
}
"""For each item column, the field of a track that it is read from, and its type."""

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
    """A slice as Arrow columns, with the playlists that fail a consistency check.

    Attributes:
        chunk: one row per playlist, one item row per distinct track. Every slice has the same
            columns; fields that are missing in a slice are null.
        inconsistent: name of the check -> ids of the playlists that fail it. ``positions``:
            the track positions are not 0, 1, 2, ...; ``counts``, ``durations``: ``num_tracks``
            or ``duration_ms`` disagrees with the tracks.
    """

    chunk: Chunk
    inconsistent: dict[str, list[str]]


def decode_regular_slice(data: bytes) -> DecodedSlice | None:
    """Decode a slice, or return None if it is irregular or invalid in any way."""
    if len(data) >= MAX_BYTES:
        return None
    try:
        playlists = _parse(data)
        if playlists is None:
            return None
        tracks = playlists.field("tracks").flatten()
        lengths = np.diff(playlists.field("tracks").offsets.to_numpy()).astype(np.int64)
        if not _is_regular(playlists, tracks) or not _in_order(tracks.field("pos"), lengths):
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
        "counts": _wrong_counts(playlists, lengths),
        "durations": _wrong_durations(playlists, tracks, lengths),
    }
    inconsistent = {check: ids.take(pa.array(rows)).to_pylist() for check, rows in checks.items()}
    return DecodedSlice(Chunk(sequences, _items(tracks, items)), inconsistent)


def _parse(data: bytes) -> pa.StructArray | None:
    """The playlists, or None if the text is not a single object that has them."""
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
    if not data.isascii():  # Arrow's reader does not check that text is UTF-8
        playlists.validate(full=True)
    return playlists


def _is_regular(playlists: pa.StructArray, tracks: pa.StructArray) -> bool:
    """Whether all required fields are present and all values are as in the published files."""
    required = (playlists, playlists.field("pid"), playlists.field("tracks"))
    if any(array.null_count for array in (*required, tracks, tracks.field("track_uri"))):
        return False
    flags = set(playlists.field("collaborative").unique().to_pylist())
    seconds = _numbers(playlists.field("modified_at"))
    in_range = np.all((seconds >= 0) & (seconds <= LAST_SECOND))
    return flags <= {None, "true", "false"} and bool(in_range)


def _in_order(positions: pa.Array, lengths: Int64[np.ndarray, " playlists"]) -> bool:
    """Whether every playlist has the positions 0, 1, 2, ..., or no track has a position."""
    if positions.null_count:
        return positions.null_count == len(positions)
    starts = np.cumsum(lengths) - lengths
    expected = np.arange(len(positions)) - np.repeat(starts, lengths)
    return np.array_equal(positions.to_numpy(), expected)


def _wrong_counts(
    playlists: pa.StructArray, lengths: Int64[np.ndarray, " playlists"]
) -> Int64[np.ndarray, " wrong"]:
    """Rows of the playlists whose ``num_tracks`` is present and wrong."""
    counts = playlists.field("num_tracks")
    return np.flatnonzero(_is_valid(counts) & (_numbers(counts) != lengths))


def _wrong_durations(
    playlists: pa.StructArray, tracks: pa.StructArray, lengths: Int64[np.ndarray, " playlists"]
) -> Int64[np.ndarray, " wrong"]:
    """Rows of the playlists whose ``duration_ms`` is not the sum over the tracks.

    Only playlists in which every track has a duration are checked.
    """
    totals, durations = playlists.field("duration_ms"), tracks.field("duration_ms")
    ends = np.cumsum(lengths)
    n_missing = _sums(~_is_valid(durations), ends)
    differs = _numbers(totals) != _sums(_numbers(durations), ends)
    return np.flatnonzero(_is_valid(totals) & (n_missing == 0) & differs)


def _sums(values: np.ndarray, ends: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    """Sums over the values of each row; row ``i`` ends before ``ends[i]``."""
    totals = np.append(0, np.cumsum(values, dtype=np.int64))[ends]
    return np.diff(totals, prepend=0)


def _is_valid(numbers: pa.Array) -> Bool[np.ndarray, " n"]:
    return numbers.is_valid().to_numpy(zero_copy_only=False)


def _numbers(numbers: pa.Array) -> Int64[np.ndarray, " n"]:
    return numbers.fill_null(0).to_numpy()


def _attributes(playlists: pa.StructArray) -> dict[str, pa.Array]:
    flags = playlists.field("collaborative")
    seconds = playlists.field("modified_at").cast(pa.timestamp("s", "UTC"))
    return {
        "name": playlists.field("name"),
        "description": playlists.field("description"),
        "collaborative": pc.call_function("equal", [flags, pa.scalar("true")]),
        "modified_at": seconds.cast(TIMES),
        "num_followers": playlists.field("num_followers"),
        "num_edits": playlists.field("num_edits"),
    }


def _items(tracks: pa.StructArray, items: pa.DictionaryArray) -> pa.RecordBatch:
    """The first occurrence of each distinct track."""
    indices = items.indices.to_numpy()  # numbered in the order of first occurrence
    first_rows = pa.array(np.flatnonzero(np.diff(np.maximum.accumulate(indices), prepend=-1)))
    columns = {
        name: tracks.field(field).take(first_rows) for name, (field, _) in ITEM_FIELDS.items()
    }
    return pa.RecordBatch.from_pydict(columns)

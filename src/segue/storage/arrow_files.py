"""Arrow and Parquet files read with bounds: a memory-mapped record batch, and a table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segue.storage.reading import Problems, regular_size

ARROW_MAGIC = b"ARROW1\x00\x00"
"""The first bytes of an Arrow file. A stream of messages follows, then a footer."""

PARQUET_MAGIC = b"PAR1"
"""The first and the last bytes of a Parquet file."""

ROWS_PER_READ = 1 << 14
"""Rows of a Parquet file that are decoded before their size is checked, at most."""

MAX_ROW_GROUPS = 10_000
"""Row groups of a Parquet file, at most."""

MIN_TABLE_BYTES, MAX_EXPANSION = 1 << 28, 1000
"""A table may take 256 MiB, or this many times the size of its Parquet file."""

_COMPRESSION = 3
"""Number of the field ``compression`` in the table ``RecordBatch`` of Arrow's messages."""


def map_record_batch(path: Path, problems: Problems) -> pa.RecordBatch:
    """Memory-map an Arrow file of one uncompressed record batch; its values are not read.

    The lengths of all buffers are checked, but no value in them: offsets may still point
    anywhere. ``batch.validate(full=True)`` checks those.

    Raises:
        problems.error: it is not such a file, or is shorter than it says.
    """
    regular_size(path, problems)
    try:
        source = pa.memory_map(str(path))
        if source.read(len(ARROW_MAGIC)) != ARROW_MAGIC:
            raise problems.cannot_read(path, "it is not an Arrow file")
        # The messages are read as a stream, because what the footer refers to may be elsewhere.
        for message in _messages(source):
            if _is_compressed(message):
                raise problems.cannot_read(path, "its columns are compressed")
        source.seek(len(ARROW_MAGIC))
        batches = list(pa.ipc.open_stream(source))
        if len(batches) != 1:
            raise problems.cannot_read(path, f"it has {len(batches)} record batches, expected 1")
        batch = batches[0]
        if len(set(batch.schema.names)) < len(batch.schema.names):
            raise problems.cannot_read(path, "several columns have the same name")
        batch.validate()
    except (OSError, pa.ArrowException, OverflowError) as error:
        raise problems.cannot_read(path, error) from None
    return batch


def read_table(
    path: Path,
    problems: Problems,
    columns: Sequence[str] | None = None,
    *,
    n_rows: int | None = None,
) -> pa.Table:
    """Read a Parquet file whose content is not much larger than the file.

    Compression makes terabytes out of a few bytes. So the sizes that the file states are checked
    first, and then those of what was decoded, after every few rows. Texts are valid UTF-8.

    Args:
        path: the file.
        problems: the error to raise.
        columns: the columns to read; all by default.
        n_rows: the expected number of rows; any by default.

    Raises:
        problems.error: it cannot be read, is larger than that, lacks a column, has two columns of
            a name that is read, or has another number of rows.
    """
    size = regular_size(path, problems)
    try:
        table = _decoded(path, size, columns, n_rows)
        table.validate(full=True)
    except (OSError, pa.ArrowException, ValueError, OverflowError) as error:
        raise problems.cannot_read(path, error) from None
    return table


def parquet_schema(path: Path, problems: Problems) -> pa.Schema:
    """The names and types of the columns of a Parquet file.

    Raises:
        problems.error: it cannot be read.
    """
    regular_size(path, problems)
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise problems.cannot_read(path, error) from None


def _decoded(path: Path, size: int, columns: Sequence[str] | None, n_rows: int | None) -> pa.Table:
    """Decode a Parquet file of ``size`` bytes; raises ``ValueError`` as ``read_table`` says."""
    limit = max(MIN_TABLE_BYTES, MAX_EXPANSION * size)
    too_large = f"its content is larger than {limit:,} bytes, for a file of {size:,}"
    with pq.ParquetFile(path) as file:
        _check_columns(file.schema_arrow.names, columns)
        metadata = file.metadata
        groups = range(metadata.num_row_groups)
        stated = sum(metadata.row_group(i).total_byte_size for i in groups)
        if stated > limit or len(groups) > MAX_ROW_GROUPS:
            raise ValueError(too_large)
        if n_rows not in (None, metadata.num_rows):
            raise ValueError(f"it has {metadata.num_rows:,} rows, expected {n_rows:,}")
        longest = max((_longest_row(path, i) for i in groups), default=0)
        rows = min(ROWS_PER_READ, max(limit // max(longest, 1), 1))
        batches, n_bytes, n_read = [], 0, 0
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            batches.append(batch)
            n_bytes += batch.nbytes
            n_read += len(batch)
            if n_bytes > limit:
                raise ValueError(too_large)
        if n_read != metadata.num_rows:
            raise ValueError(f"it has {n_read:,} rows and says that it has {metadata.num_rows:,}")
        if not batches:
            return file.read(columns=columns)
        # One chunk per column, however many batches there were: lookups are faster.
        return pa.Table.from_batches(batches).combine_chunks()


def _check_columns(names: Sequence[str], selected: Sequence[str] | None) -> None:
    """Raise ``ValueError`` if a column to read (None for all) is missing or occurs twice."""
    read = names if selected is None else [name for name in names if name in selected]
    if len(set(read)) < len(read):
        raise ValueError("several columns have the same name")
    for name in selected or ():
        if name not in names:
            raise ValueError(f"it has no column {name}")


def _longest_row(path: Path, row_group: int) -> int:
    """Bytes of the longest texts in the dictionaries of a row group, one of each column.

    A long text that is stored once, in a dictionary, can be the value of any number of rows.
    """
    with pq.ParquetFile(path, read_dictionary=_text_columns(path)) as file:
        batch = next(file.iter_batches(batch_size=1, row_groups=[row_group]), None)
    longest = 0
    for column in () if batch is None else batch.columns:
        if pa.types.is_dictionary(column.type) and len(column.dictionary):
            lengths = pc.call_function("binary_length", [column.dictionary])
            longest += pc.call_function("max", [lengths]).as_py() or 0
    return longest


def _text_columns(path: Path) -> list[str]:
    """The top-level text and binary columns of a Parquet file."""
    schema = pq.read_schema(path)
    kinds = (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string)
    return [field.name for field in schema if any(is_kind(field.type) for is_kind in kinds)]


def has_parquet_ends(path: Path, problems: Problems) -> bool:
    """Whether a file starts and ends as a Parquet file does; cheap at any size."""
    if regular_size(path, problems) < 2 * len(PARQUET_MAGIC):
        return False
    with path.open("rb") as stream:
        start = stream.read(len(PARQUET_MAGIC))
        stream.seek(-len(PARQUET_MAGIC), os.SEEK_END)
        return start == stream.read() == PARQUET_MAGIC


def unreadable_column(table: pa.Table | pa.RecordBatch) -> str | None:
    """Why a column has values that Python cannot represent; None if all can be.

    Times and dates have a wider range in Arrow than in Python, and time zones may not exist.
    """
    for name in table.schema.names:
        column = table.column(name)
        while pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = pc.call_function("list_flatten", [column])
        kind = column.type
        if not pa.types.is_temporal(kind):
            continue
        try:
            if pa.types.is_duration(kind):  # has no minimum
                column = column.cast(pa.int64())
            bounds = pc.call_function("min_max", [column])
            for bound in (bounds["min"], bounds["max"]):
                bound.cast(kind).as_py()
        except (ValueError, OverflowError, KeyError, pa.ArrowException) as error:
            return f"the column {name} has a time that cannot be read: {error}"
    return None


def _messages(source: pa.NativeFile) -> list[pa.Message]:
    """The messages of an Arrow stream; their bodies are views of the file."""
    reader, messages = pa.ipc.MessageReader.open_stream(source), []
    while True:
        try:
            messages.append(reader.read_next_message())
        except StopIteration:
            return messages


def _is_compressed(message: pa.Message) -> bool:
    """Whether the buffers of a message are compressed, from its flatbuffer.

    Reading a compressed buffer allocates as many bytes as the file says it has. pyarrow does
    not tell whether buffers are compressed before it reads them.
    """
    if message.type not in ("record batch", "dictionary"):
        return False
    data = message.metadata.to_pybytes()
    header = _child_table(data, int.from_bytes(data[:4], "little"), 2)
    if message.type == "dictionary":
        header = _child_table(data, header, 1)
    return _field(data, header, _COMPRESSION) != 0


def _field(data: bytes, table: int, number: int) -> int:
    """Position of a field of a flatbuffer table; 0 if the table does not have it."""
    vtable = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    entry = vtable + 4 + 2 * number
    if 4 + 2 * number >= int.from_bytes(data[vtable : vtable + 2], "little"):
        return 0
    offset = int.from_bytes(data[entry : entry + 2], "little")
    return table + offset if offset else 0


def _child_table(data: bytes, table: int, number: int) -> int:
    """Position of the table that a field of a flatbuffer table refers to."""
    field = _field(data, table, number)
    return field + int.from_bytes(data[field : field + 4], "little")

"""Logs and items in memory: data frames, tables and streams of Arrow batches.

Anything with ``__arrow_c_stream__`` is accepted: a pandas or polars data frame, a pyarrow table,
record batch or reader, a DuckDB relation. It is written batch by batch to a temporary Parquet
file, so that a stream may be larger than memory and is read as often as a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segue.config import SourceConfig
from segue.errors import ConfigError, SegueError, SourceError, StorageError
from segue.ids import BLANKS
from segue.sources.column_roles import guess_roles, is_list_name, list_spellings
from segue.sources.events.tabular import TabularSource
from segue.storage.temporary import temporary_folder

_NAME = "the frame"


class FrameSource(TabularSource):
    """A frame that was written to a Parquet file; results are those of the same rows in a file."""

    def fingerprint(self) -> dict[str, Any]:
        """The number of rows, and the names and types of the columns that are used."""
        [file] = self._table.files
        with pq.ParquetFile(file) as parquet:
            types = {field.name: str(field.type) for field in parquet.schema_arrow}
            return {"format": "frame", "rows": parquet.metadata.num_rows, "columns": types}


def is_frame(value: Any) -> bool:
    """Whether a value is a table in memory or a stream, and not a path.

    Raises:
        SourceError: it is a data frame without the Arrow C stream interface, or a series.
    """
    if hasattr(value, "__arrow_c_stream__"):
        if hasattr(value, "iloc") and not hasattr(value, "columns"):
            message = f"the log is of type {type(value).__name__}, expected a table"
            raise SourceError(message, "give a data frame with columns of users and of items")
        return True
    if hasattr(value, "iloc"):
        message = "this data frame has no Arrow C stream interface (__arrow_c_stream__)"
        raise SourceError(
            message, "update pandas to 2.2 or later, or give pyarrow.Table.from_pandas(frame)"
        )
    return False


@contextmanager
def open_frame(frame: Any, config: SourceConfig) -> Iterator[FrameSource]:
    """Open a frame as a log. Its temporary file is removed at the end in every case.

    Only columns with a role are read, so that the rest may be of any type. An index is left out.

    Raises:
        SourceError: as for a table file, or the frame cannot be converted.
        ConfigError: the format of the options is not that of a table.
        StorageError: there is no space for the temporary file.
    """
    if config.format not in {None, "tabular"}:
        message = f"format {config.format} reads files, but the log is a {type(frame).__name__}"
        raise ConfigError(message, "leave the format out")

    def choose(names: list[str]) -> list[str]:
        try:
            used = guess_roles(names, config, _NAME).names()
        except SourceError:
            lists = [name for name in names if is_list_name(name)]
            if not lists:
                raise
            spellings = list_spellings(lists, names, config)
            used = guess_roles(names, config, _NAME, spellings).names()
        return [name for name in names if name in used]

    with frame_file(frame, "frame.parquet", choose) as path:
        yield FrameSource(path, config)


@contextmanager
def frame_file(
    frame: Any, file_name: str, choose: Callable[[list[str]], list[str]] = list
) -> Iterator[Path]:
    """Write a frame to a temporary Parquet file, which is removed at the end in every case.

    Errors that are raised inside name ``the frame`` in place of the file.

    Args:
        choose: chooses the columns to write from the names of all.

    Raises:
        SourceError: the frame cannot be converted.
        StorageError: there is no space for the file.
    """
    reader = _reader(frame, choose)
    with temporary_folder() as folder:
        path = folder / file_name
        _write(reader, choose([name.strip(BLANKS) for name in reader.schema.names]), path)
        try:
            yield path
        except SegueError as error:
            message = error.message.replace(str(path), _NAME).replace(str(folder), _NAME)
            raise type(error)(message, error.hint) from None


def _reader(frame: Any, choose: Callable[[list[str]], list[str]]) -> pa.RecordBatchReader:
    """The frame as a stream; of a pandas data frame only the chosen columns are converted."""
    if hasattr(frame, "iloc"):
        names = [str(name).strip(BLANKS) for name in frame.columns]
        try:
            used = choose(names)
        except SourceError as error:
            index = ", ".join(str(name) for name in frame.index.names if name is not None)
            hint = f"the index ({index}) is left out: call reset_index()" if index else error.hint
            raise SourceError(error.message, hint) from None
        if repeated := sorted(name for name in used if names.count(name) > 1):
            message = f"{_NAME} has more than one column called {repeated[0]!r}"
            raise SourceError(message, "rename one of them")
        positions = [position for position, name in enumerate(names) if name in used]
        frame = frame.iloc[:, positions].reset_index(drop=True)
    try:
        return pa.RecordBatchReader.from_stream(frame)
    except Exception as error:  # noqa: BLE001 - a foreign library may raise anything
        raise _not_readable(error) from None


def _write(reader: pa.RecordBatchReader, names: Sequence[str], path: Path) -> None:
    """Write the columns that are named, ignoring blanks, batch by batch."""
    fields = [
        (position, pa.field(field.name.strip(BLANKS), _plain_type(field.type)))
        for position, field in enumerate(reader.schema)
        if field.name.strip(BLANKS) in names and _is_storable(field.type)
    ]
    schema = pa.schema([field for _, field in fields])
    try:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in _batches(reader):
                arrays = [_plain(batch.column(i)).cast(field.type) for i, field in fields]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    except pa.ArrowException as error:
        raise _not_readable(error) from None
    except OSError as error:
        hint = "free some space, or set TMPDIR to a folder on another disk"
        raise StorageError(f"cannot write {_NAME} to {path.parent}: {error}", hint) from None


def _batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except Exception as error:  # noqa: BLE001 - a foreign library may raise anything
        raise _not_readable(error) from None


def _not_readable(error: Exception) -> SourceError:
    reason = str(error).partition(". Detail: ")[0].strip().split("\n", 1)[0]
    reason = reason or type(error).__name__
    hint = "give every column one type; with pandas, for example frame.astype({'item_id': str})"
    return SourceError(f"{_NAME} cannot be read: {reason}", hint)


def _is_storable(kind: pa.DataType) -> bool:
    """Whether Parquet has the type."""
    refused = (pa.types.is_duration, pa.types.is_interval, pa.types.is_union)
    return not any(is_refused(kind) for is_refused in refused)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that is stored: values in place of dictionaries, runs and views."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if kind == pa.string_view():
        return pa.large_string()
    return pa.large_binary() if kind == pa.binary_view() else kind


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_run_end_encoded(column.type):
        return pc.call_function("run_end_decode", [column])
    if not pa.types.is_dictionary(column.type):
        return column
    # Arrow does not decode dictionaries of views, which polars has.
    values = column.dictionary.cast(_plain_type(column.type.value_type))
    return pa.DictionaryArray.from_arrays(column.indices, values).dictionary_decode()

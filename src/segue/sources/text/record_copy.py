"""Copies of text tables as Parquet files: the columns that are used, as text, with line numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from segue.errors import SourceError
from segue.sources.text.format import TextFormat
from segue.sources.text.lines import encoding_error, is_decoded
from segue.sources.text.record_reader import (
    Reading,
    Record,
    RecordError,
    long_fields,
    readings_of,
    records,
    source_error,
)

LINE = "line"
"""Prefix of the name of the column of line numbers in a copy; see ``line_column``."""

_ROWS_PER_BATCH = 50_000
_CHARACTERS_PER_BATCH = 16_000_000


def copy_text(
    file: Path, text: TextFormat, columns: Sequence[str], used: Sequence[str], target: Path
) -> list[str]:
    """Read a text file in the first way that fits all of it, and write a Parquet file.

    Args:
        columns: the names of all its columns.
        used: those to copy.
        target: the Parquet file: ``used`` as text, and ``line_column(used)``.

    Returns:
        A warning about how its quotes were read, if that is not the ordinary way.

    Raises:
        SourceError: the file cannot be read in any way. The message names the first line that
            does not fit the ordinary way.
    """
    first_error: RecordError | None = None
    for reading in readings_of(text):
        # In other files than TSV, a quote at the beginning of a field that is used is not literal.
        is_literal = not reading.is_lenient and not reading.text.quote
        if first_error and first_error.is_ambiguous and is_literal and text.separator != "\t":
            continue
        try:
            with long_fields():
                _write(file, reading, columns, used, target)
        except RecordError as error:
            first_error = first_error or error
        else:
            if not reading.description:
                return []
            return [f"{file.name}: read {reading.description}, because {first_error}"]
    assert first_error is not None
    raise source_error(file, first_error, text)


def line_column(used: Sequence[str]) -> str:
    """A name for the column of line numbers that no other column has."""
    name = LINE
    while any(name.casefold() == column.casefold() for column in used):
        name += "_"
    return name


def _write(
    file: Path, reading: Reading, columns: Sequence[str], used: Sequence[str], target: Path
) -> None:
    positions = [list(columns).index(name) for name in used]
    schema = pa.schema([*((name, pa.string()) for name in used), (line_column(used), pa.int64())])
    is_sequence_per_line = reading.text.is_sequence_per_line
    rows = records(file, reading, len(columns), positions)
    if reading.text.has_header:
        next(rows, None)
    with pq.ParquetWriter(target, schema) as writer:
        while batch := _next_batch(rows):
            fields = [_used_fields(batch, position, is_sequence_per_line) for position in positions]
            numbers = _line_numbers(batch, is_sequence_per_line)
            try:
                arrays = [pa.array(values, pa.string()) for values in fields]
            except UnicodeEncodeError:
                raise _undecoded(file, reading.text, fields, numbers) from None
            writer.write_batch(pa.record_batch([*arrays, pa.array(numbers)], schema=schema))


def _next_batch(rows: Iterator[Record]) -> list[Record]:
    batch: list[Record] = []
    characters = 0
    for row in islice(rows, _ROWS_PER_BATCH):
        batch.append(row)
        characters += sum(map(len, row.fields))
        if characters > _CHARACTERS_PER_BATCH:
            break
    return batch


def _used_fields(batch: list[Record], position: int, is_sequence_per_line: bool) -> list[str]:
    if not is_sequence_per_line:
        return [row.fields[position] for row in batch]
    if position == 0:
        return [row.fields[0] for row in batch for _ in row.fields[1:]]
    return [item for row in batch for item in row.fields[1:]]


def _line_numbers(batch: list[Record], is_sequence_per_line: bool) -> list[int]:
    if not is_sequence_per_line:
        return [row.line for row in batch]
    return [row.line for row in batch for _ in row.fields[1:]]


def _undecoded(
    file: Path, text: TextFormat, fields: list[list[str]], numbers: list[int]
) -> SourceError:
    """The error for a used value with bytes that are not of the encoding."""
    rows = zip(*fields, numbers, strict=True)
    line = next(row[-1] for row in rows if not all(map(is_decoded, row[:-1])))
    return encoding_error(file, text.encoding, line)

"""Table files as DuckDB reads them: SQL for CSV, TSV, JSONL, Parquet and pairs, and its errors."""

from __future__ import annotations

import csv
import glob
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import duckdb
import msgspec
import pyarrow as pa

from segue.errors import SourceError

FileType = Literal["text", "jsonl", "parquet"]


@dataclass(frozen=True)
class Table:
    """Files with the same columns, read as one table in the order of the files.

    Attributes:
        columns: column name -> DuckDB type.
        delimiter: separates the columns of a text file.
        has_header: whether the first line of a text file names its columns.
    """

    files: tuple[Path, ...]
    file_type: FileType
    columns: dict[str, str]
    delimiter: str = ","
    has_header: bool = True

    def sql(self, as_text: Iterable[str] = ()) -> str:
        """The SQL table function that reads the files.

        Args:
            as_text: names of JSONL columns to read as the literal text in the file. Columns
                of text files are always text; those of Parquet keep their types.
        """
        paths = f"[{', '.join(map(path_literal, self.files))}]"
        if self.file_type == "parquet":
            return f"read_parquet({paths}, binary_as_string = true)"
        types = self.columns | dict.fromkeys(as_text, "VARCHAR")
        struct = ", ".join(f"{literal(name)}: {literal(types[name])}" for name in self.columns)
        if self.file_type == "jsonl":
            return f"read_json({paths}, format = 'newline_delimited', columns = {{{struct}}})"
        # Pairs without a header are never quoted: a quote is part of the id.
        quote = '"' if self.has_header else ""
        return (
            f"read_csv({paths}, auto_detect = false, delim = {literal(self.delimiter)}, "
            f"quote = '{quote}', escape = '{quote}', header = {self.has_header}, "
            f"columns = {{{struct}}})"
        )

    def per_file(self) -> Iterator[Table]:
        """One table for each file."""
        return (replace(self, files=(file,)) for file in self.files)


def line_of_row(table: Table, row: int) -> int | None:
    """Find the line, counted from 1, on which a row of a single text file ends.

    Args:
        row: data row, counted from 1. Blank lines are not rows; quoted text may span lines.

    Returns:
        None if the file is not text, or has a field too long for Python's CSV reader.
    """
    if table.file_type != "text":
        return None
    quoting = csv.QUOTE_MINIMAL if table.has_header else csv.QUOTE_NONE
    with _open_text(table.files[0]) as text, suppress(csv.Error):
        lines = csv.reader(text, delimiter=table.delimiter[0], quoting=quoting)
        row_ends = (lines.line_num for record in lines if record)
        return next(islice(row_ends, row - 1 + table.has_header, None), None)
    return None


@contextmanager
def reading(path: Path, hint: str | None = None) -> Iterator[None]:
    """Convert DuckDB's errors about a file into a one-line ``SourceError``.

    Args:
        path: the file or folder that is read.
        hint: the expected contents of a line; by default a general hint.

    Raises:
        SourceError: DuckDB could not read a file.
    """
    try:
        yield
    except duckdb.Error as error:
        raise _source_error(str(error), path, hint) from None


def not_utf8(file: Path) -> SourceError:
    """The error for a text file in an encoding other than UTF-8."""
    hint = "convert it, for example with `iconv -f LATIN1 -t UTF-8`"
    return SourceError(f"{file} is not UTF-8 text", hint)


def literal(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def path_literal(path: Path) -> str:
    """A path as an SQL literal, escaped because DuckDB interprets paths as glob patterns."""
    return literal(glob.escape(str(path)))


def identifier(name: str) -> str:
    """The name of a column as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def is_nested(sql_type: str) -> bool:
    """Whether a column of this DuckDB type contains lists or objects."""
    return sql_type.endswith("]") or sql_type.startswith(("STRUCT", "MAP"))


def text_sql(column: str) -> str:
    """SQL for a column as text, NULL where it is empty.

    Also safe inside TRY_CAST: DuckDB 2.0 moves the cast of a bare CSV column into the reader,
    where a text that cannot be cast is an error rather than NULL (duckdb#23818).
    """
    return f"nullif(CAST({identifier(column)} AS VARCHAR), '')"


def _open_text(file: Path) -> io.TextIOWrapper:
    """A file decompressed and decoded, with its line ends unchanged."""
    stream = pa.input_stream(str(file), compression="detect")
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _source_error(text: str, path: Path, hint: str | None) -> SourceError:
    """The ``SourceError`` for the text of a DuckDB error."""
    file = _first_group(r"^\s*file = (.+)$", text)
    file = file or _first_group(r'in file "(.+?)"', text) or str(path)
    if "not utf-8" in text or "invalid UTF-8" in text:
        return not_utf8(Path(file))
    line = _first_group(r"CSV Error on Line: (\d+)", text)
    if "Malformed JSON" in text:
        message = f"{file}: line {_first_malformed_line(Path(file))} is not a JSON object"
        return SourceError(message, "expected one object per line")
    if line is None:
        reason = text.splitlines()[0].partition(": ")[2] or text
        message = f"{file} cannot be read: {reason.strip()}"
        return SourceError(message, hint or "check that it is complete")
    message = f"{file}: line {line} {_line_problem(text)}"
    return SourceError(message, hint or "correct the line, or put quotes around its texts")


def _line_problem(text: str) -> str:
    """The problem with a line of a text file, from the text of a DuckDB error."""
    counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if counts:
        return f"has {counts[2]} columns, expected {counts[1]}"
    value = re.search(r'converting column "(.*)"\. Could not convert string "(.*)" to', text)
    if value:
        return f"has the invalid value {value[2]!r} in the column {value[1]}"
    return "has a quote that is not closed" if "unterminated" in text else "is malformed"


def _first_malformed_line(file: Path) -> int:
    """The first line of a JSONL file that is not JSON; DuckDB's own count is not exact."""
    with _open_text(file) as text:
        return next((n for n, line in enumerate(text, start=1) if not _is_json(line)), 1)


def _is_json(line: str) -> bool:
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError:
        return not line.strip()
    return True


def _first_group(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else None

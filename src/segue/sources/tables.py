"""Tables in files, as DuckDB reads them: CSV, TSV, JSONL, Parquet and bare pairs."""

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

Kind = Literal["text", "jsonl", "parquet"]


@dataclass(frozen=True)
class Table:
    """Some files with the same columns, read as one table in the order of the files.

    Attributes:
        columns: name -> DuckDB type.
        delimiter: what stands between two columns of a text file.
        has_header: whether a text file begins with the names of its columns.
    """

    files: tuple[Path, ...]
    kind: Kind
    columns: dict[str, str]
    delimiter: str = ","
    has_header: bool = True

    def sql(self, as_text: Iterable[str] = ()) -> str:
        """A table function that reads the files.

        Args:
            as_text: columns of JSONL to read as the text that stands in the file. Text
                files are text anyway, and Parquet has its own types.
        """
        paths = f"[{', '.join(map(path_literal, self.files))}]"
        if self.kind == "parquet":
            return f"read_parquet({paths}, binary_as_string = true)"
        types = self.columns | dict.fromkeys(as_text, "VARCHAR")
        struct = ", ".join(f"{literal(name)}: {literal(types[name])}" for name in self.columns)
        if self.kind == "jsonl":
            return f"read_json({paths}, format = 'newline_delimited', columns = {{{struct}}})"
        # The columns of bare pairs are never quoted, and a quote in them is part of the id.
        quote = '"' if self.has_header else ""
        return (
            f"read_csv({paths}, auto_detect = false, delim = {literal(self.delimiter)}, "
            f"quote = '{quote}', escape = '{quote}', header = {self.has_header}, "
            f"columns = {{{struct}}})"
        )

    def of_one_file(self) -> Iterator[Table]:
        """The same table file by file."""
        return (replace(self, files=(file,)) for file in self.files)


def line_of_row(table: Table, row: int) -> int | None:
    """The line, from 1, on which a row of a table of one text file ends.

    Args:
        row: data row, from 1. Blank lines are no rows, and a quoted text may span lines.

    Returns:
        None where the file is not text, or holds a field too long for Python's reader.
    """
    if table.kind != "text":
        return None
    quoting = csv.QUOTE_MINIMAL if table.has_header else csv.QUOTE_NONE
    with _text_of(table.files[0]) as text, suppress(csv.Error):
        lines = csv.reader(text, delimiter=table.delimiter[0], quoting=quoting)
        rows = (lines.line_num for record in lines if record)
        return next(islice(rows, row - 1 + table.has_header, None), None)
    return None


@contextmanager
def reading(path: Path, hint: str | None = None) -> Iterator[None]:
    """Turn DuckDB's complaints about a file into one clear line.

    Args:
        hint: what a line should be, where more is expected of it than columns of text.

    Raises:
        SourceError: the file is not what it was taken for.
    """
    try:
        yield
    except duckdb.Error as error:
        raise _source_error(str(error), path, hint) from None


def not_utf8(file: Path) -> SourceError:
    """The error for a file in another encoding."""
    hint = "convert it, for example with `iconv -f LATIN1 -t UTF-8`"
    return SourceError(f"{file} is not text in UTF-8", hint)


def literal(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def path_literal(path: Path) -> str:
    """A path as an SQL literal that stands for this file alone: DuckDB takes it for a pattern."""
    return literal(glob.escape(str(path)))


def identifier(name: str) -> str:
    """The name of a column in SQL."""
    return '"' + name.replace('"', '""') + '"'


def is_nested(sql_type: str) -> bool:
    """Whether a column of this DuckDB type holds lists or objects."""
    return sql_type.endswith("]") or sql_type.startswith(("STRUCT", "MAP"))


def text_sql(column: str) -> str:
    """A column as text in SQL, NULL where it is empty.

    Safe under TRY_CAST too: of a bare column of a CSV file, DuckDB 2.0 moves the cast into
    the reader, where a text that cannot be cast is an error rather than NULL (duckdb#23818).
    """
    return f"nullif(CAST({identifier(column)} AS VARCHAR), '')"


def _text_of(file: Path) -> io.TextIOWrapper:
    """A file unpacked and decoded, its line ends as they are."""
    stream = pa.input_stream(str(file), compression="detect")
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _source_error(text: str, path: Path, hint: str | None) -> SourceError:
    file = _quoted(r"^\s*file = (.+)$", text) or _quoted(r'in file "(.+?)"', text) or str(path)
    if "not utf-8" in text or "invalid UTF-8" in text:
        return not_utf8(Path(file))
    line = _quoted(r"CSV Error on Line: (\d+)", text)
    if "Malformed JSON" in text:
        message = f"{file}: line {_malformed_line(Path(file))} is not a JSON object"
        return SourceError(message, "expected one object a line")
    if line is None:
        reason = text.splitlines()[0].partition(": ")[2] or text
        message = f"{file} cannot be read: {reason.strip()}"
        return SourceError(message, hint or "is it complete?")
    message = f"{file}: line {line} {_fault(text)}"
    return SourceError(message, hint or "mend the line, or quote its texts")


def _fault(text: str) -> str:
    """What DuckDB says of a line of a text file."""
    counts = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if counts:
        return f"has {counts[2]} columns, expected {counts[1]}"
    value = re.search(r'converting column "(.*)"\. Could not convert string "(.*)" to', text)
    if value:
        return f"has {value[2]!r} for its {value[1]}"
    return "has a quoted text that does not end" if "unterminated" in text else "is malformed"


def _malformed_line(file: Path) -> int:
    """The first line of a file of JSON that cannot be decoded (DuckDB's count is not exact)."""
    with _text_of(file) as text:
        return next((n for n, line in enumerate(text, start=1) if not _is_json(line)), 1)


def _is_json(line: str) -> bool:
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError:
        return not line.strip()
    return True


def _quoted(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else None

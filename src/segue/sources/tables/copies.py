"""Copies of tables that DuckDB cannot read, and the check that it has read all rows of others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import duckdb

from segue.sources.byte_streams import open_bytes
from segue.sources.scratch import ScratchFolder
from segue.sources.tables.table import Table
from segue.sources.text.json_lines import copy_objects
from segue.sources.text.lines import lines
from segue.sources.text.record_copy import copy_text

_BLOCK_BYTES = 1 << 20

_ADJACENT_QUOTES = re.compile(rb'" +"')


def copied(table: Table, used: Iterable[str], scratch: ScratchFolder) -> Table:
    """The table with copies of its text files, which DuckDB reads in their place.

    Args:
        used: the columns that the copies contain.

    Raises:
        SourceError: a file cannot be read; the message names the line.
    """
    names = list(used)
    if table.copies:
        return table
    if table.parts:
        parts = tuple(copied(part, names, scratch) for part in table.parts)
        warnings = tuple(warning for part in parts for warning in part.warnings)
        return replace(table, parts=parts, warnings=(*table.warnings, *warnings))
    stored = [name for name in names if name not in table.partition]
    columns = [name for name in table.columns if name not in table.partition]
    copies, warnings = [], list(table.warnings)
    for file in table.files:
        if table.file_type == "jsonl":
            copies.append(scratch.new_file(".jsonl"))
            copy_objects(file, table.text.encoding, stored, copies[-1])
        else:
            copies.append(scratch.new_file(".parquet"))
            warnings += copy_text(file, table.text, columns, stored, copies[-1])
    return replace(table, copies=tuple(copies), warnings=tuple(warnings))


def can_be_copied(table: Table, error: duckdb.Error) -> bool:
    """Whether a table that DuckDB did not read may be readable as a copy."""
    if table.parts:
        return any(can_be_copied(part, error) for part in table.parts)
    is_memory = isinstance(error, (duckdb.OutOfMemoryException, duckdb.InterruptException))
    return table.file_type != "parquet" and not table.copies and not is_memory


def with_names_of_files(table: Table, text: str) -> str:
    """The text of an error with the names of the files instead of those of their copies."""
    for part in table.per_file():
        for copy in part.copies:
            text = text.replace(str(copy), str(part.files[0]))
    return text


def is_read_exactly(table: Table, n_rows: int) -> bool:
    """Whether DuckDB has read text files as they are, judged by their lines and quotes.

    DuckDB 2.0 loses the last row of a file if it does not fit in a buffer, of 32 MB, and drops the
    quotes between the two texts of ``"a" "b"``. Quoted text over several lines also makes the
    number of lines differ from that of the rows.

    Args:
        n_rows: the number of rows that DuckDB has read.
    """
    if table.file_type != "text" or table.copies or any(part.copies for part in table.parts):
        return True
    files = [(file, part.text) for part in table.parts or (table,) for file in part.files]
    n_lines = -sum(text.has_header for _, text in files)
    for file, text in files:
        n_file, has_adjacent_quotes = _count_lines(file)
        if has_adjacent_quotes and text.quote:
            return False
        n_lines += n_file
    if n_lines == n_rows:
        return True
    blank = sum(not line.strip() for file, text in files for line in lines(file, text.encoding))
    return n_lines - blank == n_rows


def _count_lines(file: Path) -> tuple[int, bool]:
    """The number of lines of a file, and whether only blanks are between two of its quotes."""
    n_lines, last, has_adjacent_quotes = 0, b"\n", False
    with open_bytes(file) as stream:
        while block := stream.read(_BLOCK_BYTES):
            n_lines += block.count(b"\n")
            if b'"' in block and (b'" ' in block or b'"' in last):
                has_adjacent_quotes |= bool(_ADJACENT_QUOTES.search(last + block))
            last = block[-8:]
    return n_lines + (not last.endswith(b"\n")), has_adjacent_quotes

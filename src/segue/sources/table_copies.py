"""Copies of tables that DuckDB cannot read, and the check that it has read all rows of others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import duckdb

from segue.sources.byte_streams import open_bytes
from segue.sources.duckdb_tables import Table
from segue.sources.json_lines import copy_objects
from segue.sources.record_copy import copy_text
from segue.sources.scratch import ScratchFolder
from segue.sources.text_lines import lines

_BLOCK_BYTES = 1 << 24


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


def has_all_rows(table: Table, n_rows: int) -> bool:
    """Whether DuckDB has read as many rows of text files as they have lines that are not blank.

    DuckDB 2.0 loses the last row of a file if it does not fit in a buffer, of 32 MB. Quoted text
    over several lines also makes the numbers differ.
    """
    if table.file_type != "text" or table.copies or any(part.copies for part in table.parts):
        return True
    files = [(file, part.text) for part in table.parts or (table,) for file in part.files]
    n_headers = sum(text.has_header for _, text in files)
    if sum(_count_lines(file) for file, _ in files) == n_rows + n_headers:
        return True
    n_lines = sum(bool(line.strip()) for file, text in files for line in lines(file, text.encoding))
    return n_lines == n_rows + n_headers


def _count_lines(file: Path) -> int:
    n_lines, last = 0, b"\n"
    with open_bytes(file) as stream:
        while block := stream.read(_BLOCK_BYTES):
            n_lines += block.count(b"\n")
            last = block[-1:]
    return n_lines + (last != b"\n")

"""What the files of a log look like: their kind, their columns, and what separates them.

A kind is told by the name of a file, the columns of a text file by its first line. A line of
two bare words that are no usual column names is no header: it is the first of a list of
``user item`` pairs. The files of a folder are laid end to end in the order of their names.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa

from segue.errors import SourceError
from segue.sources.columns import is_usual
from segue.sources.tables import Kind, Table, not_utf8, path_literal, reading

KINDS: dict[str, Kind] = {
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".inter": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""Kinds of files by suffix; a file of another suffix is read as text where it is asked for."""

COMPRESSIONS = (".gz", ".zst")

HEAD_BYTES = 1 << 20
"""How much of a file is looked at to learn what it looks like."""


def is_table(path: Path) -> bool:
    """Whether a path is, by its name, a file of a known kind, or a folder with one."""
    return bool(_in_folder(path)) if path.is_dir() else path.is_file() and _kind(path) is not None


def open_tables(path: Path, *, pairs: bool = True) -> list[Table]:
    """Look at a file, or at each file of a folder in the order of their names.

    Text files in a folder (``README.txt``) count only where no other kind is there.

    Args:
        path: the file or folder.
        pairs: whether a text file without a header may be a list of ``user item`` pairs.

    Raises:
        SourceError: nothing there, nothing readable, an empty file, or not UTF-8.
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist", "check the path")
    files = _in_folder(path) if path.is_dir() else [path]
    if not files:
        message = f"{path} is a folder without a table: looked for {', '.join(KINDS)}"
        raise SourceError(message, "name the file itself, or convert it to one of these")
    return [_open_file(file, pairs=pairs) for file in files]


def join_tables(tables: Sequence[Table], needed: Iterable[str]) -> Table:
    """Lay tables end to end.

    Args:
        tables: at least one, all of one kind.
        needed: the columns that every one of them must have; the files of a text table must
            all have the same header.

    Raises:
        SourceError: naming the first file that differs from the first one.
    """
    first = tables[0]
    for other in tables[1:]:
        if _layout(other, needed) != _layout(first, needed):
            a, b = first.files[0].name, other.files[0].name
            message = (
                f"{a} and {b} do not have the same columns: "
                f"{a} has {', '.join(first.columns)}; {b} has {', '.join(other.columns)}"
            )
            hint = "keep only files of one kind and form in the folder, or give the log's file "
            hint += "itself, and a table of items with --items-file"
            raise SourceError(message, hint)
    return replace(first, files=tuple(file for table in tables for file in table.files))


def _kind(path: Path) -> Kind | None:
    name = path.name.lower()
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return KINDS.get(Path(name).suffix)


def _in_folder(folder: Path) -> list[Path]:
    files = [file for file in folder.iterdir() if file.is_file() and file.name[0] not in "._"]
    known = sorted((file for file in files if _kind(file)), key=lambda file: file.name)
    return [file for file in known if ".txt" not in file.suffixes] or known


def _open_file(file: Path, *, pairs: bool) -> Table:
    kind = _kind(file) or "text"
    if kind == "parquet":
        return _described(Table((file,), kind, {}))
    head = _head(file)
    if kind == "jsonl":
        if head.startswith("["):
            message = f"{file} holds one JSON array, expected one object a line"
            raise SourceError(message, "convert it with `jq -c '.[]'`")
        return _described(Table((file,), kind, {}))
    return _text_table(file, re.split(r"[\r\n]", head, maxsplit=1)[0], pairs=pairs)


def _head(file: Path) -> str:
    """The beginning of a text file.

    Raises:
        SourceError: the file cannot be read, is empty, or is not UTF-8.
    """
    try:
        with pa.input_stream(str(file), compression="detect") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        message = f"{file} cannot be read: {error}"
        raise SourceError(message, "is it complete, and may you read it?") from None
    try:
        # The cut may have gone through a character: the decoder keeps its beginning back.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        raise not_utf8(file) from None
    if not text.strip():
        raise SourceError(f"{file} is empty", "expected a table of events, one a row")
    return text


def _described(table: Table) -> Table:
    """The table with the columns that DuckDB finds in it."""
    source = table.sql() if table.kind == "parquet" else _sniffed_json(table.files[0])
    with reading(table.files[0]), duckdb.connect() as connection:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    # A key that is null wherever it was looked at has a type of its own, unfit for reading.
    types = {name: "VARCHAR" if kind == '"NULL"' else kind for name, kind, *_ in rows}
    return replace(table, columns=types)


def _sniffed_json(file: Path) -> str:
    return f"read_json({path_literal(file)}, format = 'newline_delimited')"


def _text_table(file: Path, first_line: str, *, pairs: bool) -> Table:
    if not first_line.strip():
        message = f"the first line of {file} is blank, expected the names of the columns"
        raise SourceError(message, "remove it")
    words = first_line.split()
    counts = {mark: first_line.count(mark) for mark in "\t,;|"}
    if len(words) == 2 and not any(counts[mark] for mark in ",;|"):
        between = first_line.strip()[len(words[0]) : -len(words[1])]
        if pairs and not any(is_usual(word) for word in words):
            return Table(
                (file,), "text", dict.fromkeys(("user", "item"), "VARCHAR"), between, False
            )
        counts[between] = 1
    delimiter = max(counts, key=lambda mark: counts[mark])
    try:
        names = next(csv.reader([first_line], delimiter=delimiter[0]))
    except csv.Error as error:
        message = f"the first line of {file} is no header: {error}"
        raise SourceError(message, "expected the names of the columns") from None
    names = [name.strip() or f"column{i}" for i, name in enumerate(names)]
    twice = [name for name, n in Counter(name.casefold() for name in names).items() if n > 1]
    if twice:
        message = f"{file} has more than one column called {twice[0]!r}"
        raise SourceError(message, "is its first line a header? If so, rename one of them")
    return Table((file,), "text", dict.fromkeys(names, "VARCHAR"), delimiter)


def _layout(table: Table, needed: Iterable[str]) -> tuple[object, ...]:
    if table.kind == "text":
        return table.kind, list(table.columns), table.delimiter, table.has_header
    if table.kind == "parquet":
        return table.kind, [table.columns.get(name) for name in needed]
    return table.kind, [name in table.columns for name in needed]

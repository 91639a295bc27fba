"""The table files of a folder and its subfolders, their types, and hive partitions."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote

from segue.errors import SourceError, quantity
from segue.sources.byte_streams import read_start, reading_bytes
from segue.storage.paths import checked_path

FileType = Literal["text", "jsonl", "parquet"]

FILE_TYPES: dict[str, FileType] = {
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".tab": "text",
    ".dat": "text",
    ".data": "text",
    ".inter": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
"""File types by suffix. The type of a file with another suffix is detected by its content."""

COMPRESSION_SUFFIXES = (".gz", ".zst", ".bz2", ".xz", ".lz4")

_DEFAULT_PARTITION = "__HIVE_DEFAULT_PARTITION__"


class TableFile(NamedTuple):
    """A table file.

    Attributes:
        partition: the values of columns that the names of folders give (hive partitions).
    """

    path: Path
    file_type: FileType
    partition: dict[str, str]


def is_table(path: Path) -> bool:
    """Whether a path is, by its name, a table file, or a folder that contains one."""
    if path.is_dir():
        files = [file for file in _files_within(path) if not _is_hidden(file, path)]
        return any(map(type_by_name, files)) or any(map(_is_numbered_part, files))
    return path.is_file() and (not path.suffix or type_by_name(path) is not None)


def table_files(path: Path) -> tuple[list[TableFile], list[str]]:
    """The table files of a folder and its subfolders in the order of their relative paths.

    Text files such as ``README.txt`` are left out if there are table files of another type, and
    so are files that are hidden, empty or of other kinds.

    Args:
        path: a folder, or a single file of any name.

    Returns:
        The files, and warnings that name what was left out.

    Raises:
        SourceError: the path does not exist, its name is not UTF-8, or there is no table.
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist", "check the path")
    if not path.is_dir():
        checked_path(path)
        return [TableFile(path, _type_of(path), {})], []
    tables, left_out = [], []
    files = sorted(_files_within(path), key=lambda file: file.relative_to(path).parts)
    visible = [file for file in files if not _is_hidden(file, path) and file.is_file()]
    named = {file for file in visible if type_by_name(file)}
    named = named or set(filter(_is_numbered_part, visible))
    for file in files:
        if file not in named or file.stat().st_size == 0:
            left_out.append(file)
            continue
        checked_path(file)
        tables.append(TableFile(file, _type_of(file), _partition_of(file.relative_to(path))))
    if not tables:
        message = f"folder {path} contains no table, expected files of {', '.join(FILE_TYPES)}"
        raise SourceError(message, "give the file itself, or convert it to one of these types")
    chosen = [table for table in tables if ".txt" not in table.path.suffixes] or tables
    left_out += [table.path for table in tables if table not in chosen]
    return chosen, _warnings(left_out, path)


def type_by_name(path: Path) -> FileType | None:
    """The type of a file by its suffix, before a suffix of compression."""
    name = path.name.lower()
    for suffix in COMPRESSION_SUFFIXES:
        name = name.removesuffix(suffix)
    return FILE_TYPES.get(Path(name).suffix)


def _is_numbered_part(file: Path) -> bool:
    """Whether a name is like those of parts that Spark, Hive, BigQuery or Athena write.

    They may have no suffix: ``part-00000``, ``000000_0``, ``events000000000001``.
    """
    return not file.suffix and any(map(str.isdigit, file.name))


def _type_of(file: Path) -> FileType:
    """The type of a file by its suffix, or by its content if that is more certain."""
    with reading_bytes(file), file.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1"
    file_type = "parquet" if is_parquet else type_by_name(file)
    if file_type in ("parquet", "jsonl"):
        return file_type
    start = read_start(file)[:4096].removeprefix(codecs.BOM_UTF8).lstrip()
    # A text table may begin with a brace, but not with an entire object.
    pattern = rb"\[?\s*\{" if file_type is None else rb'\{\s*"[^"]*"\s*:.*\}\s*(\n|$)'
    return "jsonl" if re.match(pattern, start) else "text"


def _files_within(folder: Path) -> Iterator[Path]:
    """All files below a folder; links to folders are followed, each folder once."""
    seen = set()
    for parent, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        seen.add(os.path.realpath(parent))
        folders[:] = [f for f in folders if os.path.realpath(Path(parent, f)) not in seen]
        yield from (Path(parent, file) for file in files)


def _raise(error: OSError) -> None:
    message = f"{error.filename} cannot be read: {error.strerror}"
    raise SourceError(message, "check that you may read it")


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part[0] in "._" for part in file.relative_to(folder).parts)


def _partition_of(relative: Path) -> dict[str, str]:
    """The columns and values of folders such as ``day=2024-01-01``; an empty value is missing."""
    pairs = [part.partition("=") for part in relative.parts[:-1] if "=" in part]
    return {
        unquote(name): "" if value == _DEFAULT_PARTITION else unquote(value)
        for name, _, value in pairs
        if name
    }


def _warnings(files: Sequence[Path], folder: Path) -> list[str]:
    if not files:
        return []
    names = [printable_path(file.relative_to(folder)) for file in files[:5]]
    listed = ", ".join(names) + (", ..." if len(files) > 5 else "")
    files_are = quantity(len(files), "file that is", "files that are")
    return [f"left out {files_are} hidden, empty or of another type: {listed}"]


def printable_path(path: Path) -> str:
    """A path as text that can be printed, even if its name is not UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")

"""Small logs in tables: writing them to files, and reading them with ``TabularSource``."""

from __future__ import annotations

from pathlib import Path

from segue.config import SourceConfig
from segue.sources.events.tabular import TabularSource


def open_log(path: Path, **options: object) -> TabularSource:
    return TabularSource(path, SourceConfig.model_validate(options))


def column_by_sequence(source: TabularSource, name: str) -> dict[str, list]:
    """A list column of the sequences, by sequence id."""
    column: dict[str, list] = {}
    for chunk in source.chunks():
        ids = chunk.sequences["sequence_id"].to_pylist()
        column |= dict(zip(ids, chunk.sequences[name].to_pylist(), strict=True))
    return column


def read_log(path: Path, **options: object) -> dict[str, list[str]]:
    """The item ids by sequence."""
    return column_by_sequence(open_log(path, **options), "items")


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def write_log(folder: Path, *rows: str, header: str = "user_id,item_id,timestamp") -> Path:
    return write(folder / "log.csv", "\n".join([header, *rows]) + "\n")

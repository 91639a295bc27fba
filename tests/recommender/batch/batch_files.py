"""Batch files to read and write in tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from segue.recommender import Answer

Lists = dict[Any, list[tuple[str, str, float, int]]]


def write_rows(path: Path, rows: Sequence[dict[str, Any]], row_group_size: int = 5) -> Path:
    """Write rows as Parquet or JSON lines, by the suffix."""
    if path.suffix == ".parquet":
        names = dict.fromkeys(name for row in rows for name in row)
        table = pa.table({name: [row.get(name) for row in rows] for name in names})
        pq.write_table(table, path, row_group_size=row_group_size)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lists_in(path: Path, id_name: str = "id") -> Lists:
    """The lists of a Parquet output by the id of their row."""
    lists: Lists = {}
    for row in pq.read_table(path).to_pylist():
        values = (row["item_id"], row["title"], row["score"], row["rank"])
        lists.setdefault(row[id_name], []).append(values)
    return lists


def notes_in(output: Path, id_name: str = "id") -> dict[Any, dict[str, Any]]:
    """The rows of the notes of an output by their ids."""
    table = pq.read_table(output.with_name(f"{output.name}.notes.parquet"))
    return {row.pop(id_name): row for row in table.to_pylist()}


def list_of(answer: Answer) -> list[tuple[str, str, float, int]]:
    """The items of an answer, as in ``lists_in``."""
    return [(item.item_id, item.title, item.score, item.rank) for item in answer]


def assert_same_list(
    actual: list[tuple[str, str, float, int]], expected: list[tuple[str, str, float, int]]
) -> None:
    """Compare two lists; scores of other batch sizes differ in the last digits."""
    assert [row[:2] + row[3:] for row in actual] == [row[:2] + row[3:] for row in expected]
    differences = [abs(a[2] - b[2]) for a, b in zip(actual, expected, strict=True)]
    assert max(differences, default=0) < 1e-4

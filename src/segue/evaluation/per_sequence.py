"""Results per sequence as a Parquet file, for paired tests and for custom slices.

The columns and metadata are those of ``Evaluation.per_sequence``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segue.errors import SourceError
from segue.evaluation.results import METADATA_KEY, SEQUENCE_SCHEMA, Evaluation
from segue.storage.arrow_files import read_table
from segue.storage.atomic import replace_file
from segue.storage.reading import (
    MAX_COUNT,
    Problems,
    decode_object,
    exists,
    one_line,
    typed,
)

PROBLEMS = Problems(SourceError, "give a file that evaluate wrote with --per-sequence")


class ResultsDataset(msgspec.Struct):
    """The dataset of the results."""

    fingerprint: str


class Header(msgspec.Struct):
    """The metadata of the results: see ``Evaluation``."""

    dataset: ResultsDataset
    part: str
    protocol: dict[str, Any]


def write_per_sequence(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Write the Parquet file atomically.

    Raises:
        StorageError: no space, no permission, or no such folder.
    """
    table = evaluation.per_sequence()
    replace_file(Path(path), lambda partial: pq.write_table(table, partial, compression="zstd"))


def read_per_sequence(path: str | os.PathLike[str]) -> pa.Table:
    """Read the Parquet file.

    Raises:
        SourceError: it is missing, was not written by ``write_per_sequence``, or is damaged.
    """
    path = Path(path)
    if not exists(path):
        raise SourceError(f"there is no file {path}", PROBLEMS.hint)
    table = read_table(path, PROBLEMS)
    if METADATA_KEY not in (table.schema.metadata or {}):
        raise SourceError(f"{path} does not contain results per sequence", PROBLEMS.hint)
    typed(header(table, path), Header, path, PROBLEMS)
    if (problem := _problem(table)) is not None:
        raise PROBLEMS.damaged(path, problem)
    return table


def header(table: pa.Table, path: Path = Path("the results")) -> dict[str, Any]:
    """The ``dataset``, ``part`` and ``protocol`` under which the rows were measured."""
    return decode_object(table.schema.metadata[METADATA_KEY], path, PROBLEMS)


def _problem(table: pa.Table) -> str | None:
    """The first column that is not as in ``SEQUENCE_SCHEMA`` and its metrics; None if all are."""
    for field in SEQUENCE_SCHEMA:
        if field.name not in table.column_names:
            return f"it has no column {field.name}"
    for name in table.column_names:
        column = table.column(name)
        is_metric = name not in SEQUENCE_SCHEMA.names
        expected = pa.float64() if is_metric else SEQUENCE_SCHEMA.field(name).type
        if column.type != expected:
            return f"the column {one_line(name, 50)} is of type {column.type}, expected {expected}"
        if column.null_count and not is_metric and name != "given":
            return f"the column {name} has null values"
        if is_metric and not pc.call_function("is_finite", [column.drop_null()]).to_numpy().all():
            return f"the column {one_line(name, 50)} has numbers that are not finite"
    counts = pc.call_function("min_max", [table.column("n")])
    if len(table) and not 1 <= counts["min"].as_py() <= counts["max"].as_py() <= MAX_COUNT:
        return "the column n has values below 1 or too large for a count"
    return None

"""Results by sequence, as a Parquet file: what a paired test needs, and slices of one's own.

A row holds ``model``, ``task``, ``given`` (null for next items), ``sequence_id``, ``n``
(its instances) and each metric's mean over them, null where the task has no such metric.
The file's metadata holds the dataset, the part and the protocol.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segue.errors import SourceError
from segue.evaluation.results import Evaluation, Result
from segue.files import replace_file

KEYS = pa.schema(
    [
        ("model", pa.string()),
        ("task", pa.string()),
        ("given", pa.string()),
        ("sequence_id", pa.string()),
        ("n", pa.int64()),
    ]
)
METADATA_KEY = b"segue.evaluation"


def per_sequence_table(evaluation: Evaluation) -> pa.Table:
    """The rows of all results, slices left out."""
    results = evaluation.results
    names = list(dict.fromkeys(name for found in results for name in found.scores.sums))
    schema = pa.schema([*KEYS, *((name, pa.float64()) for name in names)])
    parts = [_rows(found, evaluation.sequence_ids, names) for found in results]
    header = {key: value for key, value in evaluation.to_json().items() if key != "results"}
    metadata = {METADATA_KEY: json.dumps(header).encode()}
    return pa.concat_tables([part.cast(schema) for part in parts]).replace_schema_metadata(metadata)


def write_per_sequence(evaluation: Evaluation, path: str | Path) -> None:
    """Write the Parquet file, whole or not at all.

    Raises:
        StorageError: no space, no permission, or no such folder.
    """
    table = per_sequence_table(evaluation)
    replace_file(Path(path), lambda partial: pq.write_table(table, partial, compression="zstd"))


def read_per_sequence(path: str | Path) -> pa.Table:
    """Read the Parquet file.

    Raises:
        SourceError: it is missing, or not what ``write_per_sequence`` writes.
    """
    hint = "give a file that evaluate wrote with --per-sequence"
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise SourceError(f"there is no file {path}", hint) from None
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"cannot read {path}: {str(error).splitlines()[0]}", hint) from None
    if METADATA_KEY not in (table.schema.metadata or {}):
        raise SourceError(f"{path} does not hold results by sequence", hint)
    return table


def header(table: pa.Table) -> dict[str, Any]:
    """The ``dataset``, ``part`` and ``protocol`` that the rows were measured under."""
    return json.loads(table.schema.metadata[METADATA_KEY])


def _rows(result: Result, sequence_ids: pa.Array, names: Sequence[str]) -> pa.Table:
    scores, n = result.scores, result.n_sequences
    columns: dict[str, pa.Array] = {
        "model": pa.repeat(result.model, n),
        "task": pa.repeat(result.task, n),
        "given": pa.repeat(pa.scalar(result.given, pa.string()), n),
        "sequence_id": pc.take(sequence_ids, pa.array(scores.rows)),
        "n": pa.array(scores.counts),
    }
    for name in names:
        has = name in scores.sums
        means = scores.sums[name] / scores.counts if has else None
        columns[name] = pa.nulls(n, pa.float64()) if means is None else pa.array(means)
    return pa.table(columns)

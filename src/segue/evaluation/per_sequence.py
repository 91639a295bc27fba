"""Results per sequence as a Parquet file, for paired tests and for custom slices.

Each row has ``model``, ``task``, ``given`` (null for next items), ``sequence_id``, ``n`` (the
number of instances) and the mean of each metric over them, null for metrics of other tasks. The
metadata of the file contain the dataset, the part and the protocol.
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
from segue.storage.atomic import replace_file

KEYS = pa.schema(
    [
        ("model", pa.string()),
        ("task", pa.string()),
        ("given", pa.string()),
        ("sequence_id", pa.string()),
        ("n", pa.int64()),
    ]
)
"""The columns that are not metrics."""
METADATA_KEY = b"segue.evaluation"


def per_sequence_table(evaluation: Evaluation) -> pa.Table:
    """The rows of all results, without their slices."""
    results = evaluation.results
    names = list(dict.fromkeys(name for result in results for name in result.per_sequence.sums))
    schema = pa.schema([*KEYS, *((name, pa.float64()) for name in names)])
    tables = [_rows(result, evaluation.sequence_ids, names) for result in results]
    header = {key: value for key, value in evaluation.to_dict().items() if key != "results"}
    metadata = {METADATA_KEY: json.dumps(header).encode()}
    table = pa.concat_tables([table.cast(schema) for table in tables])
    return table.replace_schema_metadata(metadata)


def write_per_sequence(evaluation: Evaluation, path: str | Path) -> None:
    """Write the Parquet file atomically.

    Raises:
        StorageError: no space, no permission, or no such folder.
    """
    table = per_sequence_table(evaluation)
    replace_file(Path(path), lambda partial: pq.write_table(table, partial, compression="zstd"))


def read_per_sequence(path: str | Path) -> pa.Table:
    """Read the Parquet file.

    Raises:
        SourceError: it is missing, or was not written by ``write_per_sequence``.
    """
    hint = "give a file that evaluate wrote with --per-sequence"
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise SourceError(f"there is no file {path}", hint) from None
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"cannot read {path}: {str(error).splitlines()[0]}", hint) from None
    if METADATA_KEY not in (table.schema.metadata or {}):
        raise SourceError(f"{path} does not contain results per sequence", hint)
    return table


def header(table: pa.Table) -> dict[str, Any]:
    """The ``dataset``, ``part`` and ``protocol`` under which the rows were measured."""
    return json.loads(table.schema.metadata[METADATA_KEY])


def _rows(result: Result, sequence_ids: pa.Array, names: Sequence[str]) -> pa.Table:
    per_sequence, n = result.per_sequence, result.n_sequences
    columns: dict[str, pa.Array] = {
        "model": pa.repeat(result.model, n),
        "task": pa.repeat(result.task, n),
        "given": pa.repeat(pa.scalar(result.given, pa.string()), n),
        "sequence_id": pc.take(sequence_ids, pa.array(per_sequence.rows)),
        "n": pa.array(per_sequence.counts),
    }
    for name in names:
        sums = per_sequence.sums.get(name)
        means = None if sums is None else sums / per_sequence.counts
        columns[name] = pa.nulls(n, pa.float64()) if means is None else pa.array(means)
    return pa.table(columns)

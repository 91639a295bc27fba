"""Results per sequence as a Parquet file, for paired tests and for custom slices.

The columns and metadata are those of ``Evaluation.per_sequence``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from segue.errors import SourceError
from segue.evaluation.results import METADATA_KEY, Evaluation
from segue.storage.atomic import replace_file


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

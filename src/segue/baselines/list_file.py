"""Files of recommendation lists from other systems: Parquet or CSV, checked when read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from segue.errors import SourceError, quantity
from segue.ids import BLANKS, EXPECTED, InvalidIdError, id_array
from segue.storage.arrow_files import parquet_schema, read_table
from segue.storage.paths import check_regular
from segue.storage.reading import Problems

SCHEMA = pa.schema([("sequence_id", pa.string()), ("item_id", pa.string()), ("rank", pa.int64())])
PROBLEMS = Problems(SourceError, "give Parquet or CSV with the columns sequence_id, item_id, rank")


def read_list_file(path: Path) -> pa.Table:
    """Read lists as the columns of ``SCHEMA``, without missing values; other columns are not read.

    Ids follow ``segue.ids``. Blanks around the names of columns are ignored.

    Raises:
        SourceError: the file cannot be read or has no row, a column is missing or occurs twice,
            or a value is missing or of the wrong type.
    """
    check_regular(path)
    if not path.exists():
        raise SourceError(f"there is no file {path}", PROBLEMS.hint)
    is_parquet = path.suffix == ".parquet"
    try:
        names = parquet_schema(path, PROBLEMS).names if is_parquet else _csv_names(path)
        columns = [_column(name, names, path) for name in SCHEMA.names]
        read = read_table(path, PROBLEMS, columns) if is_parquet else _read_csv(path, columns)
    except UnicodeDecodeError:
        raise PROBLEMS.cannot_read(path, "it is not UTF-8 text") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise PROBLEMS.cannot_read(path, error) from None
    arrays = [_ids(read.column(columns[i]), SCHEMA.names[i], path) for i in (0, 1)]
    table = pa.table([*arrays, _ranks(read.column(columns[2]), path)], SCHEMA)
    if not len(table):
        raise SourceError(f"{path} has no row", PROBLEMS.hint)
    for name in SCHEMA.names:
        if n_missing := table.column(name).null_count:
            row = table.column(name).is_null().index(True).as_py() + 1
            rows = quantity(n_missing, "row")
            raise SourceError(
                f"{path} has empty values in the column {name} in {rows}, first in data row {row}",
                "fill in or remove these rows",
            )
    return table


def _column(name: str, names: list[str], path: Path) -> str:
    """The name in the file of the only column called ``name``."""
    matches = [column for column in names if column.strip(BLANKS) == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise SourceError(f"{path} has more than one column called {name!r}", "rename one of them")
    raise SourceError(f"{path} has no column {name}, got {', '.join(names)}", PROBLEMS.hint)


def _csv_names(path: Path) -> list[str]:
    with pa_csv.open_csv(path) as reader:
        return reader.schema.names


def _read_csv(path: Path, columns: list[str]) -> pa.Table:
    # Ids as strings, so that an id such as 007 keeps its zeros.
    types = dict.fromkeys(columns[:2], pa.string())
    options = pa_csv.ConvertOptions(column_types=types, include_columns=columns)
    return pa_csv.read_csv(path, convert_options=options)


def _ids(column: pa.ChunkedArray, name: str, path: Path) -> pa.Array:
    try:
        return id_array(column)
    except (InvalidIdError, pa.ArrowInvalid) as error:  # the latter for text that is not UTF-8
        message = f"{path}: the column {name} has an invalid id: {str(error).splitlines()[0]}"
        raise SourceError(message, EXPECTED) from None


def _ranks(column: pa.ChunkedArray, path: Path) -> pa.Array:
    problem = "true and false are no ranks"
    try:
        if not pa.types.is_boolean(column.type):
            return column.combine_chunks().cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        problem = str(error).splitlines()[0]
    message = f"{path} has ranks of the wrong type: {problem}"
    raise SourceError(message, "write ranks as integers from 1, the best item")

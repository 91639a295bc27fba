"""``open_input``: the rows of a batch from a file, by its suffix, or from a prepared dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segue.dataset import Dataset
from segue.dataset.targets import SplitPart
from segue.errors import RequestError
from segue.recommender.batch.dataset_input import DatasetInput
from segue.recommender.batch.files import INPUT_PROBLEMS
from segue.recommender.batch.json_lines_input import JsonLinesInput
from segue.recommender.batch.parquet_input import ParquetInput
from segue.recommender.batch.rows import BatchInput
from segue.storage.paths import check_regular, checked_path
from segue.storage.reading import is_folder

FILE_INPUTS = {".parquet": ParquetInput, ".jsonl": JsonLinesInput, ".ndjson": JsonLinesInput}


def open_input(
    source: Any,
    option_names: Sequence[str],
    *,
    id_column: str | None = None,
    before: SplitPart | None = None,
) -> BatchInput:
    """Open the requests of a batch.

    Args:
        source: a Parquet file, a file of JSON lines, or a prepared dataset or its folder.
        option_names: the arguments and controls that a row of a file may have.
        id_column: of a file, the column that names the rows; see ``choose_columns``.
        before: of a dataset, the part that is left out; see ``DatasetInput``.

    Raises:
        RequestError: it is none of these, cannot be read, or an option does not apply.
        DatasetError: the dataset cannot be read.
    """
    if isinstance(source, Dataset):
        return _open_dataset(source, id_column, before)
    try:
        path = checked_path(source, RequestError)
    except TypeError:
        message = f"the input is of type {type(source).__name__}, expected a path or a dataset"
        raise RequestError(message, "write a frame to a Parquet file first") from None
    if is_folder(path):
        if not (path / "manifest.json").exists():
            message = f"{path} is a folder, but not a prepared dataset"
            raise RequestError(message, INPUT_PROBLEMS.hint)
        return _open_dataset(Dataset.open(path), id_column, before)
    check_regular(path, RequestError)
    if before is not None:
        raise RequestError("before applies to a prepared dataset only", "leave it out")
    reader = FILE_INPUTS.get(path.suffix)
    if reader is None:
        message = f"{path} does not end with {', '.join(FILE_INPUTS)}"
        raise RequestError(message, INPUT_PROBLEMS.hint)
    return reader(Path(path), id_column, option_names)


def _open_dataset(data: Dataset, id_column: str | None, before: SplitPart | None) -> DatasetInput:
    if id_column is not None:
        message = f"id_column is {id_column!r}, but the input is a prepared dataset"
        raise RequestError(message, "leave it out: its rows are named by their sequence ids")
    return DatasetInput(data, before)

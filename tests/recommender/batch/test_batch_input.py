"""Batches with impossible input, output or options: one clear line, before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_files import write_rows

from segue.dataset import Dataset
from segue.errors import RequestError, SegueError, StorageError
from segue.recommender import Recommender

ROWS = [{"id": f"r{i}", "items": ["100", "200"]} for i in range(19)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "in.parquet", ROWS)


def message_of(
    model: Recommender, source: Any, output: Path, error: type[SegueError], **options: Any
) -> str:
    """The message of a batch that fails, which is one line and leaves nothing behind."""
    folder, before = output.parent, None
    if folder.is_dir():
        before = sorted(folder.iterdir())
    with pytest.raises(error) as raised:
        model.recommend_file(source, output, **options)
    assert "\n" not in str(raised.value)
    if before is not None:
        assert sorted(folder.iterdir()) == before
    return str(raised.value)


# --- columns ---


@pytest.mark.parametrize(
    ("columns", "options", "expected"),
    [
        ({"id": [1], "history": [["a"]]}, {}, "has no column 'items', but 'id', 'history'"),
        ({"items": [["a"]]}, {"id_column": "idd"}, "has no column 'idd' for the ids of the rows"),
        ({"user": ["a"], "items": [["a"]]}, {}, "has the columns 'user' and 'items', so items may"),
        ({"items": ["a b"]}, {}, "the column 'items' is of type string, expected lists of item"),
        ({"items": [[1.5]]}, {}, "row 0 (from 0): items: 1.5 is not a whole number"),
        ({"items": [["a"], ["b", None]]}, {}, "row 1 (from 0): items: an id is missing"),
        ({"items": [["a"], [""]]}, {}, "row 1 (from 0): items: an id is missing"),
        ({"items": [[True]]}, {}, "items: values of type bool"),
        ({"id": ["a", None], "items": [["a"]] * 2}, {}, "row 1 (from 0): id is missing"),
        ({"id": [[1]], "items": [["a"]]}, {}, "the column 'id': values of type list"),
        (
            {"items": [["a"]], "k": ["3"]},
            {},
            'row 0 (from 0): column k is "3", expected an integer',
        ),
        ({"items": [["a"]], "k": [0]}, {}, "row 0 (from 0): k is 0, expected 1 or more"),
        (
            {"items": [["a"]], "cap": [{"yaer": 2}]},
            {},
            "row 0 (from 0): cap is on an attribute that the items do not have: 'yaer'",
        ),
        ({"items": [["a"]], "where": ["year > x"]}, {}, "where is 'year > x', expected a number"),
        ({"items": [["a"]], "diversity": [7.0]}, {}, "diversity is 7.0, expected a number from 0"),
        (
            {"items": [["a"]], "exclude": ["100"]},
            {},
            'column exclude is "100", expected a list',
        ),
        (
            {"items": [["a"]], "sequence_features": [{"mood": "x"}]},
            {},
            "row 0 (from 0): the model mixed has no sequence feature 'mood'",
        ),
    ],
)
def test_columns_that_do_not_suit(
    model: Recommender,
    tmp_path: Path,
    columns: dict[str, list[Any]],
    options: dict[str, Any],
    expected: str,
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    message = message_of(
        model, tmp_path / "in.parquet", tmp_path / "out.parquet", RequestError, **options
    )
    assert expected in message


def test_two_columns_of_a_name(model: Recommender, tmp_path: Path) -> None:
    table = pa.table([pa.array([["a"]]), pa.array([["b"]])], names=["items", "items"])
    pq.write_table(table, tmp_path / "in.parquet")
    message = message_of(model, tmp_path / "in.parquet", tmp_path / "out.parquet", RequestError)
    assert "has two columns 'items'" in message


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_an_id_on_two_rows(model: Recommender, tmp_path: Path, suffix: str) -> None:
    source = write_rows(tmp_path / f"in{suffix}", [*ROWS, ROWS[2]])
    message = message_of(model, source, tmp_path / "out.parquet", RequestError)
    assert "row 19 (from 0): id 'r2' is also that of row 2 " in message


# --- files ---


def test_a_parquet_file_that_is_cut_short(model: Recommender, tmp_path: Path, source: Path) -> None:
    source.write_bytes(source.read_bytes()[:-50])
    message = message_of(model, source, tmp_path / "out.parquet", RequestError)
    assert "cannot read" in message


def test_a_parquet_file_with_damaged_pages(
    model: Recommender, tmp_path: Path, source: Path
) -> None:
    data = bytearray(source.read_bytes())
    data[4:120] = b"\xff" * 116
    source.write_bytes(data)
    assert "cannot read" in message_of(model, source, tmp_path / "out.parquet", RequestError)


@pytest.mark.parametrize("end", ['{"id": "a", "items": ["10', "[1, 2]\n", "{'id': 1}\n"])
def test_a_line_that_is_not_an_object(model: Recommender, tmp_path: Path, end: str) -> None:
    source = write_rows(tmp_path / "in.jsonl", ROWS)
    source.write_text(source.read_text() + "\n" + end)
    message = message_of(model, source, tmp_path / "out.parquet", RequestError)
    assert "line 21 is not a JSON object" in message


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"items": "100"}, "row 1 (from 0): items is the single value '100'"),
        ({"items": [1.5]}, "row 1 (from 0): item id 1.5 is not a whole number"),
        ({"items": [None]}, "row 1 (from 0): item id None stands for a missing id"),
        ({"items": ["100"], "k": True}, "row 1 (from 0): column k is true, expected an integer"),
        ({"items": ["100"], "where": [1]}, "row 1 (from 0): column where[0] is 1, expected a text"),
    ],
)
def test_values_of_wrong_types_in_json_lines(
    model: Recommender, tmp_path: Path, row: dict[str, Any], expected: str
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"items": ["100"]}, row])
    assert expected in message_of(model, source, tmp_path / "out.parquet", RequestError)


def make_empty(folder: Path) -> Path:
    (folder / "empty.parquet").touch()
    return folder / "empty.parquet"


def make_without_rows(folder: Path) -> Path:
    table = pa.table({"items": pa.array([], pa.list_(pa.string()))})
    pq.write_table(table, folder / "none.parquet")
    return folder / "none.parquet"


def make_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.parquet")
    return folder / "pipe.parquet"


def make_text(folder: Path) -> Path:
    (folder / "in.txt").write_text("a b c\n")
    return folder / "in.txt"


def make_folder(folder: Path) -> Path:
    (folder / "folder").mkdir()
    return folder / "folder"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: folder / "none.parquet", "No such file"),
        (make_empty, "cannot read"),
        (make_without_rows, "has no rows"),
        (make_pipe, "is a pipe, expected a file"),
        (make_text, "does not end with .parquet, .jsonl"),
        (make_folder, "is a folder, but not a prepared dataset"),
        (lambda folder: 7, "the input is of type int"),
        (lambda folder: "", "a path is empty"),
    ],
)
def test_files_that_are_no_input(
    model: Recommender, tmp_path: Path, make: Callable[[Path], Any], expected: str
) -> None:
    source = make(tmp_path)
    assert expected in message_of(model, source, tmp_path / "out.parquet", RequestError)


def test_options_that_do_not_apply(
    model: Recommender, tmp_path: Path, source: Path, genres: Dataset
) -> None:
    output = tmp_path / "out.parquet"
    message = message_of(model, source, output, RequestError, before="test")
    assert "before applies to a prepared dataset only" in message
    message = message_of(model, genres, output, RequestError, id_column="user")
    assert "but the input is a prepared dataset" in message
    message = message_of(model, source, output, RequestError, k=1000)
    assert "k is 1000, more than the catalogue" in message
    message = message_of(model, source, output, RequestError, where="colour = red")
    assert "the items have no attribute 'colour'" in message


# --- output ---


def test_outputs_that_cannot_be_written(model: Recommender, tmp_path: Path, source: Path) -> None:
    message = message_of(model, source, tmp_path / "no" / "out.parquet", StorageError)
    assert "there is no folder" in message
    (tmp_path / "folder.parquet").mkdir()
    message = message_of(model, source, tmp_path / "folder.parquet", StorageError)
    assert "it is a folder" in message
    assert "ends with" not in message_of(model, source, tmp_path / "out.txt", RequestError)
    message = message_of(model, source, source, RequestError, overwrite=True)
    assert "is the input" in message
    assert pq.read_table(source).num_rows == len(ROWS)


def test_the_folder_of_another_program_is_left_alone(
    model: Recommender, tmp_path: Path, source: Path
) -> None:
    partial = tmp_path / "out.parquet.partial"
    partial.mkdir()
    (partial / "precious").touch()
    message = message_of(model, source, tmp_path / "out.parquet", StorageError, overwrite=True)
    assert "has other files than those of a batch: precious" in message
    assert (partial / "precious").exists()


def test_an_output_is_replaced_only_with_overwrite(
    model: Recommender, tmp_path: Path, source: Path
) -> None:
    output = tmp_path / "out.parquet"
    model.recommend_file(source, output, 2)
    first = output.read_bytes()
    assert "exists" in message_of(model, source, output, RequestError, k=3)
    assert output.read_bytes() == first
    summary = model.recommend_file(source, output, 3, overwrite=True)
    assert pq.read_table(output).num_rows == summary.items == 3 * len(ROWS)


def test_notes_of_a_replaced_output_are_removed(model: Recommender, tmp_path: Path) -> None:
    noted = write_rows(tmp_path / "noted.jsonl", [{"items": ["?"]}])
    clean = write_rows(tmp_path / "clean.jsonl", [{"items": ["100"]}])
    features = {"gender": "F"}
    first = model.recommend_file(noted, tmp_path / "out.csv", 2, sequence_features=features)
    assert first.notes_output is not None
    assert Path(first.notes_output).exists()
    second = model.recommend_file(
        clean, tmp_path / "out.csv", 2, sequence_features=features, overwrite=True
    )
    assert second.notes_output is None
    assert not Path(first.notes_output).exists()

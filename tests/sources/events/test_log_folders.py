"""Folders of a log: subfolders, hive partitions, files of different types, and what is left out."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_logs import column_by_sequence, open_log, read_log, write

from segue.errors import SourceError


def write_parts(folder: Path, *parts: dict) -> Path:
    folder.mkdir(exist_ok=True)
    for i, part in enumerate(parts):
        pq.write_table(pa.table(part), folder / f"{i}.parquet")
    return folder


FIRST = {"user_id": [1, 1], "item_id": [10, 11], "timestamp": [2, 1]}
SECOND = {"user_id": [2, 1], "item_id": [12, 13], "timestamp": [3, 4]}
BOTH = {"1": ["11", "10", "13"], "2": ["12"]}
DAYS = [datetime.datetime(2024, 1, day, tzinfo=datetime.UTC) for day in (1, 2, 3)]


@pytest.mark.parametrize(
    "types",
    [
        {"user_id": pa.int32()},
        {"user_id": pa.uint64(), "item_id": pa.int8()},
        {"timestamp": pa.float64()},
        {"item_id": pa.int16(), "timestamp": pa.int32()},
    ],
)
def test_numbers_of_different_types(tmp_path: Path, types: dict[str, pa.DataType]) -> None:
    arrays = {name: pa.array(values, types.get(name)) for name, values in FIRST.items()}
    assert read_log(write_parts(tmp_path / "log", arrays, SECOND)) == BOTH
    assert read_log(write_parts(tmp_path / "log", SECOND, arrays)) == BOTH


@pytest.mark.parametrize("first", [pa.timestamp("us"), pa.timestamp("s"), pa.date32()])
@pytest.mark.parametrize("second", [pa.timestamp("ns"), pa.timestamp("us", "UTC")])
def test_times_of_different_types(tmp_path: Path, first: pa.DataType, second: pa.DataType) -> None:
    parts = [
        {"user_id": [1, 1], "item_id": [10, 11], "timestamp": pa.array([DAYS[2], DAYS[0]])},
        {"user_id": [1], "item_id": [12], "timestamp": pa.array([DAYS[1]])},
    ]
    for part, kind in zip(parts, (first, second), strict=True):
        part["timestamp"] = part["timestamp"].cast(pa.timestamp("us")).cast(kind)
    assert read_log(write_parts(tmp_path / "log", *parts)) == {"1": ["11", "12", "10"]}


def test_a_part_whose_column_has_no_value(tmp_path: Path) -> None:
    parts = [FIRST, SECOND | {"item_id": pa.nulls(2)}]
    assert read_log(write_parts(tmp_path / "log", *parts)) == {"1": ["11", "10"]}
    assert read_log(write_parts(tmp_path / "log", *parts[::-1])) == {"1": ["11", "10"]}


def test_columns_without_a_role_may_differ(tmp_path: Path) -> None:
    parts = [FIRST | {"note": [1, 2], "x": [[1], []]}, SECOND | {"note": ["a", "b"]}]
    assert read_log(write_parts(tmp_path / "log", *parts)) == BOTH


@pytest.mark.parametrize("values", [["a", "b"], [[1], [2]], [True, False], DAYS[:2]])
def test_types_of_another_kind_are_refused(tmp_path: Path, values: list) -> None:
    folder = write_parts(tmp_path / "log", FIRST, SECOND | {"item_id": values})
    with pytest.raises(SourceError, match=r"'item_id' has the type BIGINT in 0\.parquet, but"):
        open_log(folder)


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_hive_partitions_are_columns(tmp_path: Path, kind: str) -> None:
    for user, day in (("u 1", "2024-01-02"), ("v", "2024-01-01"), ("u 1", "2024-01-01")):
        folder = tmp_path / f"user={user.replace(' ', '%20')}" / f"day={day}"
        folder.mkdir(parents=True)
        item = f"i{day[-1]}"
        if kind == "parquet":
            pq.write_table(pa.table({"item": [item]}), folder / "part-0.parquet")
        elif kind == "csv":
            write(folder / "part-0.csv", f"item,title\n{item},x\n")
        else:
            write(folder / "part-0.jsonl", f'{{"item": "{item}"}}\n')
    source = open_log(tmp_path)
    assert column_by_sequence(source, "items") == {"u 1": ["i1", "i2"], "v": ["i1"]}
    assert source.report()["columns"]["time"] == "day"


def test_partitions_of_files_that_duckdb_does_not_read(tmp_path: Path) -> None:
    for user, end in (("u", "\n"), ("v", "\r\n")):
        (tmp_path / f"user={user}").mkdir()
        write(tmp_path / f"user={user}" / "log.csv", f"item,x\na,1{end}b,2\n")
    assert read_log(tmp_path) == {"u": ["a", "b"], "v": ["a", "b"]}


def test_lists_in_the_texts_of_some_parts(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "user_id,items\n1,10\n")
    write(tmp_path / "b.csv", "user_id,items\n2,11 12\n")
    assert read_log(tmp_path) == {"1": ["10"], "2": ["11", "12"]}


def test_subfolders_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for name in ("b/1.csv", "a/2.csv", "a/1/z.csv", "c.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, f"user,item\nu,{name}\n")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert read_log(tmp_path) == {"u": ["a/1/z.csv", "a/2.csv", "b/1.csv", "c.csv"]}


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    for name in (".hidden.csv", "_SUCCESS", "README.txt", "picture.png", ".git/log.csv", "log.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, "user,item\nu,a\n")
    write(tmp_path / "empty.csv", "")
    os.mkfifo(tmp_path / "pipe.csv")
    source = open_log(tmp_path)
    assert column_by_sequence(source, "items") == {"u": ["a"]}
    (warning,) = [text for text in source.report()["warnings"] if "left out" in text]
    assert warning.startswith(
        "left out 7 files that are hidden, empty or of another type: .git/log"
    )


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv"))
    path.write_text("user,item\nu,a\n")
    for log in (path, tmp_path):
        with pytest.raises(SourceError, match=r"the path .* is not UTF-8 text") as error:
            open_log(log)
        str(error.value).encode()

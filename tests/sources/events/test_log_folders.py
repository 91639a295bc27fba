"""Folders of a log: subfolders, hive partitions, files of different types, and what is left out."""

from __future__ import annotations

import datetime
import gzip
import math
import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_logs import column_by_sequence, open_log, read_log, write

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources import open_source


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


def test_lists_of_parts_that_are_read_in_different_ways(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", '{"user_id": 1, "items": ["a"], "x": [1]}\n')
    (tmp_path / "b.jsonl").write_bytes('{"user_id": 2, "items": ["b", "c"]}\n'.encode("utf-16"))
    assert read_log(tmp_path) == {"1": ["a"], "2": ["b", "c"]}
    parts = [{"user_id": [1], "items": pa.array([[1]], pa.list_(pa.int32()))}]
    parts += [{"user_id": [2], "items": [[2, 3]]}, {"user_id": [3], "items": [[]]}]
    assert read_log(write_parts(tmp_path / "log", *parts)) == {"1": ["1"], "2": ["2", "3"]}


def test_lists_and_single_values_in_json_lines_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", '{"user_id": 1, "items": ["a"]}\n')
    write(tmp_path / "b.jsonl", '{"user_id": 2, "items": "b"}\n')
    with pytest.raises(SourceError, match=f"^{re.escape(str(tmp_path))}/b.jsonl cannot be read"):
        read_log(tmp_path)


@pytest.mark.parametrize("first", ["integers", "floats"])
def test_nan_among_ids_of_different_types(tmp_path: Path, first: str) -> None:
    parts = [{"user_id": [1], "item_id": [3]}]
    parts += [{"user_id": [1.0, 1.0, math.nan], "item_id": [4.0, math.nan, 5.0]}]
    folder = write_parts(tmp_path / "log", *(parts if first == "integers" else parts[::-1]))
    assert {user: sorted(items) for user, items in read_log(folder).items()} == {"1": ["3", "4"]}


def test_numbered_parts_without_a_suffix(tmp_path: Path) -> None:
    write(tmp_path / "_SUCCESS", "")
    write(tmp_path / "part-00000", "u,a,1600000002\nu,b,1600000001\n")
    (tmp_path / "part-00001").write_bytes(gzip.compress(b"v,a,1600000000\n"))
    log = open_source(tmp_path, SourceConfig(columns="user,item,time"))
    assert column_by_sequence(log, "items") == {"u": ["b", "a"], "v": ["a"]}
    write(tmp_path / "log.csv", "user,item\nw,c\n")  # a file with a suffix is the log
    assert read_log(tmp_path) == {"w": ["c"]}


def test_repeated_columns_of_parquet_are_refused_if_they_are_used(tmp_path: Path) -> None:
    arrays = [pa.array([1]), pa.array([2]), pa.array([3])]
    for names in (["user_id", "item_id", "item_id"], ["user_id", "item_id", "ITEM_ID"]):
        pq.write_table(pa.Table.from_arrays(arrays, names), tmp_path / "log.parquet")
        with pytest.raises(SourceError, match="more than one column called 'item_id'"):
            open_log(tmp_path)
    names = ["user_id", "item_id", "item_id_1"]
    pq.write_table(pa.Table.from_arrays(arrays, names), tmp_path / "log.parquet")
    assert read_log(tmp_path) == {"1": ["2"]}


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

"""Detecting table files: types, compression, delimiters, headers and the files of a folder."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from table_logs import column_by_sequence, open_log, read_log, write, write_log

from segue.errors import SourceError
from segue.sources.events.tabular import recognises

ROWS = [("b", "x", 30), ("a", "y", 20), ("a", "z", 10), ("b", "y", 5), ("a", "x", 15)]


BY_TIME = {"a": ["z", "x", "y"], "b": ["y", "x"]}


BY_ROW = {"a": ["y", "z", "x"], "b": ["x", "y"]}


def delimited(delimiter: str) -> str:
    rows = [("user_id", "item_id", "timestamp"), *ROWS]
    return "".join(delimiter.join(str(value) for value in row) + "\n" for row in rows)


def json_lines() -> str:
    keys = ("user_id", "item_id", "timestamp")
    return "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.csv", delimited(",")),
        ("log.csv", delimited(";")),
        ("log.csv", delimited(",").replace("\n", "\r\n")),
        ("log.csv", "\ufeff" + delimited(",")),
        ("log.tsv", delimited("\t")),
        ("log.txt", delimited("\t")),
        ("log.txt", delimited("|")),
        ("log.inter", delimited("\t").replace("user_id", "user_id:token")),
        ("log.jsonl", json_lines()),
        ("log.ndjson", json_lines().replace("\n", "\n\n")),
        ("log.weird", delimited(",")),
    ],
)
@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_text_formats(tmp_path: Path, name: str, text: str, compression: str) -> None:
    compress: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        ".gz": gzip.compress,
        ".zst": zstandard.compress,
    }
    path = tmp_path / f"{name}{compression}"
    path.write_bytes(compress[compression](text.encode()))
    assert read_log(path) == BY_TIME
    assert recognises(path) == (name != "log.weird")


def test_parquet_with_integer_ids(tmp_path: Path) -> None:
    table = pa.table({"user_id": [2, 1, 2], "item_id": [7, -8, 9], "ts": [3, 2, 1]})
    pq.write_table(table, tmp_path / "log.parquet")
    assert read_log(tmp_path / "log.parquet") == {"1": ["-8"], "2": ["9", "7"]}


def test_parquet_with_the_suffix_of_another_type(tmp_path: Path) -> None:
    for name in ("log.csv", "log"):
        pq.write_table(pa.table({"user_id": [1], "item_id": [2]}), tmp_path / name)
        assert read_log(tmp_path / name) == {"1": ["2"]}


@pytest.mark.parametrize("separator", [" ", "\t", "  "])
def test_bare_pairs_keep_their_order(tmp_path: Path, separator: str) -> None:
    text = "".join(f"{user}{separator}{item}\n" for user, item, _ in ROWS)
    source = open_log(write(tmp_path / "pairs.txt", text))
    assert column_by_sequence(source, "items") == BY_ROW
    assert source.report()["columns"] == {
        "user": "user", "item": "item", "time": None, "rating": None, "event": None
    }  # fmt: skip
    assert "no time column" in source.report()["warnings"][0]


def test_a_quote_in_bare_pairs_is_part_of_the_id(tmp_path: Path) -> None:
    assert read_log(write(tmp_path / "pairs.txt", '1 "x\n1 y"\n')) == {"1": ['"x', 'y"']}


def test_two_usual_column_names_are_a_header(tmp_path: Path) -> None:
    assert read_log(write(tmp_path / "pairs.txt", "user item\n1 2\n1 3\n")) == {"1": ["2", "3"]}


def test_two_words_are_a_header_if_options_name_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.tsv", "who\twhat\n1\t2\n")
    assert read_log(path, user_column="who", item_column="what") == {"1": ["2"]}


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name, item in [("b.csv", "second"), ("a.csv", "first"), ("c.csv.gz", "third")]:
        data = f"user_id,item_id\n1,{item}\n".encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    write(tmp_path / "README.txt", "about these files")
    write(tmp_path / "_SUCCESS", "")
    write(tmp_path / ".hidden.csv", "x")
    assert recognises(tmp_path)
    assert read_log(tmp_path) == {"1": ["first", "second", "third"]}


def test_names_with_sql_and_glob_characters(tmp_path: Path) -> None:
    path = tmp_path / "it's [a] *log*?.csv"
    text = 'user "id",item\'s id\n1,2\n'.replace('"', '""').replace('user ""id""', '"user ""id"""')
    write(path, text)
    assert read_log(path, user_column='user "id"', item_column="item's id") == {"1": ["2"]}


def test_a_column_name_may_be_empty(tmp_path: Path) -> None:
    assert read_log(write_log(tmp_path, "0,u,i", header=",user_id,item_id")) == {"u": ["i"]}


def test_tables_are_recognised_by_name(tmp_path: Path) -> None:
    assert not recognises(tmp_path)
    assert not recognises(tmp_path / "absent.csv")
    assert not recognises(write(tmp_path / "picture.png", "x"))


NAMES_AND_MATCHES = [("ok[1]", "ok1"), ("ok?", "ok2"), ("o*k", "ok"), ("it's [a-z]{x,y}", "it's b")]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(("name", "matching_name"), NAMES_AND_MATCHES)
def test_a_path_is_not_a_glob_pattern(
    tmp_path: Path, kind: str, name: str, matching_name: str
) -> None:
    for stem, item in ((name, "right"), (matching_name, "wrong")):
        (tmp_path / stem).mkdir()
        path = tmp_path / stem / f"{stem}.{kind}"
        if kind == "parquet":
            pq.write_table(pa.table({"user_id": ["u"], "item_id": [item]}), path)
        elif kind == "jsonl":
            write(path, json.dumps({"user_id": "u", "item_id": item}) + "\n")
        else:
            write(path, f"user_id,item_id\nu,{item}\n")
    assert read_log(tmp_path / name / f"{name}.{kind}") == {"u": ["right"]}
    assert read_log(tmp_path / name) == {"u": ["right"]}


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"log\.csv does not exist"):
        open_log(tmp_path / "log.csv")


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "picture.png", "x")
    with pytest.raises(SourceError, match=r"contains no table, expected files of \.csv, \.tsv"):
        open_log(tmp_path)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("a.csv", "user,item\n1,2\n"), ("b.csv", "user,item,time\n1,2,3\n")),
        (("a.csv", "user,item\n1,2\n"), ("b.csv", "item,user\n1,2\n")),
        (("a.csv", "user,item\n1,2\n"), ("b.jsonl", '{"user":1,"item":2}\n')),
        (("a.jsonl", '{"user":1,"item":2}\n'), ("b.jsonl", '{"who":1,"item":2}\n')),
    ],
)
def test_files_of_a_folder_must_have_the_same_columns(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str]
) -> None:
    for name, text in (first, second):
        write(tmp_path / name, text)
    with pytest.raises(
        SourceError, match="do not have the same file type, columns and delimiter"
    ) as error:
        open_log(tmp_path)
    assert first[0] in error.value.message
    assert second[0] in error.value.message


def test_parquet_files_must_have_the_same_types(tmp_path: Path) -> None:
    for name, ids in (("a", [1]), ("b", ["007"])):
        pq.write_table(pa.table({"user": ids, "item": [1]}), tmp_path / f"{name}.parquet")
    expected = "'user' has the type BIGINT in a.parquet, but VARCHAR in b.parquet"
    with pytest.raises(SourceError, match=expected):
        open_log(tmp_path)


def test_json_files_may_differ_in_columns_without_a_role(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", '{"user":1,"item":2,"note":"x"}\n')
    write(tmp_path / "b.jsonl", '{"user":1,"item":3}\n')
    assert read_log(tmp_path) == {"1": ["2", "3"]}

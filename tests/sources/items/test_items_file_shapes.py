"""Items files in the shapes that people have: line ends, encodings, compression and quotes."""

from __future__ import annotations

import bz2
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.items.items_file import read_items_file

TEXT = (
    'item_id,title,genres\n007,"Long Road, The (1994)",A|B\r\n8,Plain,\r\n9,"He said ""No""",C\r\n'
)
TITLES = {"007": "Long Road, The (1994)", "8": "Plain", "9": 'He said "No"'}


def titles(path: Path, **options: object) -> dict[str, str]:
    items = read_items_file(path, SourceConfig.model_validate(options)).items
    return {row["item_id"]: row["title"] for row in items.to_pylist()}


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.replace("\r\n", "\r").encode(),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-8-sig"),
        bz2.compress(TEXT.encode()),
        b"# export\n" + TEXT.encode(),
        b"sep=;\n"
        + TEXT.replace("d, T", "d. T").replace(",", ";").replace("d. T", "d, T").encode(),
        TEXT.replace('"Long Road, The (1994)"', '"Long Road, The (1994)"')
        .replace("\r", "")
        .encode(),
    ],
)
def test_text_of_every_form(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "items.csv").write_bytes(data)
    assert titles(tmp_path / "items.csv") == TITLES


def test_literal_quotes_in_tsv(tmp_path: Path) -> None:
    (tmp_path / "items.tsv").write_text('item_id\ttitle\n1\t"Weird" Al\n2\tx\n')
    items = read_items_file(tmp_path / "items.tsv", SourceConfig())
    assert items.items.column("title").to_pylist() == ['"Weird" Al', "x"]
    assert "with literal quotes" in items.report["warnings"][0]


def test_the_encoding_of_the_log_is_used_only_if_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes("item_id,title\n1,naïve\n".encode("latin-1"))
    with pytest.raises(SourceError, match="line 2 is not UTF-8 text"):
        titles(path)
    assert titles(path, encoding="latin-1") == {"1": "naïve"}
    path.write_text("item_id,title\n1,naïve\n", "utf-8")
    assert titles(path, encoding="latin-1", columns="user,item") == {"1": "naïve"}


def test_json_lines_with_a_byte_order_mark_and_late_keys(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"item_id": i} for i in range(25_000)]
    rows.append({"item_id": "x", "title": "Late", "genres": ["A"], "vector": [1.5], "new": 7})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for mark in ("", "\ufeff"):
        (tmp_path / "items.jsonl").write_text(mark + text, "utf-8")
        items = read_items_file(tmp_path / "items.jsonl", SourceConfig()).items
        row = items.to_pylist()[-1]
        assert row == {"item_id": "x", "title": "Late", "genres": ["A"], "new": 7, "vector": [1.5]}


def test_parts_whose_types_differ(tmp_path: Path) -> None:
    first = {"item_id": pa.array([1], pa.int32()), "title": ["a"], "year": pa.nulls(1), "x": [1]}
    second = {"item_id": [2], "title": ["b"], "year": [1999], "x": [1.5]}
    for i, part in enumerate((first, second)):
        pq.write_table(pa.table(part), tmp_path / f"{i}.parquet")
    rows = read_items_file(tmp_path, SourceConfig()).items.to_pylist()
    assert [(row["item_id"], row["year"], row["x"]) for row in rows] == [
        ("1", None, 1.0),
        ("2", 1999, 1.5),
    ]


def test_a_last_row_larger_than_the_buffer(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title,index\n1,a,\n2,b," + "x" * 34_000_000)
    assert titles(path) == {"1": "a", "2": "b"}


def test_json_values_of_different_types_are_read_as_text(tmp_path: Path) -> None:
    rows = [{"item_id": "a", "title": "Zero", "note": "x"}, {"item_id": "b", "title": 1, "note": 2}]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert titles(tmp_path / "items.jsonl") == {"a": "Zero", "b": "1"}
    items = read_items_file(tmp_path / "items.jsonl", SourceConfig()).items
    assert items.column("note").to_pylist() == ["x", "2"]


def test_genres_as_programs_write_lists(tmp_path: Path) -> None:
    text = "item_id;genres\na;['Sci-Fi', \"Children's\"]\nb;A|B\nc;[]\n"
    (tmp_path / "items.csv").write_text(text)
    items = read_items_file(tmp_path / "items.csv", SourceConfig(quote="none")).items
    assert items.column("genres").to_pylist() == [["Sci-Fi", "Children's"], ["A", "B"], []]

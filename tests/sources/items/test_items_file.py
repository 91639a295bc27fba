"""Items files: attributes, kept columns, warnings and invalid files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.items.items_file import read_items_file
from segue.sources.schema import ITEM_COLUMNS


def rows(path: Path, **options: object) -> list[dict[str, Any]]:
    return read_items_file(path, SourceConfig.model_validate(options)).items.to_pylist()


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_csv_with_every_attribute(tmp_path: Path) -> None:
    text = (
        "movieId,Title,genres,Year,Director\n"
        "007,Dawn,Drama| Sea |,1999,Ames\n"
        "8,,,,\n"
        ",No id,Drama,2000,Bell\n"
        "9,Dusk,Sea;Land,released 2001-05-06,\n"
    )
    path = write(tmp_path / "items.csv", text)
    empty = {"title": None, "genres": None, "year": None, "Director": None}
    dusk = {"title": "Dusk", "genres": ["Sea", "Land"], "year": 2001}
    assert rows(path) == [
        {"item_id": "007", "title": "Dawn", "genres": ["Drama", "Sea"], "year": 1999}
        | {"Director": "Ames"},
        {"item_id": "8"} | empty,
        {"item_id": "9"} | dusk | {"Director": None},
    ]


def test_the_types_are_those_of_the_schema(tmp_path: Path) -> None:
    text = "id\tname\tartist\talbum_name\tgenre\tyear\n1\tn\ta\tb\tg\t1\n"
    batch = read_items_file(write(tmp_path / "items.tsv", text), SourceConfig()).items
    assert batch.schema.names == list(ITEM_COLUMNS)
    assert batch.schema.types == list(ITEM_COLUMNS.values())


def test_jsonl_keeps_genres_and_vectors_but_no_other_lists_or_objects(tmp_path: Path) -> None:
    lines = [
        {"track_id": 1, "track_name": "One", "genres": ["a", "b"], "vector": [0.5], "plays": 3}
        | {"tags": ["x"], "label": {"name": "y"}},
        {"track_id": "x", "track_name": "Two", "genres": [], "plays": 4},
    ]
    path = tmp_path / "items.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(json.dumps(line) for line in lines).encode()))
    assert rows(path) == [
        {"item_id": "1", "title": "One", "genres": ["a", "b"], "plays": 3, "vector": [0.5]},
        {"item_id": "x", "title": "Two", "genres": [], "plays": 4, "vector": None},
    ]
    assert read_items_file(path, SourceConfig()).report == {
        "columns": {"item": "track_id", "title": "track_name", "genres": "genres"},
        "further": ["plays"],
        "vectors": {"vector": 1},
        "warnings": [
            "items.jsonl.gz: left out lists and objects that are not vectors: tags, label"
        ],
    }


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    table = pa.table({"item_id": [1, 2], "year": [1990.0, None], "price": [1.5, 2.5]})
    pq.write_table(table, tmp_path / "items.parquet")
    assert rows(tmp_path / "items.parquet") == [
        {"item_id": "1", "year": 1990, "price": 1.5},
        {"item_id": "2", "year": None, "price": 2.5},
    ]


def test_columns_with_reserved_names_are_left_out_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", "code,index,item_id,training_count,mood\n1,2,3,4,calm\n")
    items_file = read_items_file(path, SourceConfig(item_column="code"))
    assert items_file.items.to_pylist() == [{"item_id": "1", "mood": "calm"}]
    assert items_file.report["further"] == ["mood"]
    assert items_file.report["warnings"] == [
        "items.csv: left out columns whose names the dataset reserves: "
        "index, item_id, training_count"
    ]


@pytest.mark.parametrize(("ids", "warning"), [
    ("a b a", "1 row repeats an earlier id"),
    ("a a b a", "2 rows repeat an earlier id"),
])  # fmt: skip
def test_repeated_ids_are_counted(tmp_path: Path, ids: str, warning: str) -> None:
    text = "".join(f"{item},{row}\n" for row, item in enumerate(ids.split()))
    path = write(tmp_path / "items.csv", "item_id,title\n" + text)
    warnings = read_items_file(path, SourceConfig()).report["warnings"]
    assert warnings == [f"items.csv: {warning}: the first row of each id is used"]


def test_a_title_takes_precedence_over_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", "item_id,name,title\n1,short,long\n")
    assert rows(path) == [{"item_id": "1", "title": "long", "name": "short"}]


def test_the_item_column_of_the_log_applies_to_the_items_file(tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", "code,item_id\n1,2\n")
    assert rows(path, item_column="code")[0]["item_id"] == "1"
    assert rows(path, item_column="absent")[0]["item_id"] == "2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title,year\nDawn,1999\n", "no column that could be the item id: title, year"),
        (
            "item_id,track_id\n1,2\n",
            "more than one column that could be the item id: item_id, track_id",
        ),
        ("item_id,title\n", "has no row with an item id"),
        ("item_id,title\n,Dawn\n", "has no row with an item id"),
        ("item_id,title\n1,Dawn,x\n", "line 2 has 3 columns, expected 2"),
        ("", "is empty"),
    ],
)
def test_an_invalid_items_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        rows(write(tmp_path / "items.csv", text))


def test_a_missing_items_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        rows(tmp_path / "items.csv")


@pytest.mark.real_data
def test_movies_of_ml_latest_small(segue_data: Path) -> None:
    movies = rows(segue_data / "ml-latest-small" / "movies.csv")
    assert len(movies) == 9_742
    assert movies[0]["item_id"] == "1"
    assert movies[0]["genres"][:2] == ["Adventure", "Animation"]

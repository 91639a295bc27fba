"""The rule for ids in logs of every format: what is changed, left out, refused and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_logs import column_by_sequence, open_log, read_log, write, write_log

from segue.errors import SourceError
from segue.ids import id_of

IDS = ["NULL", " u1", "u1", "u1 ", "12.0", "12", "NA", "\u00a0x", "nan", "", "\\N", "007", "None"]


def write_form(folder: Path, form: str, users: list[str], items: list[str]) -> Path:
    path = folder / f"log.{form}"
    if form == "parquet":
        pq.write_table(pa.table({"user_id": users, "item_id": items}), path)
    elif form == "jsonl":
        rows = ({"user_id": u, "item_id": i} for u, i in zip(users, items, strict=True))
        write(path, "".join(json.dumps(row) + "\n" for row in rows))
    else:
        rows = (f'"{u}","{i}"\n' for u, i in zip(users, items, strict=True))
        write(path, "user_id, item_id\n" + "".join(rows))
    return path


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS)), max_size=20))
def test_all_formats_apply_the_rule(tmp_path: Path, form: str, rows: list[tuple[str, str]]) -> None:
    rows = [*rows, ("u", "i")]
    users, items = map(list, zip(*rows, strict=True))
    expected: dict[str, list[str]] = {}
    for user, item in rows:
        user_id, item_id = id_of(user), id_of(item)
        if user_id is not None and item_id is not None:
            expected.setdefault(user_id, []).append(item_id)
    source = open_log(write_form(tmp_path, form, users, items))
    assert column_by_sequence(source, "items") == expected
    n_left_out = len(rows) - sum(map(len, expected.values()))
    lines = [text for text in source.report()["warnings"] if text.startswith("left out")]
    assert len(lines) == (n_left_out > 0)
    assert all(text.startswith(f"left out {n_left_out:,} row") for text in lines)


def test_the_warnings_about_ids(tmp_path: Path) -> None:
    rows = ["NULL,a,1", "u1, a,2", "u1,\\N,3", "u1,12.0,4", "NA,b,5", "u1,-,6", ",c,7", "u1,NaN,8"]
    source = open_log(write_log(tmp_path, *rows))
    assert column_by_sequence(source, "items") == {"NA": ["b"], "u1": ["a", "12", "-"]}
    assert source.report()["warnings"][1:] == [
        "left out 4 rows without a user id or an item id (empty, or NULL, \\N, NaN)",
        "1 row has the user id 'NA', which may stand for a missing one: it was kept; leave it "
        "empty in the log to leave such rows out",
        "removed blanks around the ids of 1 row in the column 'item_id'",
        "ids of 1 row in the column 'item_id' are whole numbers with decimals: 12.0 became 12",
        "1 row has the item id '-', which may stand for a missing one: it was kept; leave it "
        "empty in the log to leave such rows out",
    ]


def test_ids_without_anything_to_say_give_no_warning(tmp_path: Path) -> None:
    ids = ["Aladdin", "10", "é", "a.b", "a-", "x?", "1.5", "not NULL"]
    path = write_log(tmp_path, *(f"u,{i},{row + 1_600_000_000}" for row, i in enumerate(ids)))
    source = open_log(path)
    assert column_by_sequence(source, "items") == {"u": ids}
    assert source.report()["warnings"] == []


def parquet(folder: Path, users: Any, items: Any) -> Path:
    pq.write_table(pa.table({"user_id": users, "item_id": items}), folder / "log.parquet")
    return folder / "log.parquet"


def test_floats_of_parquet_with_nan(tmp_path: Path) -> None:
    nan = float("nan")
    path = parquet(tmp_path, pa.array([1.0, 1.0, 2.0, nan, None]), pa.array([1.0, nan, 3.0, 1, 2]))
    source = open_log(path)
    assert column_by_sequence(source, "items") == {"1": ["1"], "2": ["3"]}
    assert source.report()["warnings"][1].startswith("left out 3 rows")


@pytest.mark.parametrize("kind", [
    pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.decimal128(21, 2),
    pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.string_view(),
], ids=str)  # fmt: skip
def test_types_of_ids_in_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    text = pa.types.is_dictionary(kind) or "string" in str(kind)
    values = pa.array(["1", None, "12"] if text else [1, None, 12])
    ids = values.dictionary_encode() if pa.types.is_dictionary(kind) else values.cast(kind)
    assert read_log(parquet(tmp_path, ["u"] * 3, ids)) == {"u": ["1", "12"]}


@pytest.mark.parametrize(
    "values", [[1.0, 2.5], [1.0, float("inf")], [1.0, -float("inf")], [1.0, 2.0**53], [1.0, 1e300]]
)
@pytest.mark.parametrize("role", ["user", "item"])
def test_a_float_that_is_no_id_is_refused_with_its_row(
    tmp_path: Path, values: list[float], role: str
) -> None:
    columns = (values, [1, 2]) if role == "user" else ([1, 2], values)
    with pytest.raises(SourceError, match=rf"log\.parquet: data row 2: invalid {role} '") as error:
        read_log(parquet(tmp_path, *columns))
    assert "whole numbers that a float holds exactly" in error.value.hint


@pytest.mark.parametrize("values", [
    pa.array([True]), pa.array([0], pa.timestamp("us")), pa.array([0], pa.time32("s")),
], ids=str)  # fmt: skip
def test_types_that_are_no_ids_are_refused(tmp_path: Path, values: pa.Array) -> None:
    with pytest.raises(SourceError, match=r"the column 'item_id' contains .*, expected item ids"):
        open_log(parquet(tmp_path, ["u"], values))


def test_booleans_of_json_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", '{"user_id": 1, "item_id": true}\n')
    with pytest.raises(SourceError, match=r"the column 'item_id' contains true and false"):
        open_log(path)


def test_rows_of_other_event_types_are_not_counted(tmp_path: Path) -> None:
    header = "user_id,item_id,event"
    path = write_log(tmp_path, "u,a,buy", " u,NULL,view", header=header)
    source = open_log(path, event_type=("buy",))
    assert column_by_sequence(source, "items") == {"u": ["a"]}
    assert not any("blanks" in text or "left out" in text for text in source.report()["warnings"])

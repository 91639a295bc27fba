"""The rule for ids: its three forms agree, and what it changes, leaves out and refuses."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.ids import (
    BLANKS,
    DOUBTFUL_WORDS,
    MISSING_WORDS,
    InvalidIdError,
    id_array,
    id_of,
    id_sql,
    needs_rule_sql,
    refused_sql,
    refused_type,
)

WORDS = st.sampled_from(
    [*MISSING_WORDS, *DOUBTFUL_WORDS, "12.0", "-0.0", "0.00", "007.0", "1e3", "12.", "1.5", "100"]
)
PARTS = st.one_of(
    WORDS, st.text(st.sampled_from([*BLANKS, *"0179.-aLNé\u0661"])), st.text(max_size=3)
)
TEXTS = st.builds("".join, st.lists(PARTS, max_size=3)).filter(lambda text: "\0" not in text)
FLOATS = st.one_of(
    st.floats(width=32), st.integers(-(2**55), 2**55).map(float), st.sampled_from([-0.0, 0.5])
)


def by_sql(values: list[Any], sql_type: str) -> list[tuple[str | None, bool, bool]]:
    """For each value the id, whether it is refused, and whether the rule matters to a text."""
    needs = needs_rule_sql("value") if sql_type == "VARCHAR" else "false"
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT {id_sql('value', sql_type)}, {refused_sql('value', sql_type)}, {needs} "
            f"FROM (SELECT unnest(?::{sql_type}[]) AS value)",
            [values],
        )
        return rows.fetchall()


@settings(max_examples=25)
@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_the_three_forms_agree_on_text(texts: list[str]) -> None:
    expected = [id_of(text) for text in texts]
    assert id_array(pa.array(texts, pa.string())).to_pylist() == expected
    assert id_array(pa.array(texts, pa.large_string()).dictionary_encode()).to_pylist() == expected
    for text, id_, (sql_id, is_refused, needs_rule) in zip(
        texts, expected, by_sql(texts, "VARCHAR"), strict=True
    ):
        assert sql_id == id_
        assert not is_refused
        is_doubtful = text.strip(BLANKS) in DOUBTFUL_WORDS
        assert needs_rule == (text not in {id_, ""} or is_doubtful)


@settings(max_examples=25)
@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_the_rule_changes_no_id_twice(texts: list[str]) -> None:
    ids = [id_ for id_ in map(id_of, texts) if id_ is not None]
    assert [id_of(id_) for id_ in ids] == ids


@settings(max_examples=25)
@given(FLOATS, st.sampled_from([(np.float32, "FLOAT"), (np.float64, "DOUBLE")]))
def test_the_three_forms_agree_on_floats(value: float, kind: tuple[Any, str]) -> None:
    dtype, sql_type = kind
    with np.errstate(over="ignore"):
        number = dtype(value)
    array = pa.array(np.array([number]))
    [(sql_id, is_refused, _)] = by_sql([float(number)], sql_type)
    if is_refused:
        for form in (lambda: id_of(number), lambda: id_array(array)):
            with pytest.raises(InvalidIdError):
                form()
    else:
        assert id_of(number) == id_array(array)[0].as_py() == sql_id
        assert sql_id == (None if np.isnan(number) else str(int(number)))


@settings(max_examples=25)
@given(st.decimals(-999, 999, places=1))
def test_the_three_forms_agree_on_decimals(value: decimal.Decimal) -> None:
    array = pa.array([value], pa.decimal128(10, 1))
    [(sql_id, is_refused, _)] = by_sql([value], "DECIMAL(10,1)")
    assert is_refused == (value != int(value))
    if not is_refused:
        assert id_of(value) == id_array(array)[0].as_py() == sql_id == str(int(value))
        return
    with pytest.raises(InvalidIdError):
        id_array(array)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" u0", "u0"),
        ("u0\u00a0\n", "u0"),
        ("\ufeffu0", "u0"),
        ("a b", "a b"),
        ("12.0", "12"),
        ("-3.00", "-3"),
        ("0.0", "0"),
        ("007.0", "007.0"),
        ("1.50", "1.50"),
        ("NULL", None),
        (" \\N", None),
        ("<NA>", None),
        ("\t", None),
        ("NA", "NA"),
        ("nil", "nil"),
        (7, "7"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (12.0, "12"),
        (np.float32(12), "12"),
        (float("nan"), None),
        (None, None),
        (decimal.Decimal("12.0"), "12"),
        (decimal.Decimal("NaN"), None),
        (datetime.date(2021, 3, 4), "2021-03-04"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (pa.scalar("12.0"), "12"),
    ],
)
def test_one_value(value: Any, expected: str | None) -> None:
    assert id_of(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.bool_(False),
        1.5,
        float("inf"),
        2.0**53,
        np.float32(2**24),
        decimal.Decimal("1.5"),
        b"7",
        ["7"],
        {"id": 7},
        datetime.datetime(2021, 3, 4),
        datetime.time(12),
    ],
)
def test_refused_values(value: Any) -> None:
    with pytest.raises(InvalidIdError):
        id_of(value)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None], pa.uint8()), ["1", None]),
        (pa.array([1.0, None, float("nan")]), ["1", None, None]),
        (pa.array([1.0], pa.float16()), ["1"]),
        (pa.array([18_690], pa.date32()), ["2021-03-04"]),
        (pa.array([None, None]), [None, None]),
        (pa.array([" a", "NULL"], pa.string_view()), ["a", None]),
        (pa.chunked_array([["1.0"], [" 2"]]), ["1", "2"]),
        (pa.array([1.0, 2.0, 1.0]).dictionary_encode(), ["1", "2", "1"]),
    ],
    ids=str,
)
def test_types_of_arrays(array: Any, expected: list[str | None]) -> None:
    assert id_array(array).to_pylist() == expected
    assert id_array(array).type == pa.string()


@pytest.mark.parametrize("array", [
    pa.array([True]), pa.array([["a"]]), pa.array([{"a": 1}]), pa.array([b"a"]),
    pa.array([0], pa.timestamp("us")), pa.array([0], pa.time32("s")), pa.array([1.5]),
    pa.array([2.0**53]), pa.array([2**24], pa.float32()), pa.array([2**11], pa.float16()),
], ids=str)  # fmt: skip
def test_refused_arrays(array: pa.Array) -> None:
    with pytest.raises(InvalidIdError):
        id_array(array)


@pytest.mark.parametrize(
    ("sql_type", "is_refused"),
    [
        ("VARCHAR", False),
        ("BIGINT", False),
        ("DOUBLE", False),
        ("DECIMAL(10,2)", False),
        ("DATE", False),
        ("UUID", False),
        ("BOOLEAN", True),
        ("TIMESTAMP WITH TIME ZONE", True),
        ("TIME", True),
        ("INTERVAL", True),
        ("BLOB", True),
        ("VARCHAR[]", True),
        ("STRUCT(a INTEGER)", True),
    ],
)
def test_refused_types(sql_type: str, is_refused: bool) -> None:
    assert (refused_type(sql_type) is not None) == is_refused

"""The same faults in every format: read alike, or refused in one line that names the file."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import faulty_inputs as inputs
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_inputs import ITEMS, LISTS, LOGS, ROWS, SEQUENCES, START, Input, Row

from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.errors import SourceError
from segue.sources import byte_streams
from slow_cases import some_fast
from small_datasets import dataset_of

FILES = {name: write for name, write in LOGS.items() if name != "frame"} | ITEMS | LISTS
FILES["movies"] = inputs.movies
EVERY = {name: write for name, write in LOGS.items() if name != "ratings.csv"} | ITEMS | LISTS
"""The formats of which values are damaged; ``ratings.csv`` is read like ``ratings.dat``."""
PARQUET = {"Parquet", "items Parquet", "lists Parquet"}
TIMED = ("CSV", "JSONL", "Parquet", "dat", "frame")
TYPED = PARQUET | {"frame"}


class Outcome(NamedTuple):
    """What was read, and the warnings."""

    content: Any
    warnings: list[str]


Read = Callable[..., Outcome]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    split = SplitConfig(kind="leave-one-out", catalogue="all")
    return dataset_of(tmp_path_factory.mktemp("dataset"), SEQUENCES, split)


@pytest.fixture
def read(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read an input of any format."""
    monkeypatch.setattr(byte_streams, "FIFO_WAIT_S", 0.05)

    def read(form: str, given: Any, **options: Any) -> Outcome:
        if form in LISTS:
            return Outcome(inputs.read_lists(given, dataset), [])
        if form in ITEMS:
            return Outcome(*inputs.read_items(given))
        return Outcome(*inputs.read_log(given, **options))

    return read


def refused(read: Read, form: str, given: Input, **options: Any) -> str:
    """The message of the error, which must be in one line and name the file."""
    with pytest.raises(SourceError) as caught:
        read(form, given.given, **options)
    message = caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    name = "the frame" if form == "frame" else str(given.given)
    assert given.file.name in message or name in message
    return message


def undamaged(form: str) -> Any:
    """What the rows give in a format."""
    if form in ITEMS:
        return [(item, f"é{number}") for number, (_, item, _, _) in enumerate(ROWS)]
    return SEQUENCES


# --- damaged files ---


def cut(data: bytes) -> bytes:
    """Cut off the last field of a text, or the second half of other data."""
    separators = [mark for mark in (b"::", b",", b" ") if mark in data]
    return data[: data.rindex(separators[0]) if data.endswith(b"\n") else len(data) // 2]


EDITS: dict[str, tuple[Callable[[bytes], bytes], set[str]]] = {
    "byte order mark": (lambda data: b"\xef\xbb\xbf" + data, PARQUET),
    "UTF-16": (
        lambda data: data.decode("utf-8", "replace").encode("utf-16"),
        PARQUET | {"MPD", "lists CSV"},
    ),
    "not UTF-8": (
        lambda data: data.replace(b"\xc3\xa9", b"\xe9x").replace(b"12", b"\xe92"),
        FILES.keys() - {"movies"},
    ),
    "CR": (lambda data: data.replace(b"\n", b"\r"), PARQUET),
    "two line ends": (lambda data: data.replace(b"\n", b"\r\n", 1), PARQUET),
    "blank lines": (lambda data: data.replace(b"\n", b"\n\n"), PARQUET),
    "no last line end": (lambda data: data.rstrip(b"\n"), set()),
    "comment line": (
        lambda data: b"# made by hand\n" + data,
        FILES.keys() - {"CSV", "lines", "items CSV"},
    ),
    "gzip": (lambda data: gzip.compress(data, mtime=0), PARQUET | {"MPD", "lists CSV"}),
    "damaged gzip": (lambda data: gzip.compress(data, mtime=0)[:30], set(FILES)),
    "empty": (lambda data: b"", FILES.keys() - {"movies"}),
    "cut short": (cut, FILES.keys() - {"lines", "movies"}),
    "zeros": (lambda data: bytes(500), set(FILES)),
}
"""An edit of a file -> the formats that refuse it; the others must read the same as before."""

UNNOTICED = {("cut short", "lines"), ("cut short", "movies")}
"""What looks like a shorter file."""


@pytest.mark.parametrize(("edit", "form"), some_fast(product(EDITS, FILES), every=4))
def test_a_damaged_file(tmp_path: Path, read: Read, edit: str, form: str) -> None:
    given = FILES[form](tmp_path, ROWS)
    change, refusing = EDITS[edit]
    given.file.write_bytes(change(given.file.read_bytes()))
    if form in refusing:
        refused(read, form, given)
    elif (edit, form) not in UNNOTICED:
        assert read(form, given.given).content == undamaged(form)


REPLACEMENTS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize(("replacement", "form"), some_fast(product(REPLACEMENTS, FILES), every=4))
def test_a_file_that_is_something_else(
    tmp_path: Path, read: Read, replacement: str, form: str
) -> None:
    given = FILES[form](tmp_path, ROWS)
    given.file.unlink()
    REPLACEMENTS[replacement](given.file)
    if form == "movies" and replacement in ("missing", "a folder"):
        # Ratings alone are a log without a header, and said to be.
        content, warnings = read(form, given.given)
        assert content == SEQUENCES
        assert "its columns were taken as user,item,rating,time" in warnings[0]
    else:
        refused(read, form, given)


def with_broken_column(form: str, given: Input) -> Any:
    """Append a column or key that is broken or nested, and that no reader uses."""
    if form == "frame":
        return given.given.append_column("note", pa.array([[{"a": 1}]] * len(given.given)))
    data = given.file.read_bytes()
    if form in PARQUET:
        table = pq.read_table(given.file)
        table = table.append_column("note", pa.array([b"\xff"] * len(table)))
        pq.write_table(table.append_column("x", pa.array([[{"a": 1}]] * len(table))), given.file)
    elif "JSONL" in form:
        given.file.write_bytes(data.replace(b"}\n", b', "note": {"a": [NaN, {}]}}\n'))
    elif form == "MPD":
        given.file.write_bytes(data.replace(b'"name"', b'"note": [{"a": [[]]}], "name"'))
    else:
        header, _, rows = data.partition(b"\n")
        given.file.write_bytes(header + b",note\n" + rows.replace(b"\n", b',5" \xff\n'))
    return given.given


@pytest.mark.parametrize(
    "form", [*sorted(FILES.keys() - {"lines", "dat", "ratings.csv", "movies"}), "frame"]
)
def test_a_broken_column_that_is_not_used(tmp_path: Path, read: Read, form: str) -> None:
    given = (LOGS | FILES)[form](tmp_path, ROWS)
    expected = undamaged(form)
    if form == "items Parquet":  # keeps further columns, so that they must be text
        table = pq.read_table(given.file)
        pq.write_table(table.append_column("x", pa.array([[{"a": 1}]] * len(table))), given.file)
        assert read(form, given.given).content == expected
    elif form == "items CSV":
        with_broken_column(form, given)
        assert "not UTF-8 text" in refused(read, form, given)
    else:
        assert read(form, with_broken_column(form, given)).content == expected


TABLES = ["CSV", "Parquet", "frame", *(name for name in ITEMS | LISTS if "JSONL" not in name)]


def with_names(form: str, given: Input, new_names: Callable[[list[str]], list[str]]) -> Input:
    """A table with other names of columns; further ones repeat the values of the first."""
    if form == "frame" or form in PARQUET:
        table = given.given if form == "frame" else pq.read_table(given.file)
        names = new_names(table.column_names)
        columns = [table.column(i if i < table.num_columns else 0) for i in range(len(names))]
        table = pa.Table.from_arrays(columns, names)
        if form == "frame":
            return given._replace(given=table)
        pq.write_table(table, given.file)
    else:
        header, _, rows = given.file.read_text("utf-8").partition("\n")
        names = header.split(",")
        further = ",9" * (len(new_names(names)) - len(names))
        text = ",".join(new_names(names)) + "\n" + rows.replace("\n", f"{further}\n")
        given.file.write_text(text, "utf-8")
    return given


@pytest.mark.parametrize("form", TABLES)
def test_names_of_columns(tmp_path: Path, read: Read, form: str) -> None:
    def write(new_names: Callable[[list[str]], list[str]]) -> Input:
        return with_names(form, EVERY[form](tmp_path, ROWS), new_names)

    given = write(lambda names: [f" {name} " for name in names])
    assert read(form, given.given).content == undamaged(form)
    # Parquet is refused by the reader of lists if any two columns have the same name.
    further = ["", "note"] if form == "lists Parquet" else ["", "note", "note"]
    given = write(lambda names: [*names, *further])
    assert read(form, given.given).content == undamaged(form)
    message = refused(read, form, write(lambda names: [*names, "item_id"]))
    assert "item_id" in message or "several columns have the same name" in message
    given = write(lambda names: [name.replace("item_id", "thing") for name in names])
    assert "thing" in refused(read, form, given)


# --- faulty values ---


def rows_with(column: int, value: Any, convert: Callable[[Any], Any] = str) -> list[Row]:
    """The rows with a value in the second one, the others of the column converted alike."""
    rows = [list(row) for row in ROWS]
    for number, row in enumerate(rows):
        row[column] = value if number == 1 else convert(row[column])
    return [(row[0], row[1], row[2], row[3]) for row in rows]


WITHOUT_SECOND = SEQUENCES | {"1": ["11", "13"]}
ROLES = {"user": 0, "item": 1}


def with_role(forms: Iterable[str], role: str) -> list[str]:
    """Those of some formats in which a user can have any text."""
    return [form for form in forms if role == "item" or form not in {*ITEMS, "lines"}]


MISSING = [
    ("item", None), ("user", " \u00a0"), ("item", "NULL"), ("user", "\\N"), ("item", math.nan)
]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "missing", "form"),
    some_fast(
        ((role, value, form) for role, value in MISSING for form in with_role(EVERY, role)), every=3
    ),
)
def test_a_missing_id(tmp_path: Path, read: Read, form: str, role: str, missing: Any) -> None:
    is_number = isinstance(missing, float)
    rows = rows_with(ROLES[role], missing, float if is_number else str)
    given = EVERY[form](tmp_path, rows)
    if form == "MPD" and (role == "user" or missing is None or is_number):
        refused(read, form, given)
    elif form == "lines" and missing is None:
        assert read(form, given.given).content == WITHOUT_SECOND  # two blanks are like one
    elif form in LISTS:
        assert "empty values in the column" in refused(read, form, given)
    else:
        content, warnings = read(form, given.given)
        if form in ITEMS:
            assert [item for item, _ in content] == ["11", "13", "12", "11", "13"]
        else:
            assert content == WITHOUT_SECOND
        assert any("left out" in warning for warning in warnings)


WRITTEN = [("item", " {}\u00a0"), ("user", "{}.0"), ("item", float)]


@pytest.mark.parametrize(
    ("role", "written", "form"),
    some_fast(
        (
            (role, written, form)
            for role, written in WRITTEN
            for form in with_role(EVERY, role)
            # Ids of MPD are text, and a playlist has one pid.
            if form != "MPD" or (role == "item" and written is not float)
        ),
        every=3,
    ),
)
def test_an_id_of_another_form(
    tmp_path: Path, read: Read, form: str, role: str, written: Any
) -> None:
    is_number = written is float
    column = ROLES[role]
    value = float(ROWS[1][column]) if is_number else written.format(ROWS[1][column])
    given = EVERY[form](tmp_path, rows_with(column, value, float if is_number else str))
    assert read(form, given.given).content == undamaged(form)


REFUSED = [("item", "fraction"), ("user", "infinite"), ("item", "boolean"), ("user", "object")]


@pytest.mark.parametrize(
    ("role", "kind", "form"),
    [
        (role, kind, form)
        for role, kind in REFUSED
        for form in with_role([*sorted(TYPED), "JSONL", "items JSONL", "MPD"], role)
        # An id in JSON lines is the text of the number.
        if "JSONL" not in form or kind in ("boolean", "object")
    ],
)
def test_a_value_that_is_no_id(tmp_path: Path, read: Read, form: str, role: str, kind: str) -> None:
    column = ROLES[role]
    rows = {
        "fraction": rows_with(column, 1.5, float),
        "infinite": rows_with(column, math.inf, float),
        "boolean": rows_with(column, True, bool),
        "object": rows_with(column, {"a": "1"}, lambda value: {"a": value}),
    }[kind]
    refused(read, form, EVERY[form](tmp_path, rows))


TIMES = [None, 0, START * 1000, "soon", math.nan]


@pytest.mark.parametrize("form", TIMED)
@pytest.mark.parametrize("time", TIMES, ids=repr)
def test_a_bad_time(tmp_path: Path, read: Read, form: str, time: Any) -> None:
    convert = {str: str, float: float}.get(type(time), int)
    given = LOGS[form](tmp_path, rows_with(2, time, convert))
    assert "time" in refused(read, form, given)
    if isinstance(time, int):
        content, warnings = read(form, given.given, bad_times="drop")
        assert content == WITHOUT_SECOND
        assert any("left out 1 row with a bad or missing time" in text for text in warnings)


@pytest.mark.parametrize("form", TIMED)
@pytest.mark.parametrize("rating", ["good", -math.inf, 1e300, True], ids=repr)
def test_a_bad_rating(tmp_path: Path, read: Read, form: str, rating: Any) -> None:
    rows = rows_with(3, rating, type(rating))
    assert "rating" in refused(read, form, LOGS[form](tmp_path, rows))


@pytest.mark.parametrize("form", TIMED)
def test_a_rating_may_be_missing(tmp_path: Path, read: Read, form: str) -> None:
    given = LOGS[form](tmp_path, rows_with(3, math.nan, float))
    assert read(form, given.given).content == SEQUENCES


@pytest.mark.parametrize("form", EVERY)
def test_a_repeated_row(tmp_path: Path, read: Read, form: str) -> None:
    given = EVERY[form](tmp_path, [ROWS[0], *ROWS])
    if form in LISTS:
        assert "repeats an item" in refused(read, form, given)
    elif form in ITEMS:
        assert "rows repeat an earlier id" in read(form, given.given).warnings[0]
    else:
        assert read(form, given.given).content == SEQUENCES | {"1": ["11", *SEQUENCES["1"]]}


MANY = 20_500
"""Rows before the last one: DuckDB infers the types of JSONL from the first 20,480."""


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("form", ["CSV", "JSONL", "dat", "items CSV", "items JSONL"])
def test_the_last_id_of_many_is_of_another_type(tmp_path: Path, read: Read, form: str) -> None:
    rows = [(1, item, START + item, 1) for item in range(MANY)]
    given = EVERY[form](tmp_path, [*rows, ("1", "0x9", START + MANY, 2.5)])
    content = read(form, given.given).content
    ids = [item for item, _ in content] if form in ITEMS else content["1"]
    assert ids == [*map(str, range(MANY)), "0x9"]


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("form", ["CSV", "JSONL", "dat"])
@pytest.mark.parametrize(("column", "value"), [(2, "soon"), (3, "good")])
def test_the_last_value_of_many_is_bad(
    tmp_path: Path, read: Read, form: str, column: int, value: str
) -> None:
    rows: list[Any] = [[1, item, START + item, 1] for item in range(MANY)]
    rows[-1][column] = value
    assert repr(value) in refused(read, form, LOGS[form](tmp_path, rows))

"""Logs in tables: formats, ids, times, order, filters, and one clear line per bad input."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.tabular import TabularSource, recognises

ROWS = [("b", "x", 30), ("a", "y", 20), ("a", "z", 10), ("b", "y", 5), ("a", "x", 15)]
BY_TIME = {"a": ["z", "x", "y"], "b": ["y", "x"]}
BY_ROW = {"a": ["y", "z", "x"], "b": ["x", "y"]}


def open_log(path: Path, **options: object) -> TabularSource:
    return TabularSource(path, SourceConfig.model_validate(options))


def columns_of(source: TabularSource, name: str) -> dict[str, list]:
    """A list column by sequence."""
    found: dict[str, list] = {}
    for chunk in source.chunks():
        ids = chunk.sequences["sequence_id"].to_pylist()
        found |= dict(zip(ids, chunk.sequences[name].to_pylist(), strict=True))
    return found


def read(path: Path, **options: object) -> dict[str, list[str]]:
    return columns_of(open_log(path, **options), "items")


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def delimited(mark: str) -> str:
    rows = [("user_id", "item_id", "timestamp"), *ROWS]
    return "".join(mark.join(str(value) for value in row) + "\n" for row in rows)


def json_lines() -> str:
    keys = ("user_id", "item_id", "timestamp")
    return "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in ROWS)


def log_of(path: Path, *rows: str, header: str = "user_id,item_id,timestamp") -> Path:
    return write(path / "log.csv", "\n".join([header, *rows]) + "\n")


# Formats


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
    pack: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        ".gz": gzip.compress,
        ".zst": zstandard.compress,
    }
    path = tmp_path / f"{name}{compression}"
    path.write_bytes(pack[compression](text.encode()))
    assert read(path) == BY_TIME
    assert recognises(path) == (name != "log.weird")


def test_parquet_with_integer_ids(tmp_path: Path) -> None:
    table = pa.table({"user_id": [2, 1, 2], "item_id": [7, -8, 9], "ts": [3, 2, 1]})
    pq.write_table(table, tmp_path / "log.parquet")
    assert read(tmp_path / "log.parquet") == {"1": ["-8"], "2": ["9", "7"]}


@pytest.mark.parametrize("between", [" ", "\t", "  "])
def test_bare_pairs_keep_their_order(tmp_path: Path, between: str) -> None:
    text = "".join(f"{user}{between}{item}\n" for user, item, _ in ROWS)
    source = open_log(write(tmp_path / "pairs.txt", text))
    assert columns_of(source, "items") == BY_ROW
    assert source.report()["columns"] == {
        "user": "user", "item": "item", "time": None, "rating": None, "event": None
    }  # fmt: skip
    assert "no time column" in source.report()["warnings"][0]


def test_a_quote_in_bare_pairs_is_part_of_the_id(tmp_path: Path) -> None:
    assert read(write(tmp_path / "pairs.txt", '1 "x\n1 y"\n')) == {"1": ['"x', 'y"']}


def test_two_known_words_are_a_header(tmp_path: Path) -> None:
    assert read(write(tmp_path / "pairs.txt", "user item\n1 2\n1 3\n")) == {"1": ["2", "3"]}


def test_options_make_two_words_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs.tsv", "who\twhat\n1\t2\n")
    assert read(path, user_column="who", item_column="what") == {"1": ["2"]}


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name, item in [("b.csv", "second"), ("a.csv", "first"), ("c.csv.gz", "third")]:
        data = f"user_id,item_id\n1,{item}\n".encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    write(tmp_path / "README.txt", "about these files")
    write(tmp_path / "_SUCCESS", "")
    write(tmp_path / ".hidden.csv", "x")
    assert recognises(tmp_path)
    assert read(tmp_path) == {"1": ["first", "second", "third"]}


def test_names_with_sql_and_glob_characters(tmp_path: Path) -> None:
    path = tmp_path / "it's [a] *log*?.csv"
    text = 'user "id",item\'s id\n1,2\n'.replace('"', '""').replace('user ""id""', '"user ""id"""')
    write(path, text)
    assert read(path, user_column='user "id"', item_column="item's id") == {"1": ["2"]}


def test_a_header_may_lack_a_name(tmp_path: Path) -> None:
    assert read(log_of(tmp_path, "0,u,i", header=",user_id,item_id")) == {"u": ["i"]}


def test_what_is_recognised(tmp_path: Path) -> None:
    assert not recognises(tmp_path)
    assert not recognises(tmp_path / "absent.csv")
    assert not recognises(write(tmp_path / "picture.png", "x"))


# Ids


def test_ids_are_kept_as_written(tmp_path: Path) -> None:
    odd = ["007", "7", "1.0", "1e3", " x", "NULL", "né", "true", "0x1F"]
    path = log_of(tmp_path, *(f"{i},{i}" for i in odd), header="user_id,item_id")
    assert read(path) == {i: [i] for i in odd}


def test_quoted_ids_may_hold_anything(tmp_path: Path) -> None:
    path = log_of(tmp_path, '1,"a,b"', '1,"say ""hi"""', '1,"two\nlines"', header="user_id,item_id")
    assert read(path) == {"1": ["a,b", 'say "hi"', "two\nlines"]}


def test_json_ids_become_their_text(tmp_path: Path) -> None:
    lines = ['{"user": 7, "item": 1.0}', '{"item": "007", "user": "7"}', '{"user": 7, "item": 2}']
    path = write(tmp_path / "log.jsonl", "\n".join(lines))
    assert read(path) == {"7": ["1.0", "007", "2"]}


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_rows_without_an_id_are_left_out_and_counted(tmp_path: Path, name: str) -> None:
    rows = [("a", "x"), ("", "y"), ("a", ""), ("a", "z")]
    text = "".join(f"{u},{i}\n" for u, i in [("user", "item"), *rows])
    if name.endswith("jsonl"):
        text = "".join(json.dumps({"user": u or None, "item": i}) + "\n" for u, i in rows)
    source = open_log(write(tmp_path / name, text))
    assert columns_of(source, "items") == {"a": ["x", "z"]}
    assert source.report()["warnings"][-1].startswith("2 rows without")


# Times

NOON = datetime(2021, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)
NOON_US = 1_614_859_200_250_000


@pytest.mark.parametrize(
    "text",
    [
        "1614859200.25",
        "1614859200250",
        "1614859200250000",
        "1614859200250000000",
        "1.61485920025e9",
        "2021-03-04T12:00:00.25Z",
        "2021-03-04 12:00:00.250",
        "2021-03-04T14:00:00.25+02:00",
        "2021-03-04T07:00:00.25-0500",
    ],
)
def test_forms_of_time(tmp_path: Path, text: str) -> None:
    assert columns_of(open_log(log_of(tmp_path, f"u,i,{text}")), "times") == {"u": [NOON]}


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (pa.array([NOON_US], pa.timestamp("us")), NOON),
        (pa.array([NOON_US * 1000], pa.timestamp("ns")), NOON),
        (pa.array([NOON_US // 1000], pa.timestamp("ms", tz="America/New_York")), NOON),
        (pa.array([NOON_US * 1000], pa.int64()), NOON),
        (pa.array([NOON_US / 1e6], pa.float64()), NOON),
        (pa.array(["2021-03-04T12:00:00.25Z"]), NOON),
        (pa.array([18_690], pa.date32()), datetime(2021, 3, 4, tzinfo=UTC)),
    ],
)
def test_types_of_time_in_parquet(tmp_path: Path, times: pa.Array, expected: datetime) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user_id": ["u"], "item_id": ["i"], "timestamp": times}), path)
    assert columns_of(open_log(path), "times") == {"u": [expected]}


def test_dates_and_times_before_1970(tmp_path: Path) -> None:
    path = log_of(tmp_path, "u,c,2020-01-02", "u,b,1969-12-31", "u,a,1960-01-01T12:00:00")
    assert read(path) == {"u": ["a", "b", "c"]}
    assert read(log_of(tmp_path, "u,c,200000", "u,b,-1.5", "u,a,-100000")) == {"u": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("times", "row", "bad"),
    [
        (["978300760", "978300761", "2001-01-01"], 3, "2001-01-01"),
        (["978300760", "2001-01-01T00:00:00Z", "978300761"], 2, "2001-01-01T00:00:00Z"),
        (["2001-01-01", "2001-01-02", "978300760"], 3, "978300760"),
        (["978300760", "2001-01-01", "2001-01-02"], 1, "978300760"),
        (["978300760", "2001-01-01"], 2, "2001-01-01"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_numbers_and_dates_in_one_column_name_the_first_row_that_differs(
    tmp_path: Path, times: list[str], row: int, bad: str, form: str
) -> None:
    path = tmp_path / f"log.{form}"
    if form == "csv":
        log_of(tmp_path, *(f"u,i,{time}" for time in times))
    elif form == "jsonl":
        as_json = [json.loads(t) if t.isdigit() else t for t in times]
        lines = [json.dumps({"user": "u", "item": "i", "time": time}) for time in as_json]
        write(path, "\n".join(lines))
    else:
        ids = ["x"] * len(times)
        pq.write_table(pa.table({"user": ids, "item": ids, "time": times}), path)
    with pytest.raises(SourceError, match=f"data row {row}.*: time is '{bad}'") as error:
        read(path)
    assert "in all rows" in error.value.hint


def test_the_form_of_times_beyond_the_first_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.sources.log_view.HEAD_ROWS", 3)
    path = log_of(tmp_path, *["u,i,978300760"] * 3, *["u,i,2001-01-01"] * 9)
    with pytest.raises(SourceError, match="data row 4 "):
        read(path)


def test_the_unit_is_told_for_the_whole_column(tmp_path: Path) -> None:
    # 5e10 alone would be seconds of the year 3554; beside milliseconds it is a small one.
    path = log_of(tmp_path, "u,b,1614859200250", "u,c,1614859200251", "u,a,50000000000")
    times = columns_of(open_log(path), "times")["u"]
    assert times[0] == datetime(1971, 8, 2, 16, 53, 20, tzinfo=UTC)
    assert times[1] == NOON


def test_counters_in_place_of_times_are_pointed_out(tmp_path: Path) -> None:
    source = open_log(log_of(tmp_path, "u,b,2", "u,a,1"))
    assert columns_of(source, "items") == {"u": ["a", "b"]}
    assert "before 1971" in source.report()["warnings"][0]


@pytest.mark.parametrize(
    "bad", ["yesterday", "nan", "inf", "infinity", "04/03/2021", "2021-02-30", "1e300", ""]
)
def test_a_time_that_cannot_be_read_names_its_row(tmp_path: Path, bad: str) -> None:
    path = log_of(tmp_path, '"u\nv",i,1', "", f"u,i,{bad}", "u,i,worse")
    with pytest.raises(SourceError) as error:
        read(path)
    # The first row spans two lines, and a blank one follows it.
    assert error.value.message == f"{path}: data row 2 (line 5): time is {bad!r}"
    assert "ISO 8601" in error.value.hint


def test_a_bad_time_in_a_folder_names_the_file(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "user,item,time\n1,2,3\n")
    write(tmp_path / "b.csv", "user,item,time\n1,2,3\n1,2,soon\n")
    with pytest.raises(SourceError, match=r"b\.csv: data row 2 \(line 3\): time is 'soon'"):
        read(tmp_path)


def test_a_bad_time_in_json_and_parquet(tmp_path: Path) -> None:
    write(tmp_path / "log.jsonl", '{"user":1,"item":2,"ts":3}\n{"user":1,"item":2}\n')
    with pytest.raises(SourceError, match=r"data row 2: time is ''"):
        read(tmp_path / "log.jsonl")
    table = pa.table({"user": [1, 1], "item": [1, 1], "ts": pa.array([1, None], pa.int32())})
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(SourceError, match=r"data row 2: time is ''"):
        read(tmp_path / "log.parquet")


@pytest.mark.parametrize(("name", "mark"), [("log.tsv", "\t"), ("log.csv", ";"), ("log.csv", "|")])
def test_quoted_line_breaks_count_whatever_parts_the_columns(
    tmp_path: Path, name: str, mark: str
) -> None:
    rows = ["user_id,item_id,timestamp,note", 'u,a,1,"two\nlines"', "u,b,soon,x"]
    path = write(tmp_path / name, "\n".join(rows).replace(",", mark) + "\n")
    with pytest.raises(SourceError, match=r"data row 2 \(line 4\): time is 'soon'"):
        read(path)


def test_a_long_field_costs_the_line_but_not_the_row(tmp_path: Path) -> None:
    header = "user_id,item_id,timestamp,note"
    path = log_of(tmp_path, "u,a,1," + "x" * 200_000, "u,b,soon,x", header=header)
    with pytest.raises(SourceError, match=r"log\.csv: data row 2: time is 'soon'"):
        read(path)


# Ratings, event types


def test_ratings_follow_their_events(tmp_path: Path) -> None:
    header = "user_id,item_id,timestamp,rating"
    path = log_of(tmp_path, "u,b,2,4.5", "u,a,1,-1", "u,c,3,", header=header)
    ratings = columns_of(open_log(path), "ratings")["u"]
    np.testing.assert_array_equal(ratings, np.array([-1.0, 4.5, np.nan], np.float32))


def test_a_rating_that_is_no_number_names_its_row(tmp_path: Path) -> None:
    path = log_of(tmp_path, "u,i,3", "u,i,good", header="user_id,item_id,rating")
    with pytest.raises(SourceError, match=r"data row 2 \(line 3\): rating is 'good'"):
        read(path)


def event_log(tmp_path: Path) -> Path:
    rows = ["u,a,view", "u,b,buy", "v,c,view", "u,d,", "u,e,cart"]
    return log_of(tmp_path, *rows, header="user_id,item_id,event")


def test_only_wanted_types_of_events(tmp_path: Path) -> None:
    source = open_log(event_log(tmp_path), event_type=("buy", "cart"))
    assert columns_of(source, "items") == {"u": ["b", "e"]}
    assert "2 of 5 rows are of type buy, cart" in source.report()["warnings"]
    assert source.report()["columns"]["event"] == "event"


def test_a_type_that_never_occurs_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no event of type 'veiw'") as error:
        read(event_log(tmp_path), event_type=("buy", "veiw"))
    assert error.value.hint == "did you mean 'view'?"


def test_what_is_wrong_in_unwanted_rows_does_not_matter(tmp_path: Path) -> None:
    header = "user_id,item_id,timestamp,event"
    path = log_of(tmp_path, "u,a,never,view", "u,b,1,buy", header=header)
    assert read(path, event_type=("buy",)) == {"u": ["b"]}


# Order

EVENTS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "10", "9"]), st.integers(0, 99), st.integers(0, 3)),
    min_size=1,
    max_size=40,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=EVENTS, timed=st.booleans())
def test_sequences_equal_a_stable_sort(
    tmp_path: Path, events: list[tuple[str, int, int]], timed: bool
) -> None:
    header = "user,item,time" if timed else "user,item,moment"
    path = log_of(tmp_path, *(f"{u},{i},{t}" for u, i, t in events), header=header)
    expected: dict[str, list[str]] = {}
    for user, item, _ in sorted(events, key=lambda event: event[2] if timed else 0):
        expected.setdefault(user, []).append(str(item))
    found = read(path)
    assert found == expected
    assert list(found) == sorted(expected)


def test_ties_keep_the_order_of_files_and_rows(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    users = draw.integers(0, 50, 30_000)
    times = draw.integers(0, 3, 30_000)
    lines = [f"{u},{row},{t}\n" for row, (u, t) in enumerate(zip(users, times, strict=True))]
    for part in range(3):
        text = "".join(lines[part * 10_000 : (part + 1) * 10_000])
        write(tmp_path / f"part{part}.csv", "user,item,time\n" + text)
    found = read(tmp_path)
    for user in range(50):
        rows = np.flatnonzero(users == user)
        expected = rows[np.argsort(times[rows], kind="stable")]
        assert found[str(user)] == [str(row) for row in expected]


def test_small_memory_gives_the_same(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    rows = [f"{u},{i},{t}" for u, i, t in draw.integers(0, 1000, (50_000, 3))]
    path = log_of(tmp_path, *rows)
    assert read(path, memory_limit=100_000_000) == read(path)


# Reports


def test_fingerprint_holds_no_path(tmp_path: Path) -> None:
    path = log_of(tmp_path, "u,i,1")
    expected = {"format": "tabular", "files": [{"name": "log.csv", "bytes": path.stat().st_size}]}
    assert open_log(path).fingerprint() == expected


def test_the_source_knows_users_from_sessions(tmp_path: Path) -> None:
    assert open_log(log_of(tmp_path, "u,i,1")).sequences_are_users
    sessions = log_of(tmp_path, "u,i,1", header="session_id,item_id,timestamp")
    assert not open_log(sessions).sequences_are_users


# Names of files that DuckDB would take for patterns

NAMES_AND_DECOYS = [("ok[1]", "ok1"), ("ok?", "ok2"), ("o*k", "ok"), ("it's [a-z]{x,y}", "it's b")]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(("name", "decoy"), NAMES_AND_DECOYS)
def test_a_path_is_no_pattern(tmp_path: Path, kind: str, name: str, decoy: str) -> None:
    for place, item in ((tmp_path / name / name, "right"), (tmp_path / decoy / decoy, "wrong")):
        place.parent.mkdir()
        path = place.with_name(f"{place.name}.{kind}")
        if kind == "parquet":
            pq.write_table(pa.table({"user_id": ["u"], "item_id": [item]}), path)
        elif kind == "jsonl":
            write(path, json.dumps({"user_id": "u", "item_id": item}) + "\n")
        else:
            write(path, f"user_id,item_id\nu,{item}\n")
    assert read(tmp_path / name / f"{name}.{kind}") == {"u": ["right"]}
    assert read(tmp_path / name) == {"u": ["right"]}


# Bad input

BAD_FILES = [
    ("empty.csv", b"", "is empty"),
    ("blank.jsonl", b"\n\n", "is empty"),
    ("header.csv", b"user_id,item_id\n", "no rows under its header"),
    ("latin1.csv", "user_id,item_id\n1,café\n".encode("latin-1"), "not text in UTF-8"),
    ("late.csv", b"user_id,item_id\n" + b"1,2\n" * 400_000 + b"1,\xe9\n", "not text in UTF-8"),
    ("utf16.csv", "user_id,item_id\n1,2\n".encode("utf-16"), "not text in UTF-8"),
    ("bytes.jsonl", b'{"user":"\xff","item":1}\n', "not text in UTF-8"),
    ("wide.csv", b"user_id,item_id\n1,2\n1,2,3\n", "line 3 has 3 columns, expected 2"),
    ("narrow.csv", b"user_id,item_id\n1,2\n1\n", "line 3 has 1 columns, expected 2"),
    ("open.csv", b'user_id,item_id\n1,"2\n', "quoted text that does not end"),
    ("pairs.txt", b"1 2\n3 4 5\n", "line 2 has 3 columns, expected 2"),
    ("twice.csv", b"user_id,item_id,Item_ID\n1,2,3\n", "more than one column called 'item_id'"),
    ("cut.jsonl", b'{"user":1,"item":2}\n{"user":1,"it', "line 2 is not a JSON object"),
    ("list.json", b'[{"user":1,"item":2}]', "one JSON array"),
    ("lists.jsonl", b'{"user":1,"items":[1,2],"item":[3]}\n', "holds lists or objects"),
    ("cut.csv.gz", gzip.compress(b"user_id,item_id\n1,2\n" * 99)[:40], "cannot be read"),
    ("text.csv.gz", b"user_id,item_id\n1,2\n", "cannot be read"),
    ("text.csv.zst", b"user_id,item_id\n1,2\n", "cannot be read"),
    ("log.parquet", b"user_id,item_id\n1,2\n" * 9, "cannot be read"),
    ("no_users.csv", b"user_id,item_id\n,2\n,3\n", "every row of .* lacks"),
    ("headless.csv", b"196,242,3,881250949\n", "looks like the user's id; it has 196, 242"),
    ("headless.tsv", b"u1\ti1\t978300760\n", "first line an event.* user_id,item_id,timestamp"),
    ("begin.csv", b"\n\nuser_id,item_id\n1,2\n", "first line of .* is blank"),
    ("spaces.csv", b"  \r\nuser_id,item_id\r\n1,2\r\n", "first line of .* is blank"),
    ("pairs_later.txt", b"\n1 2\n3 4\n", "first line of .* is blank"),
    ("quote.csv", b'"user_id' + b"x" * 200_000 + b"\n", "is no header"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD_FILES, ids=[bad[0] for bad in BAD_FILES])
def test_a_bad_file_gets_one_clear_line(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert name in error.value.message


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"log\.csv does not exist"):
        open_log(tmp_path / "log.csv")


def test_a_folder_without_a_table(tmp_path: Path) -> None:
    write(tmp_path / "picture.png", "x")
    with pytest.raises(SourceError, match="folder without a table"):
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
def test_files_of_a_folder_must_agree(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str]
) -> None:
    for name, text in (first, second):
        write(tmp_path / name, text)
    with pytest.raises(SourceError, match="do not have the same columns") as error:
        open_log(tmp_path)
    assert first[0] in error.value.message
    assert second[0] in error.value.message


def test_parquet_files_must_agree_in_type(tmp_path: Path) -> None:
    for name, ids in (("a", [1]), ("b", ["007"])):
        pq.write_table(pa.table({"user": ids, "item": [1]}), tmp_path / f"{name}.parquet")
    with pytest.raises(SourceError, match="do not have the same columns"):
        open_log(tmp_path)


def test_json_files_may_differ_in_what_is_not_needed(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", '{"user":1,"item":2,"note":"x"}\n')
    write(tmp_path / "b.jsonl", '{"user":1,"item":3}\n')
    assert read(tmp_path) == {"1": ["2", "3"]}


# Real data


@pytest.mark.real_data
def test_ml_latest_small(segue_data: Path) -> None:
    folder = segue_data / "ml-latest-small"
    source = open_log(folder / "ratings.csv")
    sequences = pa.Table.from_batches([chunk.sequences for chunk in source.chunks()])
    assert sequences.num_rows == 610
    assert len(sequences["items"].combine_chunks().flatten()) == 100_836
    assert source.report()["columns"]["item"] == "movieId"
    assert source.report()["warnings"] == []


@pytest.mark.real_data
def test_the_canonical_file(segue_data: Path) -> None:
    path = segue_data / "ml-1m-canonical" / "ml-1m.txt"
    sequences = read(path)
    assert len(sequences) == 6_040
    assert sum(len(items) for items in sequences.values()) == 999_611
    assert len({item for items in sequences.values() for item in items}) == 3_416
    assert sequences["1"][:3] == ["1", "2", "3"]
